"""One HTTP request with the standard library, to http and https only, wherever a redirect points."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from linclass_cli import __version__

SCHEMES = ("http", "https")


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
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows no file:, ftp: or data: addresses, unlike the default one."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@contextlib.contextmanager
def ask(address: str, headers: Mapping[str, str], timeout: float) -> Iterator[Answer]:
    """Send a GET; yield the answer of a 2xx status, or of 416.

    ``timeout`` is in seconds without a byte. ``urllib.error.URLError`` (statuses: ``HTTPError``), ``OSError``
    and ``http.client.HTTPException`` pass through.
    """
    try:
        if urlsplit(address).scheme not in SCHEMES:
            raise urllib.error.URLError("only http and https addresses are opened")
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            address, headers={"User-Agent": f"linclass/{__version__}", **headers}
        )
        response = _opener().open(request, timeout=timeout)
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
