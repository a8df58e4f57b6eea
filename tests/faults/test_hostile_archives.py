"""Archives made to reach outside, to never end, or to end the program: one reason, and nothing is left."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from linclass_cli.data import fetch, unpack
from linclass_cli.data.fetch import download
from linclass_cli.errors import InputError, IntegrityError
from tests.data.conftest import IDX_MEMBERS, MEMBERS, Page, assert_tiny_is_whole, make_tar, register_digits

SIZE = len(MEMBERS["a_1.bin"])
END = bytes(1024)
SECONDS = 60.0


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def entry(name="a_1.bin", content=b"", kind=tarfile.REGTYPE, size=None, link="", raw=()) -> bytes:
    """One entry of a tar; ``size`` may lie; ``raw``: (place, bytes) to overwrite, under a right checksum."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content) if size is None else size
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape"))
    for place, text in raw:
        header[place : place + len(text)] = text
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:512]))
    return bytes(header) + padded(content)


def pax(headers: dict[str, str | bytes], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A pax header for the entry that follows."""
    body = b""
    for key, value in headers.items():
        line = b" %s=%s\n" % (key.encode(), value if isinstance(value, bytes) else value.encode())
        length = len(line) + 1
        while len(str(length)) + len(line) != length:
            length += 1
        body += b"%d" % length + line
    return entry("pax", body, kind)


ROOT = "../" * 30
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
ARCHIVES: dict[str, tuple[bytes, str]] = {
    "climbing": (b"".join(entry(ROOT + name, b"x") for name in MEMBERS), "found 1 bytes"),
    "absolute": (b"".join(entry("/tmp/" + name, b"x") for name in MEMBERS), "found 1 bytes"),
    "pax climbing": (pax({"path": "/tmp/a_1.bin"}) + entry("b", b"x"), "found 1 bytes"),
    "a chain of links": (
        entry("d", kind=tarfile.SYMTYPE, link="/tmp") + entry("d/a_1.bin", kind=tarfile.LNKTYPE, link="d"),
        "found no regular file",
    ),
    "a device": (entry(kind=tarfile.CHRTYPE) + entry(kind=tarfile.BLKTYPE), "found no regular file"),
    "a FIFO": (entry(kind=tarfile.FIFOTYPE), "found no regular file"),
    "huge": (entry(size=8**11 - 1), "far more than the dataset"),
    "larger than any disk": (entry(size=2**62), "far more than the dataset"),
    "of 4,000 digits": (pax({"size": "9" * 4000}) + entry(), "far more than the dataset"),
    "of 5,000 digits": (pax({"size": "9" * 5000}) + entry(), "found 0 bytes"),
    "of less than nothing": (entry(raw=[(124, b"\xff" * 12)]), "found -1 bytes"),
    "of no number": (entry(raw=[(124, b"zzzzzzzzzzz\0")]), "truncated, damaged"),
    "long names that go on": (entry("././@LongLink", b"a\0", b"L") * 3000, "a header makes no sense"),
    "pax headers that go on": (pax({"path": "b"}) * 3000, "a header makes no sense"),
    "a long name without end": (entry("x", b"", b"L", size=8**11 - 1) + END, "truncated, damaged"),
    "pax without end": (entry("x", b"", tarfile.XHDTYPE, size=8**11 - 1) + END, "truncated, damaged"),
    "pax of nonsense": (entry("x", b"0 a=b\n" * 9, tarfile.XHDTYPE) + END, "truncated, damaged"),
    "pax too long": (entry("x", b"9" * 25 + b" a=b\n", tarfile.XHDTYPE) + END, "truncated, damaged"),
    "a sparse map of words": (pax({"GNU.sparse.map": "a,b"}) + entry(), "a header makes no sense"),
    "a sparse size of words": (pax({"GNU.sparse.size": "zz"}) + entry(), "a header makes no sense"),
    "a sparse map cut off": (pax(SPARSE) + entry("b", b"9999999\n1\n"), "a header makes no sense"),
    "a sparse map of garbage": (pax(SPARSE) + entry("b", b"x" * 600), "a header makes no sense"),
    "sparse": (
        pax({"GNU.sparse.map": "0,1", "GNU.sparse.realsize": str(SIZE), "GNU.sparse.name": "a_1.bin"})
        + entry("b"),
        "found no regular file",
    ),
    "old sparse": (
        entry(kind=b"S", raw=[(386, b"77777777777\0" * 8), (482, b"\1")]),
        "found no regular file",
    ),
    "no UTF-8": (entry(raw=[(0, b"\xff\xfe\x1b[2J")]) + entry("caf\udce9", b"x"), "found none"),
    "pax no UTF-8": (pax({"path": b"\xff\0\x9b"}) + entry("b", b"x"), "found none"),
    "global pax": (pax({"size": str(SIZE)}, tarfile.XGLTYPE) + entry(), "truncated, damaged"),
    "cut off": (entry(size=SIZE)[:512] + b"abc", "truncated, damaged"),
    "a zip": (b"PK\3\4" + bytes(600), "truncated, damaged"),
    "nothing": (b"", "truncated, damaged"),
    "zeros": (bytes(10_240), "found none"),
}


def refuse(tmp_path: Path, source: str, words: str, kind: type[Exception] = IntegrityError) -> None:
    before = {path for path in tmp_path.rglob("*") if "c" not in path.relative_to(tmp_path).parts}
    began = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        download("tiny", tmp_path / "c", source)
    assert time.monotonic() - began < SECONDS
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "c").rglob("*") if path.is_file()]
    assert {path for path in tmp_path.rglob("*") if "c" not in path.relative_to(tmp_path).parts} == before


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(tmp_path, tiny, name):
    content, words = ARCHIVES[name]
    content += END if content else b""
    for pack in (bytes, gzip.compress):
        (tmp_path / "a.tar").write_bytes(pack(content))
        refuse(tmp_path, str(tmp_path / "a.tar"), words)


def test_a_name_of_gzip_that_does_not_end(tmp_path, tiny):
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 1_000_000)
    refuse(tmp_path, str(tmp_path / "a.tar"), "end-of-stream")


def test_many_gzip_members_of_nothing(tmp_path, tiny):
    (tmp_path / "a.tar").write_bytes(gzip.compress(b"") * 20_000)
    refuse(tmp_path, str(tmp_path / "a.tar"), "empty file")


def test_a_tar_in_several_gzip_members_is_read(tmp_path, tiny):
    whole = make_tar(list(MEMBERS.items()), "w")
    parts = [gzip.compress(whole[i : i + 10_000]) for i in range(0, len(whole), 10_000)]
    (tmp_path / "a.tar.gz").write_bytes(b"".join(parts) + bytes(100))
    download("tiny", tmp_path / "c", str(tmp_path / "a.tar.gz"))
    assert_tiny_is_whole(tmp_path / "c")


@pytest.mark.parametrize("more", [gzip.compress(bytes(50_000_000), mtime=0), b"\x1f\x8b\x08\x00garbage"])
def test_idx_files_with_something_behind(tmp_path, monkeypatch, more):
    register_digits(monkeypatch, "http://127.0.0.1:9")
    (tmp_path / "from").mkdir()
    for name, content in IDX_MEMBERS.items():
        (tmp_path / "from" / f"{name}.gz").write_bytes(gzip.compress(content) + more)
    with pytest.raises(IntegrityError, match=r"found more|truncated, damaged"):
        download("digits", tmp_path / "c", str(tmp_path / "from"))
    assert not list((tmp_path / "c").rglob("*.gz"))


@pytest.mark.parametrize("place", ["a.tar", "from/a_1.bin", "from/a_1.bin.gz"])
def test_what_is_no_file_is_not_waited_for(tmp_path, tiny, place):
    (tmp_path / "from").mkdir()
    os.mkfifo(tmp_path / place)
    if place == "a.tar":
        refuse(tmp_path, str(tmp_path / place), "no regular file", InputError)
        refuse(tmp_path, "/dev/zero", "no regular file", InputError)
    else:
        with pytest.raises(fetch.MissingError, match=r"expected a_1.bin \(or"):
            download("tiny", tmp_path / "c", str(tmp_path / "from"))


def test_an_address_that_serves_more_than_the_dataset_could_be(tmp_path, tiny, web, quick, monkeypatch):
    monkeypatch.setattr(fetch, "EXTRA", 1000)
    monkeypatch.setattr(unpack, "EXTRA", 1000)
    web.pages["/a.tar"] = Page(make_tar([*MEMBERS.items(), ("more", bytes(500_000))], "w"), no_length=True)
    with pytest.raises(IntegrityError, match="found more; stopped"):
        download("tiny", tmp_path, web.address + "/a.tar", patience=quick)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="w") as file:
        file.write(entry("bomb", size=8**11 - 1) + bytes(5_000_000))
    web.pages["/b.tar"] = Page(packed.getvalue())
    with pytest.raises(IntegrityError, match="far more than the dataset"):
        download("tiny", tmp_path, web.address + "/b.tar", patience=quick)
    assert not list((tmp_path / "datasets").rglob("*.part"))
