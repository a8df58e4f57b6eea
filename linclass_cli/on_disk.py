"""Arrays that stay in their file: rows are read when they are wanted, ahead of whoever works on them.

A memory map counts in full against a limit of address space, and what does not stay in memory is waited for
a few pages at a time. So what surpasses the memory that there is (`memory.stays_on_disk`) is read in large
pieces into two buffers, in turns: while a piece is worked on, a thread reads the next one.

Whoever works on pieces gets, bit for bit, what the whole array in memory gives: a tile never begins or ends
elsewhere because a piece does (:func:`pieces`).
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from linclass_cli.errors import ResourceError
from linclass_cli.memory import buffer_bytes
from linclass_cli.regular import open_regular
from linclass_cli.threads import in_force

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")

_GAP = 1 << 16  # bytes between two wanted rows that are read along: the way to the second would last longer
# Bytes of one buffer, at most: disks need large reads, and what is larger stays in no cache.
PIECE_BYTES = 8 << 20


class OnDisk:
    """An array of n rows in a file: ``shape`` (n, …), ``dtype``; row follows row, the first at ``offset``.

    ``X[a:b]`` and ``X[rows]``, rows int64 (m,) in any order, are copies. Raises ResourceError where the file
    cannot be read or is too short, ``OSError`` where it cannot be opened.
    """

    def __init__(self, path: Path, offset: int, shape: Sequence[int], dtype: Any) -> None:
        self.path, self.offset, self.shape = path, offset, tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.width = row_bytes(self)
        self._file = open_regular(path)  # what has the name later is another file
        weakref.finalize(self, self._file.close)

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
        read_bytes(self._file.fileno(), self.path, self.offset + first * self.width, out)
        return out

    def __getitem__(self, which: slice | Array) -> Array:
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
            buffer = self.empty(_room(self, rows[start:stop]))
            np.take(buffer, self.gather(rows[start:stop], buffer), axis=0, out=out[start:stop])
        return out

    def _columns(self, rows: Array, columns: slice) -> Array:
        """A row's columns lie together, and apart from the next row's."""
        first, last, _ = columns.indices(self.shape[1])
        out = np.empty((len(rows), last - first), self.dtype)
        for row, values in zip(rows.tolist(), out, strict=True):
            at = self.offset + row * self.width + first * self.dtype.itemsize
            read_bytes(self._file.fileno(), self.path, at, values)
        return out

    def gather(self, rows: Array, buffer: Array) -> Array:
        """Read the rows, int64 (m,), and what little is between them, into ``buffer``; where they are there.

        The buffer has room for :func:`_room` of them.
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
            os.posix_fadvise(self._file.fileno(), at, size, os.POSIX_FADV_WILLNEED)


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


def pieces(
    X: Array | OnDisk, blocks: Sequence[Array], step: int
) -> Iterator[tuple[int, Array, Array, slice]]:
    """What a pass over blocks of rows works on: (which block, features, rows of those, what of the block).

    blocks: int64 (m,), ascending each. In memory each block comes whole. From a file all blocks are read
    together, in pieces, and each comes in parts, in its order, that begin at multiples of ``step``: whoever
    works on ``step`` rows at a time, and goes on where it was, computes the same in both cases. The features
    are for one turn: the buffer is filled again.
    """
    if not isinstance(X, OnDisk):
        for i, rows in enumerate(blocks):
            yield i, X, rows, slice(0, len(rows))
        return
    wanted = blocks[0] if len(blocks) == 1 else np.sort(np.concatenate(blocks), kind="stable")
    if len(wanted) == 0:
        return
    tiles = [_Tile(X.empty(step)) for _ in blocks]
    starts, room = _cut(X, wanted)

    def read(rows: Array, buffer: Array) -> tuple[Array, Array, Array]:
        return rows, X.gather(rows, buffer), buffer

    jobs = (partial(read, rows) for rows in np.split(wanted, starts[1:]))
    for rows, local, buffer in _ahead(jobs, X, room):
        for i, (block, tile) in enumerate(zip(blocks, tiles, strict=True)):
            stop = int(np.searchsorted(block, rows[-1], "right"))
            if stop == tile.stop:
                continue
            own = block[tile.stop : stop]
            places = local if len(blocks) == 1 else local[np.searchsorted(rows, own)]
            for features, where, at in tile.feed(buffer, places, step, stop == len(block)):
                yield i, features, where, at


class _Tile:
    """The rows of a block that came last and are fewer than a step: they wait for the next piece."""

    def __init__(self, kept: Array) -> None:
        self.kept, self.count = kept, 0
        self.stop = 0  # rows of the block that came

    def feed(
        self, buffer: Array, places: Array, step: int, ends: bool
    ) -> Iterator[tuple[Array, Array, slice]]:
        """The next rows of the block are at these places of the buffer: what can be worked on by now."""
        first = self.stop - self.count
        self.stop += len(places)
        if self.count:
            more = min(step - self.count, len(places))
            np.take(buffer, places[:more], axis=0, out=self.kept[self.count : self.count + more])
            self.count, places = self.count + more, places[more:]
            if self.count == step or ends:
                yield self.kept, np.arange(self.count), slice(first, first + self.count)
                first, self.count = first + self.count, 0
        whole = len(places) if ends else len(places) // step * step
        if whole:
            yield buffer, places[:whole], slice(first, first + whole)
        left = places[whole:]
        if len(left):
            np.take(buffer, left, axis=0, out=self.kept[: len(left)])
            self.count = len(left)


def shuffled(X: Array | OnDisk, rows: Array, batch: int) -> Iterator[tuple[Array, Array, slice]]:
    """Rows int64 (m,) in any order, by whole batches: (features, rows of those, which of the rows).

    Raises ResourceError where a batch is larger than the memory that is left.
    """
    if not isinstance(X, OnDisk):
        yield X, rows, slice(0, len(rows))
        return
    batch = min(batch, len(rows))
    what = f"a batch of {batch:,} images"
    most = buffer_bytes(2 * X.width * batch, 2 * PIECE_BYTES, what=what, less="--batch-size")
    count = max(1, most // 2 // max(1, X.width) // batch) * batch
    parts = [slice(start, min(start + count, len(rows))) for start in range(0, len(rows), count)]

    def read(at: slice, buffer: Array) -> tuple[Array, Array, slice]:
        return buffer, X.gather(rows[at], buffer), at

    # In ascending order, as of a single batch, what lies between rows is read along.
    room = max(_room(X, rows[at]) for at in parts)
    yield from _ahead((partial(read, at) for at in parts), X, room)


class _Reader:
    """A thread that reads, and two buffers: kept for the next block, as new memory costs time to be had."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="linclass-read")
        self.rooms = [np.empty(0, np.uint8)] * 2

    def buffers(self, X: OnDisk, rows: int) -> list[Array]:
        size = rows * X.width
        if self.rooms[0].nbytes < size or self.rooms[0].nbytes > max(size, 2 * PIECE_BYTES):
            self.rooms.clear()
            self.rooms = [np.empty(size, np.uint8) for _ in range(2)]
        return [room[:size].view(X.dtype).reshape(rows, *X.shape[1:]) for room in self.rooms]


_idle: list[_Reader] = []  # as many as there were at once


def _ahead(jobs: Iterator[Callable[[Array], T]], X: OnDisk, rows: int) -> Iterator[T]:
    """What the jobs make of two buffers of so many rows, each begun before the one before it is worked on."""
    reader = _idle.pop() if _idle else _Reader()
    buffers = reader.buffers(X, rows)
    reading: Future[T] | None = None
    following: Future[T] | None = None
    try:
        for i, job in enumerate(jobs):
            following = reader.pool.submit(job, buffers[i % 2])
            if reading is not None:
                yield reading.result()
            reading = following
        if reading is not None:
            yield reading.result()
    finally:
        if following is not None and not following.cancel():
            wait([following])  # it fills a buffer that somebody else gets
        _idle.append(reader)


def _cut(X: OnDisk, rows: Array) -> tuple[list[int], int]:
    """Where pieces of ascending rows begin, and the rows that a buffer has room for."""
    room = X.piece
    ends = np.cumsum(_steps(X, rows))  # rows of a buffer up to each one, if there were no pieces
    starts = [0]
    while True:
        first = starts[-1]
        after = int(np.searchsorted(ends, ends[first] + room - 1, "right"))
        if after >= len(rows):
            return starts, min(room, int(ends[-1]))
        starts.append(after)


def _steps(X: OnDisk, rows: Array) -> Array:
    """Rows of a buffer that each of ascending rows takes, with the gap before it where that is read along."""
    steps = np.diff(rows, prepend=rows[:1] - 1)
    return np.where(steps > _gap(X), 1, steps)


def _room(X: OnDisk, rows: Array) -> int:
    """Rows of a buffer that these take, in whatever order they are."""
    return int(_steps(X, rows).sum()) if _ascending(rows) else len(rows)


def _gap(X: OnDisk) -> int:
    """How far a row is from the one before, at most, where what is between is read along."""
    return 1 + _GAP // max(1, X.width)


def _ascending(rows: Array) -> bool:
    return bool((rows[1:] >= rows[:-1]).all())
