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

from linclass_cli.spread import AnyRows, Array, Spread
from linclass_cli.threads import Spans, in_chunks

Sums = tuple[Array, ...]
# block(rows, at, kept, *args): sums over the positions ``at`` of the rows, new arrays of float64 or int64;
# what is to be kept comes after them.
Block = Callable[..., tuple[Any, ...]]
Kept = Any  # a list of what each block keeps, or what stands for one that is elsewhere

# Blocks for few rows, and how many rows a block has at least, and where there are more blocks than MOST.
MOST, LEAST_ROWS, ROWS = 32, 256, 8192
# What is shared out among machines are branches: of a quarter of that many blocks, there is one for each.
COARSER = 4


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
    """

    block: Block
    args: tuple[Any, ...]
    join: np.ufunc = np.add
    singly: bool = False


def _count(rows: int) -> int:
    return max(1, min(MOST, rows // LEAST_ROWS), rows // ROWS)


def count_blocks(m: int, n: int, coarse: bool = False) -> int:
    """Blocks of a pass over m of n rows, a power of two; ``coarse``: fewer, where each block costs more."""
    wanted = max(_count(m) // COARSER if coarse else _count(m), count_branches(n))
    return 1 << (int(wanted).bit_length() - 1)


def count_branches(n: int) -> int:
    """The most branches that n rows are shared out in: every pass has as many blocks, at least."""
    return 1 << (max(1, _count(n) // COARSER).bit_length() - 1)


def first_rows(n: int, blocks: int) -> Array:
    """The first row of each block, and n: int64 (blocks + 1,). Half as many blocks begin at half of them."""
    return np.arange(blocks + 1, dtype=np.int64) * n // blocks


def sum_blocks(
    rows: Rows,
    block: Block,
    *args: Any,
    kept: Kept = None,
    coarse: bool = False,
    singly: bool = False,
    join: np.ufunc = np.add,
) -> Sums:
    """The sums of ``block(rows, at, kept, *args)`` over all blocks; ``kept``: what `keep_blocks` gave."""
    starts, work = _starts(rows, coarse), Pass(block, args, join, singly)
    if isinstance(rows.X, Spread):
        return rows.X.sum_blocks(rows, starts, work, kept)
    return sum_run(rows, starts, work, kept)


def keep_blocks(rows: Rows, block: Block, *args: Any, coarse: bool = False) -> tuple[Sums, Kept]:
    """The sums, and what each block keeps for the passes to come."""
    starts, work = _starts(rows, coarse), Pass(block, args)
    if isinstance(rows.X, Spread):
        return rows.X.keep_blocks(rows, starts, work)
    return keep_run(rows, starts, work)


def _starts(rows: Rows, coarse: bool) -> Array:
    """The position of each block's first row, and their number."""
    n = len(rows.X)
    return np.searchsorted(rows.rows, first_rows(n, count_blocks(len(rows.rows), n, coarse)))


def sum_run(rows: Rows, starts: Array, work: Pass, kept: Kept = None) -> Sums:
    """The sums over a run of blocks that is a branch: starts (blocks + 1,), as `_starts` gives them."""
    tree = Tree(len(starts) - 1, work.join)

    def one(spans: Spans) -> None:
        for t, _ in spans:
            at = slice(int(starts[t]), int(starts[t + 1]))
            tree.add(t, work.block(rows, at, None if kept is None else kept[t], *work.args))

    blocks = len(starts) - 1
    if work.singly:
        one((t, t + 1) for t in range(blocks))
    else:
        in_chunks(one, blocks)
    return tree.total


def keep_run(rows: Rows, starts: Array, work: Pass) -> tuple[Sums, Kept]:
    """The same, with a list of what the blocks keep."""
    kept: list[Any] = [None] * (len(starts) - 1)

    def keeping(rows: Rows, at: slice, t: int, *args: Any) -> Sums:
        *sums, kept[t] = work.block(rows, at, None, *args)
        return tuple(sums)

    return sum_run(rows, starts, replace(work, block=keeping), range(len(kept))), kept


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
