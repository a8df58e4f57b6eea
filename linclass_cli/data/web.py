"""One HTTP request with the standard library, to http and https only, wherever a redirect points.

A server may say what it likes as slowly as it likes; so the bytes of an answer are counted where they come
in, headers, chunks and all, and have to keep a pace.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import urlsplit

from linclass_cli import __version__

SCHEMES = ("http", "https")
SLOWEST = 1000  # bytes a second, over two timeouts: what is slower does not arrive in days
_MOST_HEAD = 1 << 20  # bytes before the body
_OVERHEAD = 8  # times its own size that a body may take: chunks of one byte each take six


class Answer:
    """A response: its status, its headers, and its body read block by block."""

    def __init__(self, status: int, headers: Message, body: http.client.HTTPResponse | None) -> None:
        self.status = status
        self._headers = headers
        self._body = body

    def header(self, name: str) -> str:
        """A header's value; empty when it is absent."""
        return str(self._headers.get(name, ""))

    def read(self, most: int) -> bytes:
        """The next bytes of the body, as they arrive; empty at its end."""
        return b"" if self._body is None else self._body.read1(most)


class _Paced(io.RawIOBase):
    """The bytes of a connection. Raises OSError where they come too slowly, or there are too many."""

    def __init__(self, source: io.RawIOBase, window: float) -> None:
        self._source = source
        self._window = window
        self._since, self._count = time.monotonic(), 0
        self.left = _MOST_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        count: int | None = self._source.readinto(buffer)
        self._count += count or 0
        self.left -= count or 0
        if self.left < 0:
            raise OSError("it sends far more than was asked for")
        passed = time.monotonic() - self._since
        if passed > self._window:
            if self._count < SLOWEST * passed:
                raise TimeoutError(f"it sends less than {SLOWEST} bytes a second")
            self._since, self._count = time.monotonic(), 0
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


class _Pacing:
    """What makes a handler of urllib's read its answers through :class:`_Paced`."""

    def __init__(self, window: float, most: int) -> None:
        super().__init__()
        self._pace = window, most

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        window, most = self._pace

        class Response(http.client.HTTPResponse):
            def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
                super().__init__(sock, *args, **options)
                self._paced = _Paced(self.fp.detach(), window)
                self.fp = io.BufferedReader(self._paced)

            def begin(self) -> None:
                super().begin()
                self._paced.left = _OVERHEAD * most + _MOST_HEAD

        def connect(*args: Any, **options: Any) -> Any:
            connection = http_class(*args, **options)
            connection.response_class = Response
            return connection

        return super().do_open(connect, req, **options)  # type: ignore[misc]


class _HTTP(_Pacing, urllib.request.HTTPHandler):
    pass


class _HTTPS(_Pacing, urllib.request.HTTPSHandler):
    pass


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, never from https back to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in SCHEMES or (old == "https" and new == "http"):
            fp.close()
            raise urllib.error.URLError(f"it redirects from {old} to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> http.client.HTTPResponse | None:
        # the standard library's own refusal comes before redirect_request and says less
        target = headers.get("location") or headers.get("uri") or ""
        if urlsplit(target).scheme not in ("", *SCHEMES):
            fp.close()
            raise urllib.error.URLError(f"it redirects to {target}, which is not followed")
        fp.close()  # or all of a body that nobody wants would be read
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(window: float, most: int) -> urllib.request.OpenerDirector:
    """An opener that knows no file:, ftp: or data: addresses, unlike the default one."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        _HTTP(window, most),
        _HTTPS(window, most),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@contextlib.contextmanager
def ask(address: str, headers: Mapping[str, str], timeout: float, most: int) -> Iterator[Answer]:
    """Send a GET; yield the answer of a 2xx status, or of 416.

    ``timeout`` is in seconds without a byte; ``most``: the bytes that a body may have.
    ``urllib.error.URLError`` (statuses: ``HTTPError``), ``OSError`` and ``http.client.HTTPException`` pass
    through.
    """
    try:
        if urlsplit(address).scheme not in SCHEMES:
            raise urllib.error.URLError("only http and https addresses are opened")
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            address, headers={"User-Agent": f"linclass/{__version__}", **headers}
        )
        response = _opener(2 * timeout, most).open(request, timeout=timeout)
    except ValueError as error:  # what the standard library finds wrong with an address, or a redirect's
        raise urllib.error.URLError(f"not a usable address: {error}") from error
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()
        yield Answer(error.code, error.headers, None)
        return
    with response:
        yield Answer(response.status, response.headers, response)
