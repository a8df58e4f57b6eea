"""Servers that drip, never end, lie and send escape sequences: every download ends, soon, with one reason."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from linclass_cli.data.fetch import download
from linclass_cli.data.parts import notes_path
from linclass_cli.data.transfer import Patience
from linclass_cli.errors import IntegrityError, LinclassError, ResourceError
from tests.data.conftest import assert_tiny_is_whole, register_tiny

Talk = Callable[[socket.socket, str], None]
QUICK = Patience(timeout=0.3, tries=3, pause=0)
SECONDS = 60.0  # by far more than any of them takes


class Server:
    """What answers each connection by ``talk(connection, the request's head)``; counts the connections."""

    def __init__(self) -> None:
        self.talk: Talk = lambda *_: None
        self.requests: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            self.requests.append(head.decode("latin-1"))
            self.talk(connection, self.requests[-1])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(monkeypatch, tiny_tar) -> Iterator[Server]:
    one = Server()
    register_tiny(monkeypatch, tiny_tar, (one.address + "/t",))
    yield one
    one.close()


def send(*parts: bytes) -> Talk:
    return lambda connection, _: connection.sendall(b"".join(parts))


def send_for_ever(first: bytes, again: bytes, pause: float = 0.0) -> Talk:
    def talk(connection: socket.socket, _: str) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again)
            time.sleep(pause)

    return talk


def fail(cache, patience: Patience = QUICK) -> LinclassError:
    """The error of a download that has to fail, in time, leaving no dataset and at most a part behind."""
    began = time.monotonic()
    with pytest.raises((IntegrityError, ResourceError)) as caught:
        download("tiny", cache, patience=patience)
    assert time.monotonic() - began < SECONDS
    assert not (cache / "datasets" / "tiny").exists()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    return caught.value


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "again", "pause", "reason"),
    [
        (b"", b"H", 0.05, "less than 1000 bytes a second"),
        (OK, b"X", 0.05, "less than 1000 bytes a second"),
        (OK + b"\r\n", b"x", 0.05, "less than 1000 bytes a second"),
        (CHUNKED, b"1\r\nx\r\n", 0.05, "less than 1000 bytes a second"),
        (OK, b"", 60, "timed out"),
        (OK + b"\r\nabc", b"", 60, "timed out"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0, "far more than was asked for"),
        (OK, b"X: y\r\n" * 100, 0, "more than 100 headers"),
        (b"HTTP/1.1 200 ", b"x" * 9000, 0, "status line"),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, 0, "far more than was asked for"),
        (CHUNKED, b"1;" + b"e" * 60_000 + b"\r\nx\r\n", 0, "far more than was asked for"),
        (CHUNKED, b"e" * 90_000, 0, "chunk size"),
        (b"\0", b"\0\r\n", 0, ""),
        (b"SSH-2.0-x\r\n", b"", 60, "SSH"),
    ],
)
def test_answers_that_never_end(tmp_path, server, first, again, pause, reason):
    server.talk = send_for_ever(first, again, pause)
    assert reason in str(fail(tmp_path, Patience(timeout=0.3, tries=1)))


def test_one_byte_a_connection_buys_no_tries(tmp_path, server, tiny_tar):
    def talk(connection: socket.socket, request: str) -> None:
        have = int(request.partition("bytes=")[2].partition("-")[0] or 0)
        rest = tiny_tar[have:]
        head = f"HTTP/1.1 206 OK\r\nContent-Range: bytes {have}-{len(tiny_tar) - 1}/{len(tiny_tar)}\r\n"
        head = OK.decode() if not have else head
        connection.sendall(f"{head}Content-Length: {len(rest)}\r\n\r\n".encode() + rest[:1])

    server.talk = talk
    assert f"broke after 3 of {len(tiny_tar)} bytes" in str(fail(tmp_path))
    assert len(server.requests) == 3


def test_a_redirect_is_followed_without_reading_its_body(tmp_path, server, tiny_tar):
    def talk(connection: socket.socket, request: str) -> None:
        if request.startswith("GET /t HTTP"):
            send_for_ever(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n", b"x" * 65536)(
                connection, request
            )
        connection.sendall(OK + b"\r\n" + tiny_tar)

    server.talk = talk
    download("tiny", tmp_path, patience=QUICK)
    assert_tiny_is_whole(tmp_path)


def test_redirects_that_lead_on_for_ever(tmp_path, server):
    numbers = itertools.count()
    server.talk = lambda connection, _: connection.sendall(
        f"HTTP/1.1 302 Found\r\nLocation: /{next(numbers)}\r\n\r\n".encode()
    )
    fail(tmp_path)
    assert len(server.requests) < 40


@pytest.mark.parametrize(
    "said",
    [
        "bytes 1-59999/60000",
        "bytes */60000",
        "bytes 100-59999/" + "9" * 6000,
        f"bytes {'9' * 6000}-59999/60000",
        "bytes -100-5/7",
        "bytes ²00-5/7",
        "",
        "100",
    ],
)
def test_a_resumed_transfer_that_makes_no_sense(tmp_path, server, tiny_tar, said):
    """The part is given up, and the file is read from its beginning."""

    def talk(connection: socket.socket, request: str) -> None:
        if "Range: bytes=100-" in request:
            connection.sendall(f"HTTP/1.1 206 OK\r\nContent-Range: {said}\r\n\r\n".encode("latin-1") + b"xyz")
        elif "Range" not in request:
            connection.sendall(OK + b"\r\n" + tiny_tar)

    server.talk = talk
    part = tmp_path / "datasets" / ".downloads" / "tiny-tiny.tar.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(tiny_tar[:100])
    download("tiny", tmp_path, patience=QUICK)
    assert_tiny_is_whole(tmp_path)


@pytest.mark.parametrize("length", ["-5", "0", "9" * 6000, "1e3", "²", "5, 6", " "])
def test_lengths_that_are_none(tmp_path, server, tiny_tar, length):
    head = OK + f"Content-Length: {length}\r\n\r\n".encode("latin-1")
    server.talk = send(head, tiny_tar)
    with contextlib.suppress(IntegrityError, ResourceError):
        download("tiny", tmp_path, patience=QUICK)
        assert_tiny_is_whole(tmp_path)
    assert len(server.requests) <= 4


@pytest.mark.parametrize(
    "status",
    ["101 Switching", "206 Partial", "300 Many", "304 Same", "416 No", "999 \x1b[2J", "-1 x", "2e2 x"],
)
def test_statuses_of_all_kinds(tmp_path, server, status):
    server.talk = send(f"HTTP/1.1 {status}\r\n\r\nhello".encode("latin-1"))
    fail(tmp_path)
    assert len(server.requests) <= 4


@pytest.mark.parametrize(
    "validator", ['ETag: "a\r\n b"', 'ETag: "\xe9"', f'ETag: "{"x" * 9000}"', "Last-Modified: \x1b"]
)
def test_a_validator_that_cannot_be_sent_back_is_forgotten(tmp_path, server, tiny_tar, validator):
    def talk(connection: socket.socket, request: str) -> None:
        head = OK + validator.encode("latin-1") + f"\r\nContent-Length: {len(tiny_tar)}\r\n\r\n".encode()
        connection.sendall(head + tiny_tar[: None if "/again" in request else 5000])

    server.talk = talk
    with pytest.raises(ResourceError, match="broke after 5000"):
        download("tiny", tmp_path, server.address + "/x", patience=Patience(timeout=0.3, tries=1))
    (part,) = (tmp_path / "datasets" / ".downloads").glob("*.part")
    assert set(json.loads(notes_path(part).read_text())) == {"address"}


def test_the_message_holds_no_escape_sequences(server, linclass):
    for answer, code in (
        (b"HTTP/1.1 404 \x1b]0;owned\x07\x9b2J\r\n\r\n", 6),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/\x1b[31mpasswd\r\n\r\n", 6),
        (b"HTTP/1.1 404 " + b"no" * 20_000 + b"\r\n\r\n", 6),
    ):
        server.talk = send(answer)
        result = linclass("download", "tiny")
        assert result.code == code
        assert result.error.isprintable()
        assert len(result.error) < 1700
