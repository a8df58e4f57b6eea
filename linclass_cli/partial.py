"""The finished rows of an extraction that lasts, so that the next one need not compute them again.

They lie in a folder ``features/.<name>.h5.partial``, a file for each block of rows, written whole or not at
all. Its first line is a digest of what the rows are (a key, the part, which rows) and of their bytes; a block
that does not match is not believed, and its rows are computed again. Several processes may keep blocks in the
same folder, or one may remove it under another: blocks are only ever work saved.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from linclass_cli.atomic import discard, new_file, replacing
from linclass_cli.errors import InputError, ResourceError
from linclass_cli.on_disk import Array, NewRows, row_bytes, spans

Span = tuple[int, int]

SECONDS = 2.0  # of work at least before it is kept: short extractions write nothing
SHARE = 0.02  # of the time so far: long ones write hundreds of blocks, not thousands
_BLOCK = re.compile(r"(train|test)-(\d{1,15})-(\d{1,15})")
_LINE = 64 + 1  # the digest, in hex


def partial_folder(path: Path) -> Path:
    """Where the finished rows of a feature file are kept until it is there."""
    return path.with_name(f".{path.name}.partial")


def blocks(folder: Path) -> Iterator[tuple[str, int, int, Path]]:
    """(part, first row, row behind the last, file) of each block by its name; nothing is read."""
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if match := _BLOCK.fullmatch(path.name):
                yield match[1], int(match[2]), int(match[3]), path


class Partial:
    """Keeps and finds blocks of rows. Leave its ``with`` block by an exception but InputError, and they stay.

    key: of all that decides the rows' values, to the last bit; asked for once there are blocks.
    """

    def __init__(self, folder: Path, key: Callable[[], str]) -> None:
        self.folder, self._make_key = folder, key
        self.rows = 0  # of blocks that were found or written
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="linclass-partial")
        self._began = self._last = time.monotonic()
        self._waiting: list[tuple[str, NewRows | Array, int, int]] = []
        self._writing: Future[None] | None = None
        self._full = False

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Of what cannot be (float16 is too small for it) there is nothing to go on with.
        over = kind is None or issubclass(kind, InputError)
        # After an interrupt nobody waits for a block that is being written.
        self._pool.shutdown(wait=over, cancel_futures=True)
        if over:
            discard(self.folder)

    def take(self, part: str, X: NewRows | Array) -> list[Span]:
        """Fill X (n, d), rows of the file, with the rows that are kept; the spans of those that are not."""
        there = np.zeros(len(X), np.bool_)
        for name, start, stop, path in blocks(self.folder):
            if name == part and start < stop <= len(X) and not there[start:stop].all():
                there[start:stop] = self._read(path, part, X, start, stop)
        self.rows += int(there.sum())
        edges = np.flatnonzero(np.diff(there, prepend=True, append=True))
        return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]

    def add(self, part: str, X: NewRows | Array, start: int, stop: int) -> None:
        """Rows ``start`` to ``stop`` of X are done, and will not change: keep them, when it is time."""
        if self._waiting and self._waiting[-1][0] == part and self._waiting[-1][3] == start:
            start = self._waiting.pop()[2]
        self._waiting.append((part, X, start, stop))
        now = time.monotonic()
        due = now - self._last >= max(SECONDS, SHARE * (now - self._began))
        if due and not self._full and (self._writing is None or self._writing.done()):
            self._last = now
            self._writing = self._pool.submit(self._write, self._waiting)
            self._waiting = []

    def _write(self, waiting: list[tuple[str, NewRows | Array, int, int]]) -> None:
        for part, X, start, stop in waiting:
            digest = self._digest(part, X, start, stop)
            for first, last in spans(X, start, stop):
                digest.update(X[first:last].data)
            line = digest.hexdigest().encode() + b"\n"
            path = self.folder / f"{part}-{start:012}-{stop:012}"
            try:
                size = len(line) + (stop - start) * row_bytes(X)
                with replacing(path, size) as temporary, new_file(temporary, size) as write:
                    write(line)
                    for first, last in spans(X, start, stop):
                        write(X[first:last].data)
            except ResourceError:
                self._full = True  # the features themselves have their room: they are not held up
                return
            self.rows += stop - start

    def _read(self, path: Path, part: str, X: NewRows | Array, start: int, stop: int) -> bool:
        """Read a block into its rows; whether it is what it should be."""
        digest = self._digest(part, X, start, stop)
        try:
            with path.open("rb", buffering=0) as file:
                line = file.read(_LINE)
                for first, last in spans(X, start, stop):
                    rows = np.empty((last - first, *X.shape[1:]), X.dtype)
                    if file.readinto(rows.data.cast("B")) != rows.nbytes:
                        return False
                    digest.update(rows.data)
                    X[first:last] = rows
                whole = not file.read(1)
        except OSError:
            return False
        return whole and line == digest.hexdigest().encode() + b"\n"

    @cached_property
    def _key(self) -> str:
        return self._make_key()

    def _digest(self, part: str, X: NewRows | Array, start: int, stop: int) -> Any:
        """A sha256 of what the rows are, to be fed with their bytes."""
        return hashlib.sha256(f"{self._key} {part} {start} {stop} {X.shape[1]}\n".encode())
