"""Sums over rows, block by block: the same to the last bit whoever makes them.

Rows are cut by those of X, all that there are, into a power of two of blocks. Their sums are added in a
binary tree: each with its neighbour, then pair with pair, and so on. So whoever has a branch of the tree, as
half of the blocks or a quarter, can add it up alone, and adding the branches' sums goes on as if one had made
them all. The numbers of blocks depend on shapes alone; threads, processes and machines only share them out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from linclass_cli.on_disk import OnDisk
from linclass_cli.spread import AnyRows, Array, Spread
from linclass_cli.threads import Spans, in_chunks

Sums = tuple[Array, ...]
# block(rows, at, kept, *args): sums over the positions ``at`` of the rows, new arrays of float64 or int64;
# what is to be kept comes after them.
Block = Callable[..., tuple[Any, ...]]
Kept = Any  # a list of what each block keeps, or what stands for one that is elsewhere

# A pass has MOST blocks of at least LEAST_ROWS, or as many more as have ROWS each.
MOST, LEAST_ROWS, ROWS = 32, 256, 8192
# What is shared out among machines are branches, of so many blocks where there are as many as above.
BLOCKS_OF_A_BRANCH = 8


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of X (n, d): ``rows`` int64 (m,), ascending. Nothing is copied."""

    X: Any  # AnyRows; None on the way to where they are
    rows: Array

    def within(self, X: AnyRows | None, first: int, at: slice) -> Self:
        """Those at the positions ``at``, in an X that begins with the row ``first`` of this one."""
        return replace(self, X=X, rows=self.rows[at] - first)


@dataclass(frozen=True)
class Pass:
    """What is done to each block, and how two sums become one: ``join``, np.add or np.maximum.

    ``singly``: one block after the other, each with all threads, where their sums take too much memory.
    ``parts`` > 1: blocks have so many parts, which threads can work on apart from each other.
    ``block(rows, at, kept, which, *args)`` gives a list of what comes of the parts ``which``, and
    ``whole(rows, args, all of them)`` what `Block` gives.
    """

    block: Block
    args: tuple[Any, ...]
    join: np.ufunc = np.add
    singly: bool = False
    parts: int = 1
    whole: Callable[..., tuple[Any, ...]] | None = None


def count_blocks(m: int, n: int, least: int = LEAST_ROWS) -> int:
    """Blocks of a pass over m of n rows, a power of two; ``least``: rows of a block where there are few."""
    return max(_power_of_two(min(MOST, m // least), m // ROWS), count_branches(n))


def count_branches(n: int) -> int:
    """The most branches that n rows are shared out in: every pass has as many blocks, at least."""
    return max(1, _power_of_two(min(MOST, n // LEAST_ROWS), n // ROWS) // BLOCKS_OF_A_BRANCH)


def _power_of_two(*counts: int) -> int:
    """The largest that is not above the largest count."""
    return 1 << (max(1, *counts).bit_length() - 1)


def first_rows(n: int, blocks: int) -> Array:
    """The first row of each block, and n: int64 (blocks + 1,). Half as many blocks begin at half of them."""
    return np.arange(blocks + 1, dtype=np.int64) * n // blocks


def sum_blocks(rows: Rows, work: Pass, kept: Kept = None, least: int = LEAST_ROWS) -> Sums:
    """The sums over all blocks; ``kept``: what `keep_blocks` gave.

    ``least``: rows of a block at least, of those that cost much themselves.
    """
    starts = _starts(rows, least)
    if isinstance(rows.X, Spread):
        return rows.X.sum_blocks(rows, starts, work, kept)
    return sum_run(rows, starts, work, kept)


def keep_blocks(rows: Rows, work: Pass, least: int = LEAST_ROWS) -> tuple[Sums, Kept]:
    """The sums, and what each block keeps for the passes to come."""
    starts = _starts(rows, least)
    if isinstance(rows.X, Spread):
        return rows.X.keep_blocks(rows, starts, work)
    return keep_run(rows, starts, work)


def _starts(rows: Rows, least: int) -> Array:
    """The position of each block's first row, and their number."""
    n = len(rows.X)
    return np.searchsorted(rows.rows, first_rows(n, count_blocks(len(rows.rows), n, least)))


def sum_run(rows: Rows, starts: Array, work: Pass, kept: Kept = None, keep: list[Any] | None = None) -> Sums:
    """The sums over a run of blocks that is a branch: starts (blocks + 1,), as `_starts` gives them.

    ``keep``: a list, with a place for what each block keeps.
    """
    blocks = len(starts) - 1
    tree = Tree(blocks, work.join)

    def done(t: int, found: tuple[Any, ...]) -> None:
        if keep is not None:
            found, keep[t] = found[:-1], found[-1]
        tree.add(t, found)

    def begin(t: int) -> tuple[slice, Any]:
        return slice(int(starts[t]), int(starts[t + 1])), None if kept is None else kept[t]

    def one(spans: Spans) -> None:
        for t, _ in spans:
            if work.whole is None:
                done(t, work.block(rows, *begin(t), *work.args))
            else:
                parts = work.block(rows, *begin(t), range(work.parts), *work.args)
                done(t, work.whole(rows, work.args, parts))

    if work.singly:
        one((t, t + 1) for t in range(blocks))
    elif work.whole is None or isinstance(rows.X, OnDisk):  # all parts of a block are read together
        in_chunks(one, blocks)
    else:
        _sum_parts(rows, blocks, work, begin, done)
    return tree.total


def _sum_parts(
    rows: Rows,
    blocks: int,
    work: Pass,
    begin: Callable[[int], tuple[slice, Any]],
    done: Callable[[int, tuple[Any, ...]], None],
) -> None:
    """Every part of every block by itself; whoever is the last of a block puts it together."""
    found: list[list[Any]] = [[None] * work.parts for _ in range(blocks)]
    left, lock, whole = [work.parts] * blocks, threading.Lock(), work.whole
    assert whole is not None

    def one(spans: Spans) -> None:
        for i, _ in spans:
            t, part = divmod(i, work.parts)
            (found[t][part],) = work.block(rows, *begin(t), [part], *work.args)
            with lock:
                left[t] -= 1
                last = left[t] == 0
            if last:
                done(t, whole(rows, work.args, found[t]))
                found[t] = []

    in_chunks(one, blocks * work.parts)


def keep_run(rows: Rows, starts: Array, work: Pass) -> tuple[Sums, Kept]:
    """The same, with a list of what the blocks keep."""
    kept: list[Any] = [None] * (len(starts) - 1)
    return sum_run(rows, starts, work, keep=kept), kept


class Tree:
    """Joins a power of two of sums, that come in whatever order, in pairs of neighbours, level by level.

    What waits for its neighbour is all that is held: of n sums that come in order, log2 n.
    """

    def __init__(self, count: int, join: np.ufunc = np.add) -> None:
        self._count, self._join, self._lock = count, join, threading.Lock()
        self._waiting: dict[tuple[int, int], Sums] = {}

    def add(self, t: int, sums: Sums) -> None:
        """The sums number t; they are the tree's from now on."""
        left = self._count
        while left > 1:
            with self._lock:
                other = self._waiting.pop((left, t ^ 1), None)
                if other is None:
                    self._waiting[left, t] = sums
                    return
            for own, more in zip(sums, other, strict=True):
                self._join(own, more, out=own)  # of two numbers, in either order, the sum is the same
            left, t = left // 2, t // 2
        self._waiting[1, 0] = sums

    @property
    def total(self) -> Sums:
        """The sum of all, when all are there."""
        return self._waiting[1, 0]
