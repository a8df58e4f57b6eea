"""Rows of arrays that stay in their file, ahead of whoever works on them; arrays in memory come as they are.

Pieces go into two buffers, in turns: while one is worked on, a thread reads the next. Whoever works on pieces
gets, bit for bit, what the whole array in memory gives: a tile never begins or ends elsewhere because a piece
does (:func:`pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import numpy as np

from linclass_cli import on_disk
from linclass_cli.memory import buffer_bytes
from linclass_cli.on_disk import OnDisk, buffer_rows, buffer_steps
from linclass_cli.spread import AnyRows, here

Array = np.ndarray[Any, np.dtype[Any]]
T = TypeVar("T")


def pieces(X: AnyRows, blocks: Sequence[Array], step: int) -> Iterator[tuple[int, Array, Array, slice]]:
    """What a pass over blocks of rows works on: (which block, features, rows of those, what of the block).

    blocks: int64 (m,), ascending each. In memory each block comes whole. From a file all blocks are read
    together, in pieces, and each comes in parts, in its order, that begin at multiples of ``step``: whoever
    works on ``step`` rows at a time, and goes on where it was, computes the same in both cases. The features
    are for one turn: the buffer is filled again.
    """
    X = here(X)
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


def shuffled(X: AnyRows, rows: Array, batch: int) -> Iterator[tuple[Array, Array, slice]]:
    """Rows int64 (m,) in any order, by whole batches: (features, rows of those, which of the rows).

    Raises ResourceError where a batch is larger than the memory that is left.
    """
    X = here(X)
    if not isinstance(X, OnDisk):
        yield X, rows, slice(0, len(rows))
        return
    batch = min(batch, len(rows))
    what = f"a batch of {batch:,} images"
    most = buffer_bytes(2 * X.width * batch, 2 * on_disk.PIECE_BYTES, what=what, less="--batch-size")
    count = max(1, most // 2 // max(1, X.width) // batch) * batch
    parts = [slice(start, min(start + count, len(rows))) for start in range(0, len(rows), count)]

    def read(at: slice, buffer: Array) -> tuple[Array, Array, slice]:
        return buffer, X.gather(rows[at], buffer), at

    # In ascending order, as of a single batch, what lies between rows is read along.
    room = max(buffer_rows(X, rows[at]) for at in parts)
    yield from _ahead((partial(read, at) for at in parts), X, room)


class _Reader:
    """A thread that reads, and two buffers: kept for the next block, as new memory costs time to be had."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="linclass-read")
        self.rooms = [np.empty(0, np.uint8)] * 2

    def buffers(self, X: OnDisk, rows: int) -> list[Array]:
        size = rows * X.width
        if self.rooms[0].nbytes < size or self.rooms[0].nbytes > max(size, 2 * on_disk.PIECE_BYTES):
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
    ends = np.cumsum(buffer_steps(X, rows))  # rows of a buffer up to each one, if there were no pieces
    starts = [0]
    while True:
        first = starts[-1]
        after = int(np.searchsorted(ends, ends[first] + room - 1, "right"))
        if after >= len(rows):
            return starts, min(room, int(ends[-1]))
        starts.append(after)
