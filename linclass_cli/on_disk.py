"""Arrays that stay in their file: rows are read when they are wanted.

A memory map counts in full against a limit of address space, and what does not stay in memory is waited for
a few pages at a time. So what surpasses the memory that there is (`memory.stays_on_disk`) is read, in large
pieces: `read_ahead` says how passes get them.
"""

from __future__ import annotations

import hashlib
import math
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.errors import ResourceError
from linclass_cli.memory import buffer_bytes
from linclass_cli.regular import open_regular
from linclass_cli.threads import in_force

Array = np.ndarray[Any, np.dtype[Any]]

_GAP = 1 << 16  # bytes between two wanted rows that are read along: the way to the second would last longer
# Bytes of one buffer, at most: disks need large reads, and what is larger stays in no cache.
PIECE_BYTES = 8 << 20


class _Source:
    """An open file, closed when the last array of it is gone."""

    def __init__(self, path: Path) -> None:
        self.file = open_regular(path)  # what has the name later is another file
        weakref.finalize(self, self.file.close)


class OnDisk:
    """An array of n rows in a file: ``shape`` (n, …), ``dtype``; row follows row, the first at ``offset``.

    ``X[a:b]``, ``X[rows]``, rows int64 (m,) in any order, and ``X[row]`` are copies. Raises ResourceError
    where the file cannot be read or is too short, ``OSError`` where it cannot be opened.
    """

    def __init__(
        self, path: Path, offset: int, shape: Sequence[int], dtype: Any, source: _Source | None = None
    ) -> None:
        self.path, self.offset, self.shape = path, offset, tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.width = row_bytes(self)
        self._source = source or _Source(path)

    def view(self, offset: int, shape: Sequence[int], dtype: Any) -> OnDisk:
        """Another array of the same open file, ``offset`` bytes on: what was verified is what is read."""
        return OnDisk(self.path, self.offset + offset, shape, dtype, self._source)

    @cached_property
    def piece(self) -> int:
        """Rows of a buffer, by the memory that there is."""
        return max(1, buffer_bytes(2 * self.width, 2 * PIECE_BYTES, in_force()) // 2 // max(1, self.width))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def empty(self, rows: int) -> Array:
        """Room for so many rows."""
        return np.empty((rows, *self.shape[1:]), self.dtype)

    def read(self, first: int, out: Array) -> Array:
        """Fill ``out`` (m, …), C-contiguous, with the rows from ``first`` on; ``out`` again."""
        read_bytes(self._source.file.fileno(), self.path, self.offset + first * self.width, out)
        return out

    def __getitem__(self, which: slice | Array | int) -> Array:
        if isinstance(which, int | np.integer):
            return np.asarray(self.take(np.array([which]))[0])
        if isinstance(which, slice):
            start, stop, _ = which.indices(len(self))
            return self.read(start, self.empty(max(0, stop - start)))
        return self.take(np.asarray(which))

    def take(self, rows: Array, columns: slice = slice(None)) -> Array:
        """A copy of the rows, int64 (m,) in any order, or of some of their columns."""
        if columns.indices(self.shape[1])[:2] != (0, self.shape[1]):
            return self._columns(rows, columns)
        out = self.empty(len(rows))
        for start, stop in spans(self, 0, len(rows)):
            buffer = self.empty(buffer_rows(self, rows[start:stop]))
            np.take(buffer, self.gather(rows[start:stop], buffer), axis=0, out=out[start:stop])
        return out

    def _columns(self, rows: Array, columns: slice) -> Array:
        """A row's columns lie together, and apart from the next row's."""
        first, last, _ = columns.indices(self.shape[1])
        out = np.empty((len(rows), last - first), self.dtype)
        for row, values in zip(rows.tolist(), out, strict=True):
            at = self.offset + row * self.width + first * self.dtype.itemsize
            read_bytes(self._source.file.fileno(), self.path, at, values)
        return out

    def gather(self, rows: Array, buffer: Array) -> Array:
        """Read the rows, int64 (m,), and what little is between them, into ``buffer``; where they are there.

        The buffer has room for :func:`buffer_rows` of them.
        """
        order = None if _ascending(rows) else np.argsort(rows, kind="stable")
        wanted = rows if order is None else rows[order]
        # Of rows in no order all is read alone: what lies between two of them is seldom wanted, too.
        new = np.flatnonzero(np.diff(wanted) > (_gap(self) if order is None else 1)) + 1
        firsts, lasts = np.append(0, new), np.append(new, len(wanted)) - 1
        starts, stops = wanted[firsts], wanted[lasts] + 1
        lengths = stops - starts
        places = np.cumsum(lengths) - lengths
        if len(starts) > 1:
            self._announce(starts, lengths)
        for start, length, place in zip(starts.tolist(), lengths.tolist(), places.tolist(), strict=True):
            self.read(start, buffer[place : place + length])
        local = wanted + np.repeat(places - starts, lasts - firsts + 1)
        if order is None:
            return np.asarray(local)
        where = np.empty_like(local)
        where[order] = local
        return np.asarray(where)

    def _announce(self, starts: Array, lengths: Array) -> None:
        """Tell the system what will be read, so that the disk is asked for all of it at once."""
        if not hasattr(os, "posix_fadvise"):
            return
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            at, size = self.offset + start * self.width, length * self.width
            os.posix_fadvise(self._source.file.fileno(), at, size, os.POSIX_FADV_WILLNEED)


class NewRows(OnDisk):
    """Rows that are being written: ``X[a:b] = values`` puts them into the file by ``write(bytes, place)``."""

    def __init__(
        self, path: Path, offset: int, shape: Sequence[int], dtype: Any, write: Callable[[Any, int], None]
    ) -> None:
        super().__init__(path, offset, shape, dtype)
        self._write = write

    def __setitem__(self, which: slice, values: Array) -> None:
        start, stop, _ = which.indices(len(self))
        # As arrays do, it takes one value, or row, for all.
        rows = np.ascontiguousarray(np.broadcast_to(values, (stop - start, *self.shape[1:])), self.dtype)
        if rows.size:
            self._write(rows.reshape(-1).view(np.uint8), self.offset + start * self.width)


def spans(X: Array | OnDisk, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Rows ``start`` to ``stop``, a buffer's at a time."""
    most = max(1, PIECE_BYTES // max(1, row_bytes(X)))
    for first in range(start, stop, most):
        yield first, min(first + most, stop)


def sha256_of_rows(X: OnDisk) -> str:
    """Of all their bytes, hex, read a buffer at a time."""
    found = hashlib.sha256()
    for start, stop in spans(X, 0, len(X)):
        found.update(X[start:stop].data)
    return found.hexdigest()


def row_bytes(X: Array | OnDisk) -> int:
    return math.prod(X.shape[1:]) * int(X.dtype.itemsize)


def read_bytes(file: int, path: Path, at: int, out: Array) -> None:
    """Fill ``out``, C-contiguous, with the bytes of an open file from ``at`` on. Raises ResourceError."""
    view = out.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        try:
            got = os.preadv(file, [view[done:]], at + done)
        except OSError as error:
            raise ResourceError(f"cannot read {path}: {error.strerror}") from error
        if got == 0:
            raise ResourceError(f"cannot read {path}: it ends before byte {at + len(view):,}")
        done += got


def buffer_steps(X: OnDisk, rows: Array) -> Array:
    """Rows of a buffer that each of ascending rows takes, with the gap before it where that is read along."""
    steps = np.diff(rows, prepend=rows[:1] - 1)
    return np.where(steps > _gap(X), 1, steps)


def buffer_rows(X: OnDisk, rows: Array) -> int:
    """Rows of a buffer that these take, in whatever order they are."""
    return int(buffer_steps(X, rows).sum()) if _ascending(rows) else len(rows)


def _gap(X: OnDisk) -> int:
    """How far a row is from the one before, at most, where what is between is read along."""
    return 1 + _GAP // max(1, X.width)


def _ascending(rows: Array) -> bool:
    return bool((rows[1:] >= rows[:-1]).all())
