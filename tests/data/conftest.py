"""A dataset of a few bytes, archives that hold it, and a web server of this machine that misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from linclass_cli.data.registry import DATASETS, ArchiveSpec, DatasetSpec, MemberSpec
from linclass_cli.data.transfer import Patience


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_tar(entries: list[tuple[str, bytes]], mode: str = "w:gz") -> bytes:
    """A tar of regular files, in order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    """An idx file of bytes."""
    header = bytes((0, 0, 8, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape)
    return header + content


def noise(n: int, seed: int) -> bytes:
    """``n`` bytes that do not compress."""
    blocks = (hashlib.sha256(f"{seed}-{i}".encode()).digest() for i in range(n // 32 + 1))
    return b"".join(blocks)[:n]


def cifar_content(n: int, seed: int) -> bytes:
    """``n`` records of a label below 3 and 2 x 2 x 3 pixels."""
    return b"".join(bytes([i % 3]) + noise(12, seed + i) for i in range(n))


TRAIN = [cifar_content(2000, 0), cifar_content(2000, 10_000)]
TEST = cifar_content(1000, 20_000)
MEMBERS = {"a_1.bin": TRAIN[0], "a_2.bin": TRAIN[1], "t.bin": TEST}
IDX_MEMBERS = {
    "train-images": idx((6, 2, 3), bytes(range(36))),
    "train-labels": idx((6,), bytes([0, 1, 0, 1, 0, 1])),
    "test-images": idx((2, 2, 3), bytes(range(100, 112))),
    "test-labels": idx((2,), bytes([1, 0])),
}


def _do_not_wait(seconds: float) -> None:
    pass


@pytest.fixture
def quick() -> Patience:
    """No waiting between tries; a server that says nothing is given up soon."""
    return Patience(timeout=5.0, tries=3, pause=0.0, sleep=_do_not_wait)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def tiny_tar() -> bytes:
    """The official archive of ``tiny``: other files around its members."""
    entries = [("tiny/readme.html", b"<html>"), *((f"tiny/{name}", c) for name, c in MEMBERS.items())]
    return make_tar(entries)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tiny_tar: bytes) -> DatasetSpec:
    """A dataset like CIFAR-10, with 2 x 2 images; its addresses lead nowhere until a test gives others."""
    return register_tiny(monkeypatch, tiny_tar, ("http://127.0.0.1:9/nowhere",))


def register_tiny(monkeypatch: pytest.MonkeyPatch, tar: bytes, addresses: tuple[str, ...]) -> DatasetSpec:
    spec = DatasetSpec(
        name="tiny",
        form="cifar",
        classes=("x", "y", "z"),
        image_shape=(2, 2, 3),
        n_train=4000,
        n_test=1000,
        train=("a_1.bin", "a_2.bin"),
        test=("t.bin",),
        inner="tiny",
        archives=(
            ArchiveSpec(
                "tiny.tar.gz",
                "tar",
                len(tar),
                sha256(tar),
                addresses,
                tuple(MemberSpec(name, len(c), sha256(c)) for name, c in MEMBERS.items()),
            ),
        ),
    )
    monkeypatch.setitem(DATASETS, "tiny", spec)
    return spec


def register_digits(monkeypatch: pytest.MonkeyPatch, folder: str) -> DatasetSpec:
    """A dataset like MNIST: four .gz files under one address."""
    archives = []
    for name, content in IDX_MEMBERS.items():
        packed = gzip.compress(content, mtime=0)
        member = MemberSpec(name, len(content), sha256(content))
        address = f"{folder}/{name}.gz"
        archives.append(ArchiveSpec(f"{name}.gz", "gzip", len(packed), sha256(packed), (address,), (member,)))
    spec = DatasetSpec(
        name="digits",
        form="idx",
        classes=("0", "1"),
        image_shape=(2, 3, 1),
        n_train=6,
        n_test=2,
        train=("train-images", "train-labels"),
        test=("test-images", "test-labels"),
        archives=tuple(archives),
    )
    monkeypatch.setitem(DATASETS, "digits", spec)
    return spec


@dataclass
class Page:
    """What one path serves, and how it misbehaves."""

    content: bytes = b""
    status: int = 200
    kind: str = "application/octet-stream"
    ranges: bool = True
    etag: str = ""
    break_after: list[int] = field(
        default_factory=list
    )  # bytes sent before the connection breaks, per request
    location: str = ""
    length: int | None = None  # a lie about Content-Length
    no_length: bool = False
    failures: list[int] = field(default_factory=list)  # statuses of the first requests


@dataclass
class Seen:
    """One request: its path, its headers, the status and the bytes sent in return."""

    path: str
    range: str | None
    if_range: str | None
    status: int = 0
    sent: int = 0


@dataclass
class Web:
    address: str
    pages: dict[str, Page]
    log: list[Seen]


@pytest.fixture
def web() -> Iterator[Web]:
    """A server on 127.0.0.1; tests put :class:`Page` objects in ``pages`` and read ``log``."""
    pages: dict[str, Page] = {}
    log: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen = Seen(self.path, self.headers.get("Range"), self.headers.get("If-Range"))
            log.append(seen)
            page = pages.get(self.path, Page(b"nothing here", status=404))
            seen.status = page.failures.pop(0) if page.failures else page.status
            # Before the answer begins: the next request may come while this one's thread still is at work.
            most = page.break_after.pop(0) if page.break_after else None
            body, extra = page.content, {}
            match = re.fullmatch(r"bytes=(\d+)-", seen.range or "")
            valid = not seen.if_range or seen.if_range == page.etag
            if seen.status == 200 and page.ranges and match and valid:
                start = int(match[1])
                if start >= len(body):
                    seen.status, extra["Content-Range"], body = 416, f"bytes */{len(body)}", b""
                else:
                    extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    seen.status, body = 206, body[start:]
            self.send_response(seen.status)
            self.send_header("Content-Type", page.kind)
            if not page.no_length:
                self.send_header("Content-Length", str(len(body) if page.length is None else page.length))
            for name, text in {**extra, "ETag": page.etag, "Location": page.location}.items():
                if text:
                    self.send_header(name, text)
            self.end_headers()
            body = body[:most]
            self.wfile.write(body)
            seen.sent = len(body)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Web(f"http://127.0.0.1:{server.server_address[1]}", pages, log)
    server.shutdown()
    server.server_close()
    thread.join()


def assert_tiny_is_whole(cache: Path) -> None:
    folder = cache / "datasets" / "tiny"
    assert sorted(p.name for p in folder.iterdir()) == ["a_1.bin", "a_2.bin", "dataset.json", "t.bin"]
    for name, content in MEMBERS.items():
        assert (folder / name).read_bytes() == content
