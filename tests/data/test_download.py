"""Transfers from a server that breaks, lies, redirects and forgets."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from linclass_cli.data import web as web_module
from linclass_cli.data.fetch import decide, download, plan
from linclass_cli.data.parts import own_part
from linclass_cli.data.registry import DATASETS, dataset_digest, find_dataset
from linclass_cli.data.transfer import Patience
from linclass_cli.errors import IntegrityError, MissingError, ResourceError

from .conftest import (
    IDX_MEMBERS,
    Page,
    Web,
    assert_tiny_is_whole,
    make_tar,
    noise,
    register_digits,
    register_tiny,
)


def serve(monkeypatch: pytest.MonkeyPatch, web: Web, tar: bytes, *paths: str) -> None:
    register_tiny(monkeypatch, tar, tuple(web.address + path for path in paths))


def part_of(cache: Path) -> Path:
    return cache / "datasets" / ".downloads" / "tiny-tiny.tar.gz.part"


@pytest.mark.parametrize(
    ("intact", "kind", "part", "action"),
    [
        (True, "official", 5, "present"),
        (True, "folder", 0, "present"),
        (False, "official", 0, "download"),
        (False, "official", 7, "resume"),
        (False, "address", 0, "download"),
        (False, "address", 7, "resume"),
        (False, "archive", 7, "from archive"),
        (False, "folder", 7, "from folder"),
    ],
)
def test_decide(intact: bool, kind: str, part: int, action: str) -> None:
    assert decide(intact, kind, part) == action  # type: ignore[arg-type]


def test_a_plain_download_and_then_nothing_is_transferred(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    reports: list[tuple[str, int, int | None]] = []
    first = download("tiny", tmp_path, advance=lambda *a: reports.append(a), patience=quick)
    assert not first.cached
    assert (first.n_train, first.n_test, first.image_shape) == (4000, 1000, (2, 2, 3))
    assert_tiny_is_whole(tmp_path)
    assert ("tiny.tar.gz", len(tiny_tar), len(tiny_tar)) in reports
    assert not list((tmp_path / "datasets" / ".downloads").iterdir())
    second = download("tiny", tmp_path, patience=quick)
    assert second.cached
    assert len(web.log) == 1
    assert download("tiny", tmp_path, "no-such-source", patience=quick).cached


def test_the_manifest_says_what_is_there(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    path = download("tiny", tmp_path, patience=quick).path
    manifest = json.loads((path / "dataset.json").read_text())
    assert manifest["digest"] == dataset_digest(DATASETS["tiny"])
    assert manifest["members"][0]["size"] == len((path / "a_1.bin").read_bytes())
    assert (manifest["name"], manifest["n_train"], manifest["image_shape"]) == ("tiny", 4000, [2, 2, 3])


def test_a_broken_transfer_resumes_where_it_stopped(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar, etag='"v1"', break_after=[20_000])
    download("tiny", tmp_path, patience=quick)
    first, second = web.log
    assert (first.range, first.status, first.sent) == (None, 200, 20_000)
    assert (second.range, second.if_range, second.status) == ("bytes=20000-", '"v1"', 206)
    assert second.sent == len(tiny_tar) - 20_000
    assert_tiny_is_whole(tmp_path)


def test_a_later_run_resumes_too(tmp_path, monkeypatch, web, tiny_tar):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar, etag='"v1"', break_after=[20_000])
    once = Patience(timeout=5, tries=1, pause=0)
    with pytest.raises(ResourceError, match=r"broke after 20000 of .*--from PATH\|URL"):
        download("tiny", tmp_path, patience=once)
    assert part_of(tmp_path).read_bytes() == tiny_tar[:20_000]
    assert plan(DATASETS["tiny"], tmp_path) == {"tiny.tar.gz": "resume"}
    assert not (tmp_path / "datasets" / "tiny").exists()
    download("tiny", tmp_path, patience=once)
    assert web.log[1].sent == len(tiny_tar) - 20_000


def test_a_server_that_ignores_range_is_read_from_the_start(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar, ranges=False, break_after=[20_000])
    download("tiny", tmp_path, patience=quick)
    assert web.log[1].range == "bytes=20000-"
    assert web.log[1].sent == len(tiny_tar)
    assert_tiny_is_whole(tmp_path)


def test_a_part_of_another_version_is_given_up(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(noise(len(tiny_tar), 9), etag='"old"', break_after=[20_000])
    with pytest.raises(ResourceError):
        download("tiny", tmp_path, patience=replace(quick, tries=1))
    web.pages["/t"] = Page(tiny_tar, etag='"new"')
    download("tiny", tmp_path, patience=quick)
    assert (web.log[1].if_range, web.log[1].status) == ('"old"', 200)
    assert_tiny_is_whole(tmp_path)


def test_wrong_bytes_in_a_part_do_not_condemn_the_address(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    part_of(tmp_path).parent.mkdir(parents=True)
    part_of(tmp_path).write_bytes(noise(20_000, 3))
    download("tiny", tmp_path, patience=quick)
    assert [seen.range for seen in web.log] == ["bytes=20000-", None]
    assert_tiny_is_whole(tmp_path)


@pytest.mark.parametrize("extra", [0, 7])
def test_a_complete_part_is_not_transferred_again(tmp_path, monkeypatch, web, tiny_tar, quick, extra):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    part_of(tmp_path).parent.mkdir(parents=True)
    part_of(tmp_path).write_bytes(tiny_tar + bytes(extra))
    download("tiny", tmp_path, patience=quick)
    assert len(web.log) == (1 if extra else 0)
    assert_tiny_is_whole(tmp_path)


def test_wrong_bytes_everywhere(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(noise(len(tiny_tar), 1))
    expected = DATASETS["tiny"].archives[0].sha256
    with pytest.raises(IntegrityError, match=f"expected sha256 {expected}, found [0-9a-f]{{64}}") as caught:
        download("tiny", tmp_path, patience=quick)
    assert "\n" not in str(caught.value)
    assert len(web.log) == 1
    assert not part_of(tmp_path).exists()


def test_wrong_bytes_then_a_good_mirror(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/bad", "/good")
    web.pages["/bad"] = Page(noise(len(tiny_tar), 1))
    web.pages["/good"] = Page(tiny_tar)
    download("tiny", tmp_path, patience=quick)
    assert [seen.path for seen in web.log] == ["/bad", "/good"]
    assert_tiny_is_whole(tmp_path)


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("text/html; charset=utf-8", b"<p>Log in</p>"),
        ("application/octet-stream", b"\n<!DOCTYPE html><html><body>Log in</body></html>"),
    ],
)
def test_an_html_page_is_called_one(tmp_path, monkeypatch, web, tiny_tar, quick, kind, page):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(page, kind=kind, no_length=True)
    part_of(tmp_path).parent.mkdir(parents=True)
    part_of(tmp_path).write_bytes(tiny_tar[:20_000])
    web.pages["/t"].ranges = False
    with pytest.raises(ResourceError, match="HTML page"):
        download("tiny", tmp_path, patience=quick)
    assert len(web.log) == 1
    assert part_of(tmp_path).read_bytes() == tiny_tar[:20_000]


def test_a_missing_mirror_then_a_good_one(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/missing", "/good")
    web.pages["/good"] = Page(tiny_tar)
    download("tiny", tmp_path, patience=quick)
    assert [(seen.path, seen.status) for seen in web.log] == [("/missing", 404), ("/good", 200)]


def test_a_mirror_goes_on_where_another_broke(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/weak", "/good")
    web.pages["/weak"] = Page(tiny_tar, etag='"w"', break_after=[20_000, 0, 0, 0])
    web.pages["/good"] = Page(tiny_tar, etag='"g"')
    download("tiny", tmp_path, patience=quick)
    last = web.log[-1]
    assert (last.path, last.range, last.if_range) == ("/good", "bytes=20000-", None)
    assert_tiny_is_whole(tmp_path)


def test_all_mirrors_failing_lists_why(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/gone", "/ill")
    web.pages["/ill"] = Page(status=503)
    with pytest.raises(
        ResourceError, match=r"/gone: status 404.*/ill: status 503.*--from PATH\|URL"
    ) as caught:
        download("tiny", tmp_path, patience=quick)
    assert "\n" not in str(caught.value)
    assert [seen.path for seen in web.log] == ["/gone"] + ["/ill"] * 3


def test_pauses_double_and_progress_buys_tries(tmp_path, monkeypatch, web, tiny_tar):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar, failures=[503, 503], break_after=[0, 0, 9_000, 9_000, 9_000])
    pauses: list[float] = []
    download("tiny", tmp_path, patience=Patience(timeout=5, tries=3, pause=0.5, sleep=pauses.append))
    assert pauses == [0.5, 1.0, 0.5, 0.5, 0.5]
    assert_tiny_is_whole(tmp_path)


def test_a_silent_server_is_given_up(tmp_path, monkeypatch, tiny_tar):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/t"
        register_tiny(monkeypatch, tiny_tar, (address,))
        with pytest.raises(ResourceError, match="timed out"):
            download("tiny", tmp_path, patience=Patience(timeout=0.2, tries=1))


def test_more_bytes_than_promised_are_not_read(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar + noise(200_000, 4), no_length=True)
    with pytest.raises(IntegrityError, match=f"expected {len(tiny_tar)} bytes, found more"):
        download("tiny", tmp_path, patience=quick)


def test_a_shorter_file_of_unknown_length_is_not_read_forever(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar[:9_000], no_length=True, etag='"v"')
    with pytest.raises(IntegrityError, match=f"expected {len(tiny_tar)} bytes, found 9000"):
        download("tiny", tmp_path, patience=quick)
    assert len(web.log) < 10


def test_a_length_that_is_not_the_archives(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(b"small")
    with pytest.raises(IntegrityError, match=f"expected {len(tiny_tar)} bytes, found 5"):
        download("tiny", tmp_path, patience=quick)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/t", "data:,hello"])
def test_redirects_out_of_the_web_are_refused(tmp_path, monkeypatch, web, tiny_tar, quick, target):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(status=302, location=target)
    with pytest.raises(ResourceError, match=r"redirects to .* which is not followed"):
        download("tiny", tmp_path, patience=quick)
    assert len(web.log) == 1


def test_a_redirect_within_the_web_is_followed(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(status=302, location="/there")
    web.pages["/there"] = Page(tiny_tar)
    download("tiny", tmp_path, patience=quick)
    assert_tiny_is_whole(tmp_path)


def test_a_redirect_loop_ends(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(status=302, location="/t")
    with pytest.raises(ResourceError) as caught:
        download("tiny", tmp_path, patience=quick)
    assert "\n" not in str(caught.value)


def test_https_does_not_become_http() -> None:
    import urllib.error
    import urllib.request
    from email.message import Message
    from io import BytesIO

    request = urllib.request.Request("https://example.org/a")
    handler = web_module._Redirects()
    with pytest.raises(urllib.error.URLError, match="not followed"):
        handler.redirect_request(request, BytesIO(), 302, "Found", Message(), "http://example.org/a")  # type: ignore[arg-type]
    followed = handler.redirect_request(
        request,
        BytesIO(),
        302,
        "Found",
        Message(),
        "https://example.org/b",  # type: ignore[arg-type]
    )
    assert followed is not None


def test_no_server_at_all(tmp_path, tiny, quick):
    with pytest.raises(ResourceError, match=r"tiny\.tar\.gz could not be downloaded"):
        download("tiny", tmp_path, patience=quick)
    assert not list((tmp_path / "datasets").glob("tiny*"))


def test_a_damaged_member_is_fetched_anew(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    path = download("tiny", tmp_path, patience=quick).path
    content = bytearray((path / "a_2.bin").read_bytes())
    content[100] ^= 1
    (path / "a_2.bin").write_bytes(content)
    again = download("tiny", tmp_path, patience=quick)
    assert not again.cached
    assert len(web.log) == 2
    assert_tiny_is_whole(tmp_path)


def test_a_lost_manifest_is_written_again_without_a_transfer(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    path = download("tiny", tmp_path, patience=quick).path
    (path / "dataset.json").write_text("{}")
    assert download("tiny", tmp_path, patience=quick).cached
    assert len(web.log) == 1
    assert json.loads((path / "dataset.json").read_text())["name"] == "tiny"


def test_two_at_once_do_not_spoil_each_other(tmp_path, monkeypatch, web, tiny_tar, quick):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(tiny_tar)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            download("tiny", tmp_path, patience=quick)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert_tiny_is_whole(tmp_path)


def test_a_part_in_use_is_left_alone(tmp_path):
    part = tmp_path / "x.part"
    with own_part(part) as first, own_part(part) as second:
        assert first == part
        assert second != part
        second.write_bytes(b"mine")
    assert not second.exists()


def test_idx_archives_and_only_the_damaged_one(tmp_path, monkeypatch, web, quick):
    register_digits(monkeypatch, web.address)
    for name, content in IDX_MEMBERS.items():
        web.pages[f"/{name}.gz"] = Page(gzip.compress(content, mtime=0))
    path = download("digits", tmp_path, patience=quick).path
    for name, content in IDX_MEMBERS.items():
        assert (path / name).read_bytes() == content
    (path / "test-labels").unlink()
    download("digits", tmp_path, patience=quick)
    assert [seen.path for seen in web.log[4:]] == ["/test-labels.gz"]
    assert (path / "test-labels").read_bytes() == IDX_MEMBERS["test-labels"]


def test_when_one_of_several_archives_fails_nothing_is_left(tmp_path, monkeypatch, web, quick):
    register_digits(monkeypatch, web.address)
    for name, content in list(IDX_MEMBERS.items())[:3]:
        web.pages[f"/{name}.gz"] = Page(gzip.compress(content, mtime=0))
    with pytest.raises(ResourceError, match=r"test-labels\.gz"):
        download("digits", tmp_path, patience=quick)
    assert not (tmp_path / "datasets" / "digits").exists()


def test_a_tar_from_an_address(tmp_path, tiny, web, quick):
    other = make_tar([(f"elsewhere/{name}", c) for name, c in _members().items()], "w")
    web.pages["/other.tar"] = Page(other, break_after=[30_000])
    download("tiny", tmp_path, web.address + "/other.tar", patience=quick)
    # without a sha256 and without a validator nothing says that the rest fits: from the start
    assert [seen.range for seen in web.log] == [None, None]
    assert_tiny_is_whole(tmp_path)


def test_a_tar_from_an_address_resumes_with_a_validator(tmp_path, tiny, web, quick):
    other = make_tar([(f"elsewhere/{name}", c) for name, c in _members().items()], "w")
    web.pages["/other.tar"] = Page(other, break_after=[30_000], etag='"o"')
    download("tiny", tmp_path, web.address + "/other.tar", patience=quick)
    assert web.log[1].sent == len(other) - 30_000
    assert_tiny_is_whole(tmp_path)


def test_a_complete_part_from_an_address_is_recognised(tmp_path, tiny, web, quick):
    other = make_tar([(f"elsewhere/{name}", c) for name, c in _members().items()], "w")
    web.pages["/other.tar"] = Page(other, etag='"o"')
    with pytest.raises(ResourceError):  # everything arrives, then there is no room for the members
        download("tiny", _without_room(tmp_path), web.address + "/other.tar", patience=quick)
    (tmp_path / "datasets" / "tiny").unlink()
    download("tiny", tmp_path, web.address + "/other.tar", patience=quick)
    assert [(seen.status, seen.sent) for seen in web.log] == [(200, len(other)), (416, 0)]
    assert_tiny_is_whole(tmp_path)


def test_a_part_longer_than_the_file_is_given_up(tmp_path, tiny, web, quick):
    other = make_tar([(f"elsewhere/{name}", c) for name, c in _members().items()], "w")
    web.pages["/other.tar"] = Page(other + noise(5000, 1), etag='"o"')
    with pytest.raises(ResourceError):
        download("tiny", _without_room(tmp_path), web.address + "/other.tar", patience=quick)
    (tmp_path / "datasets" / "tiny").unlink()
    web.pages["/other.tar"].content = other
    download("tiny", tmp_path, web.address + "/other.tar", patience=quick)
    assert [seen.status for seen in web.log] == [200, 416, 200]
    assert_tiny_is_whole(tmp_path)


def _without_room(cache: Path) -> Path:
    """A cache where a file stands in the place of the dataset's folder."""
    (cache / "datasets").mkdir()
    (cache / "datasets" / "tiny").write_bytes(b"")
    return cache


def test_wrong_members_from_an_address_are_not_kept(tmp_path, tiny, web, quick):
    web.pages["/o.tar"] = Page(make_tar([(n, bytes(len(c))) for n, c in _members().items()]))
    address = web.address + "/o.tar"
    with pytest.raises(IntegrityError, match=f"a_1.bin in {address}: expected sha256"):
        download("tiny", tmp_path, address, patience=quick)
    assert not list((tmp_path / "datasets" / ".downloads").iterdir())
    assert not (tmp_path / "datasets" / "tiny").exists()


def test_the_official_address_as_a_source_must_have_the_official_bytes(
    tmp_path, monkeypatch, web, tiny_tar, quick
):
    serve(monkeypatch, web, tiny_tar, "/t")
    web.pages["/t"] = Page(make_tar(list(_members().items())))
    with pytest.raises(IntegrityError, match=r"tiny\.tar\.gz could not be downloaded"):
        download("tiny", tmp_path, web.address + "/t", patience=quick)


def test_unknown_names() -> None:
    with pytest.raises(MissingError, match=r"'cifar-10'; did you mean cifar10\?; known: .*mnist"):
        find_dataset("cifar-10")
    with pytest.raises(MissingError, match="known: cifar10"):
        find_dataset("../../etc")


def _members() -> dict[str, bytes]:
    from .conftest import MEMBERS

    return MEMBERS
