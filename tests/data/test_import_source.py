"""Archives and folders from elsewhere, honest and hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from linclass_cli.data import unpack
from linclass_cli.data.fetch import download
from linclass_cli.errors import InputError, IntegrityError, MissingError, ResourceError

from .conftest import IDX_MEMBERS, MEMBERS, assert_tiny_is_whole, make_tar, register_digits


def write(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def nothing_is_left(cache: Path) -> bool:
    return not (cache / "datasets" / "tiny").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("prefix", ["", "tiny/", "./deep/er/", "../../"])
def test_a_repacked_archive(tmp_path, tiny, mode, prefix):
    source = write(tmp_path / "a.tar", make_tar([(prefix + n, c) for n, c in MEMBERS.items()], mode))
    cache = tmp_path / "in" / "cache"
    assert not download("tiny", cache, source).cached
    assert_tiny_is_whole(cache)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "in"]
    assert download("tiny", cache, source).cached


@pytest.mark.parametrize("inner", ["", "tiny"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_members(tmp_path, tiny, inner, packed):
    for name, content in MEMBERS.items():
        write(
            tmp_path / "from" / inner / (name + ".gz" * packed),
            gzip.compress(content) if packed else content,
        )
    download("tiny", tmp_path / "cache", str(tmp_path / "from"))
    assert_tiny_is_whole(tmp_path / "cache")
    assert len(list((tmp_path / "from" / inner).iterdir())) == 3


def test_a_folder_with_the_archive(tmp_path, tiny, tiny_tar):
    write(tmp_path / "from" / "tiny.tar.gz", tiny_tar)
    download("tiny", tmp_path / "cache", str(tmp_path / "from"))
    assert_tiny_is_whole(tmp_path / "cache")


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_idx_files(tmp_path, monkeypatch, packed):
    register_digits(monkeypatch, "http://127.0.0.1:9")
    for name, content in IDX_MEMBERS.items():
        write(tmp_path / "from" / (name + ".gz" * packed), gzip.compress(content) if packed else content)
    path = download("digits", tmp_path / "cache", str(tmp_path / "from")).path
    assert {n: (path / n).read_bytes() for n in IDX_MEMBERS} == IDX_MEMBERS


def test_one_file_of_several_is_not_a_dataset(tmp_path, monkeypatch):
    register_digits(monkeypatch, "http://127.0.0.1:9")
    source = write(tmp_path / "train-images.gz", gzip.compress(IDX_MEMBERS["train-images"]))
    with pytest.raises(
        IntegrityError, match=r"no such archive .* give a folder or a tar archive with train-im"
    ):
        download("digits", tmp_path / "cache", source)
    with pytest.raises(InputError, match="is one file of 4"):
        download("digits", tmp_path / "cache", "http://127.0.0.1:9/train-images.gz")
    tar = write(tmp_path / "all.tar", make_tar(list(IDX_MEMBERS.items())))
    download("digits", tmp_path / "cache", tar)


def test_sources_that_are_not_there(tmp_path, tiny):
    with pytest.raises(
        MissingError, match=r"no such file or folder; give a folder or a tar archive with a_1\.bin"
    ):
        download("tiny", tmp_path, str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="expected an http or https address"):
        download("tiny", tmp_path, "file:///etc/passwd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"expected a_1.bin \(or a_1.bin.gz\) in .*empty"):
        download("tiny", tmp_path, str(tmp_path / "empty"))
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 10, 600, 20_000, 60_000])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive_leaves_nothing(tmp_path, tiny, mode, keep):
    whole = make_tar(list(MEMBERS.items()), mode)
    assert keep < len(whole) - 2000
    source = write(tmp_path / "a.tar", whole[:keep])
    with pytest.raises(IntegrityError) as caught:
        download("tiny", tmp_path, source)
    assert "\n" not in str(caught.value)
    assert nothing_is_left(tmp_path)


def test_a_flipped_byte_in_the_archive(tmp_path, tiny):
    whole = bytearray(make_tar(list(MEMBERS.items()), "w:gz"))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(IntegrityError):
        download("tiny", tmp_path, write(tmp_path / "a.tar.gz", bytes(whole)))
    assert nothing_is_left(tmp_path)


def test_no_archive_at_all(tmp_path, tiny):
    with pytest.raises(IntegrityError, match="no such archive"):
        download("tiny", tmp_path, write(tmp_path / "a.tar.gz", b"hello" * 1000))


def test_members_of_other_sizes_and_kinds_are_passed_over(tmp_path, tiny):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo("tiny/a_1.bin")
            entry.type = kind
            entry.linkname = "/etc/passwd"
            archive.addfile(entry)
        for name, content in [("a_2.bin", b"short"), *MEMBERS.items(), ("a_1.bin", bytes(26_000))]:
            entry = tarfile.TarInfo(f"tiny/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    download("tiny", tmp_path / "c", write(tmp_path / "a.tar", buffer.getvalue()))
    assert_tiny_is_whole(tmp_path / "c")


def test_a_link_instead_of_a_member(tmp_path, tiny):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("a_1.bin")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(IntegrityError, match=r"expected a_1.bin of 26000 bytes, found no regular file"):
        download("tiny", tmp_path, write(tmp_path / "a.tar", buffer.getvalue()))
    assert nothing_is_left(tmp_path)


def test_the_first_of_two_members_counts(tmp_path, tiny):
    forged = [("a_1.bin", bytes(26_000)), *MEMBERS.items()]
    with pytest.raises(IntegrityError, match=r"a_1.bin in .*: expected sha256"):
        download("tiny", tmp_path, write(tmp_path / "a.tar", make_tar(forged)))
    assert nothing_is_left(tmp_path)


def test_a_member_too_few(tmp_path, tiny):
    entries = [(n, c) for n, c in MEMBERS.items() if n != "a_2.bin"]
    with pytest.raises(IntegrityError, match=r"expected a_2.bin of 26000 bytes, found none"):
        download("tiny", tmp_path, write(tmp_path / "a.tar", make_tar(entries)))
    assert nothing_is_left(tmp_path)


def test_a_bomb_is_not_unpacked(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(unpack, "EXTRA", 100_000)
    entries = [("zeros", bytes(5_000_000)), *MEMBERS.items()]
    with pytest.raises(IntegrityError, match="far more than the dataset"):
        download("tiny", tmp_path, write(tmp_path / "a.tar.gz", make_tar(entries)))
    assert nothing_is_left(tmp_path)


def test_a_header_that_wants_all_the_memory(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(unpack, "EXTRA", 100_000)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 8 << 30
    content = header.tobuf(tarfile.GNU_FORMAT) + bytes(10_000_000)
    with pytest.raises(IntegrityError):
        download("tiny", tmp_path, write(tmp_path / "a.tar.gz", gzip.compress(content)))


def test_endless_entries(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 50)
    entries = [(f"e{i}", b"") for i in range(51)] + list(MEMBERS.items())
    with pytest.raises(IntegrityError, match="more than 50 entries"):
        download("tiny", tmp_path, write(tmp_path / "a.tar", make_tar(entries)))


def test_a_gzip_bomb_in_a_folder(tmp_path, tiny):
    for name, content in MEMBERS.items():
        write(tmp_path / "from" / f"{name}.gz", gzip.compress(content + bytes(50_000_000)))
    with pytest.raises(IntegrityError, match="expected 26000 bytes, found more"):
        download("tiny", tmp_path, str(tmp_path / "from"))
    assert nothing_is_left(tmp_path)


def test_a_failed_import_leaves_what_is_there(tmp_path, tiny):
    source = write(tmp_path / "a.tar", make_tar(list(MEMBERS.items())))
    path = download("tiny", tmp_path, source).path
    (path / "t.bin").write_bytes(b"damaged")
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    with pytest.raises(IntegrityError):
        download("tiny", tmp_path, write(tmp_path / "b.tar", make_tar(list(MEMBERS.items()))[:30_000]))
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before
    assert not download("tiny", tmp_path, source).cached
    assert_tiny_is_whole(tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path, tiny):
    write(tmp_path / "cache", b"a file, not a folder")
    source = write(tmp_path / "a.tar", make_tar(list(MEMBERS.items())))
    with pytest.raises(ResourceError, match="--cache-dir"):
        download("tiny", tmp_path / "cache", source)
    assert (tmp_path / "cache").read_bytes() == b"a file, not a folder"


def test_embedded_needs_no_source(tmp_path):
    fetched = download("textures", tmp_path)
    assert fetched.cached
    assert (fetched.path / "brick.png").is_file()
    with pytest.raises(InputError, match="comes with linclass"):
        download("textures", tmp_path, "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.cifar
def test_the_real_archive(tmp_path, cifar_archive):
    from linclass_cli.data.readers import load_dataset

    assert not download("cifar10", tmp_path, str(cifar_archive)).cached
    assert download("cifar10", tmp_path, str(cifar_archive)).cached
    data = load_dataset("cifar10", tmp_path)
    assert data.train.images.shape == (50_000, 32, 32, 3)
    assert data.train.labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert data.train.images[0, 0, 0].tolist() == [59, 62, 63]
    assert sorted({int((data.test.labels == k).sum()) for k in range(10)}) == [1000]
