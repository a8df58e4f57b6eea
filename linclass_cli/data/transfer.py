"""One file over HTTP: resumed, retried, from the first address that has the right bytes.

The bytes gather in a part (see :mod:`linclass_cli.data.parts`). A part from one address may be resumed from
another only where a sha256 decides in the end; without one, only where the validator still holds.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from linclass_cli.atomic import step, write_json
from linclass_cli.data.manifest import Advance, sha256_of
from linclass_cli.data.parts import (
    notes_path,
    open_part,
    part_size,
    read_notes,
    resumes_elsewhere,
    start_over,
)
from linclass_cli.data.web import Answer, ask
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import IntegrityError, ResourceError

_BLOCK = 1 << 16  # small, so that progress is seen at 55 kB/s too
_HTML = "an HTML page came instead of the file (a login page, or the file has moved)"
_WORTH = 1 << 16  # bytes that a try must bring to count as progress; of small files a hundredth
_LONGEST = 200  # characters of what a server says
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # statuses that may pass


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for a byte, tries without progress, the first pause (s; doubles), and what sleeps."""

    timeout: float = 30.0
    tries: int = 4
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Wanted:
    """A file to transfer; ``size`` (bytes) and ``sha256`` are None where they are not known beforehand.

    ``most`` bounds the bytes accepted when the size is not known.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None
    sha256: str | None
    most: int


class Fault(Exception):
    """Why a try failed.

    ``again``: another try may do better; ``wrong``: the address serves other bytes than expected;
    ``discard``: what the part holds is of no use.
    """

    def __init__(
        self, reason: str, *, again: bool = False, wrong: bool = False, discard: bool = False
    ) -> None:
        super().__init__(reason)
        self.again = again
        self.wrong = wrong
        self.discard = discard


def transfer(wanted: Wanted, part: Path, advance: Advance, patience: Patience, way_out: str) -> None:
    """Complete ``part`` from the first address that serves the right bytes.

    ``way_out`` ends the message of a failure: the command to run instead.

    Raises:
        IntegrityError: no address served the file, and at least one served other bytes.
        ResourceError: no address served the file; what arrived is kept in ``part``.
    """
    reasons: list[str] = []
    wrong = False
    for address in wanted.addresses:
        try:
            _from_address(wanted, address, part, advance, patience)
            return
        except Fault as fault:
            reasons.append(f"{address}: {fault}")
            wrong = wrong or fault.wrong
    kind = IntegrityError if wrong else ResourceError
    raise kind(f"{wanted.name} could not be downloaded ({'; '.join(reasons)}); {way_out}")


def _from_address(wanted: Wanted, address: str, part: Path, advance: Advance, patience: Patience) -> None:
    """Try one address until the part is right, or :class:`Fault` says why not."""
    furthest = part_size(part)
    worth = _WORTH if wanted.size is None else min(_WORTH, 1 + wanted.size // 100)
    failures = 0
    started_over = False
    while True:
        resumed = part_size(part) > 0
        try:
            _one_try(wanted, address, part, advance, patience)
            _check(wanted, part)
            return
        except Fault as fault:
            if fault.discard:
                start_over(part)
                if resumed and not started_over:  # the earlier bytes may have been the wrong ones
                    started_over = True
                    furthest = 0
                    continue
            if not fault.again:
                raise
            if part_size(part) >= furthest + worth:  # slow hosts break often: progress buys more tries
                furthest = part_size(part)
                failures = 0
            failures += 1
            if failures >= patience.tries:
                raise
            patience.sleep(patience.pause * 2 ** (failures - 1))


def _one_try(wanted: Wanted, address: str, part: Path, advance: Advance, patience: Patience) -> None:
    """One request, appended to the part."""
    have = part_size(part)
    if wanted.size is not None and have >= wanted.size:
        return  # complete already: the check decides
    headers = {"Accept-Encoding": "identity"}
    if have:
        validator = read_notes(part).get("validator") if not resumes_elsewhere(part, address) else None
        if validator is None and wanted.sha256 is None:
            have = 0  # nothing could tell whether the rest belongs to what is here
        else:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
    with _network_faults(), ask(address, headers, patience.timeout, wanted.most) as answer:
        if answer.status == 416:
            _range_refused(answer, part, have)
            return
        start, total = _where_it_starts(wanted, answer, have)
        with disk_errors(part, total), open_part(part) as file:
            _pour(wanted, answer, file, start, total, advance, lambda: _write_notes(part, address, answer))


@contextlib.contextmanager
def _network_faults() -> Iterator[None]:
    """Everything that a network can do to us, as :class:`Fault`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise Fault(f"status {error.code} {_one_line(error.reason)}", again=error.code in _AGAIN) from None
    except ssl.SSLCertVerificationError as error:
        raise Fault(f"its certificate is not trusted: {error.verify_message}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise Fault(f"its certificate is not trusted: {error.reason.verify_message}") from error
        # a name that is not found, or a host that refuses, is not worth waiting for when there are mirrors
        hopeless = isinstance(error.reason, (str, socket.gaierror, ConnectionRefusedError))
        raise Fault(_one_line(error.reason), again=not hopeless) from error
    except (OSError, http.client.HTTPException) as error:
        raise Fault(_one_line(error), again=not isinstance(error, http.client.InvalidURL)) from error


def _one_line(error: object) -> str:
    """What went wrong in words, without the errno."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text)[:_LONGEST].split())


def _where_it_starts(wanted: Wanted, answer: Answer, have: int) -> tuple[int, int | None]:
    """The offset of the answer's first byte and the size of the whole file (None: unknown)."""
    if "html" in answer.header("Content-Type").lower():
        raise Fault(_HTML)
    length = _number(answer.header("Content-Length"))
    start, total = 0, length
    if answer.status == 206:
        match = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", answer.header("Content-Range").strip()
        )
        if match is None or int(match[1]) != have:
            raise Fault("its answer to a resumed transfer makes no sense", again=True, discard=True)
        start, total = have, _number(match[2])
    if wanted.size is not None and total is not None and total != wanted.size:
        raise Fault(f"expected {wanted.size} bytes, found {total}", wrong=True)
    return start, total if wanted.size is None else wanted.size


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _range_refused(answer: Answer, part: Path, have: int) -> None:
    """Status 416: the part is complete, or it is not a part of this file."""
    match = re.fullmatch(r"bytes \*/([0-9]{1,18})", answer.header("Content-Range").strip())
    if match is None or int(match[1]) != have:
        start_over(part)
        raise Fault("it refused to resume the transfer", again=True)


def _pour(
    wanted: Wanted,
    answer: Answer,
    file: BinaryIO,
    start: int,
    total: int | None,
    advance: Advance,
    note: Callable[[], None],
) -> None:
    """Write the answer's body from ``start`` on, not more than was promised."""
    most = wanted.most if total is None else total
    with _network_faults():
        block = answer.read(_BLOCK)
    if start == 0 and block[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise Fault(_HTML)
    # only now, with a block that may be right, are bytes given up that came from elsewhere
    file.truncate(start)
    file.seek(start)
    note()
    done = start
    advance(wanted.name, done, total)
    while block:
        if done + len(block) > most:
            raise Fault(f"expected {most} bytes, found more; stopped", wrong=True, discard=True)
        step("write", Path(file.name))
        file.write(block)
        done += len(block)
        advance(wanted.name, done, total)
        with _network_faults():
            block = answer.read(_BLOCK)
    if total is not None and done < total:
        raise Fault(f"the connection broke after {done} of {total} bytes", again=True)


def _check(wanted: Wanted, part: Path) -> None:
    """Compare a complete part with what is known of the file."""
    size = part_size(part)
    if wanted.size is not None and size != wanted.size:
        raise Fault(f"expected {wanted.size} bytes, found {size}", wrong=True, discard=True)
    if wanted.sha256 is None:
        return
    with disk_errors(part):
        found = sha256_of(part)
    if found != wanted.sha256:
        raise Fault(f"expected sha256 {wanted.sha256}, found {found}", wrong=True, discard=True)


def _write_notes(part: Path, address: str, answer: Answer) -> None:
    """Keep the address, and the validator if it is a strong one (If-Range wants nothing else)."""
    strong = answer.header("ETag") if answer.header("ETag").startswith('"') else ""
    validator, notes = strong or answer.header("Last-Modified"), {"address": address}
    # Sent back as it is: what could not stand in a header would spoil every later try.
    if validator.isascii() and validator.isprintable() and 0 < len(validator) <= _LONGEST:
        notes["validator"] = validator
    write_json(notes_path(part), notes)
