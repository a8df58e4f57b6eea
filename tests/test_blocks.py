"""Sums over blocks: the same bits, whoever makes which of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linclass_cli.blocks import (
    MOST,
    Pass,
    Rows,
    Tree,
    count_blocks,
    count_branches,
    first_rows,
    keep_blocks,
    sum_blocks,
    sum_run,
)
from linclass_cli.threads import use_threads


def column_sums(data: Rows, at: slice, kept: object, factor: float = 1.0) -> tuple[np.ndarray, ...]:
    own = data.X[data.rows[at]] * np.float32(factor)
    return own.sum(axis=0).astype(np.float64), np.array([len(own)])


def largest(data: Rows, at: slice, _: None) -> tuple[np.ndarray, ...]:
    return (data.X[data.rows[at]].max(axis=0, initial=-np.inf).astype(np.float64),)


def some_rows(n: int = 9000, d: int = 3) -> Rows:
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-6, 7, (n, 1))).astype(np.float32)
    return Rows(X, np.flatnonzero(rng.random(n) < 0.7))


def by_hand(sums: list[np.ndarray]) -> np.ndarray:
    """The tree, written down: pairs of neighbours, until one is left."""
    while len(sums) > 1:
        sums = [sums[i] + sums[i + 1] for i in range(0, len(sums), 2)]
    return sums[0]


@given(m=st.integers(0, 10**10), more=st.integers(0, 10**10), least=st.sampled_from([256, 2048, 8192]))
def test_blocks_are_a_power_of_two_and_at_least_the_branches(m, more, least):
    n = m + more
    blocks, branches = count_blocks(m, n, least), count_branches(n)
    assert blocks & (blocks - 1) == branches & (branches - 1) == 0
    assert blocks >= branches
    assert blocks <= max(MOST, m // 8192, branches)
    assert blocks == 1 or blocks == branches or m // blocks >= min(least, 8192)


def test_blocks_of_half_as_many_begin_where_two_do():
    for n in (1, 5, 31, 1000, 50_000, 123_457):
        for blocks in (2, 8, 32, 64):
            np.testing.assert_array_equal(first_rows(n, blocks)[::2], first_rows(n, blocks // 2))


@given(order=st.permutations(range(16)))
def test_a_tree_does_not_depend_on_the_order_of_what_comes(order):
    values = np.random.default_rng(1).standard_normal((16, 4)) * 10.0 ** np.arange(16)[:, None]
    tree = Tree(16)
    for t in order:
        tree.add(t, (values[t].copy(),))
    np.testing.assert_array_equal(tree.total[0], by_hand(list(values)))


@pytest.mark.parametrize("branches", [1, 2, 4])
def test_branches_make_the_same_sums(branches):
    data = some_rows()
    whole = sum_blocks(data, Pass(column_sums, (0.1,)))
    n, m = len(data.X), len(data.rows)
    blocks = count_blocks(m, n)
    starts = np.searchsorted(data.rows, first_rows(n, blocks))
    tree = Tree(branches)
    for i in range(branches):
        own = starts[i * blocks // branches : (i + 1) * blocks // branches + 1]
        first, stop = first_rows(n, branches)[i : i + 2]
        part = data.within(data.X[first:stop], int(first), slice(own[0], own[-1]))
        tree.add(i, sum_run(part, own - own[0], Pass(column_sums, (0.1,))))
    for one, other in zip(whole, tree.total, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sums_are_those_of_the_tree_for_any_number_of_threads():
    data = some_rows()
    blocks = count_blocks(len(data.rows), len(data.X))
    assert blocks == 16
    starts = np.searchsorted(data.rows, first_rows(len(data.X), blocks))
    leaves = [column_sums(data, slice(a, b), None)[0] for a, b in itertools.pairwise(starts.tolist())]
    found = []
    for threads in (1, 2, 3):
        with use_threads(threads):
            found.append(sum_blocks(data, Pass(column_sums, ()))[0])
            found.append(sum_blocks(data, Pass(column_sums, (), singly=True))[0])
    for one in found:
        np.testing.assert_array_equal(one, by_hand(leaves))
    assert sum_blocks(data, Pass(column_sums, ()))[1] == len(data.rows)


def test_largest_values_are_joined_as_such():
    data = some_rows()
    (found,) = sum_blocks(data, Pass(largest, (), np.maximum))
    np.testing.assert_array_equal(found, data.X[data.rows].max(axis=0))


def test_parts_of_blocks_are_put_together_in_their_order(monkeypatch):
    """A block's parts in threads, and all of them in one call, as they are read from a file."""

    def part(data: Rows, at: slice, kept: object, which: object, factor: float) -> list[np.ndarray]:
        own = data.rows[at]
        return [data.X[own[own % 3 == one]].sum(axis=0, dtype=np.float64) * factor for one in which]

    def whole(data: Rows, args: tuple[float], found: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        return ((found[0] + found[1]) + found[2],)

    data, work = some_rows(), Pass(part, (0.5,), parts=3, whole=whole)
    found = []
    for threads in (1, 2, 5):
        with use_threads(threads):
            found.append(sum_blocks(data, work)[0])
    monkeypatch.setattr("linclass_cli.blocks.OnDisk", np.ndarray)
    found.append(sum_blocks(data, work)[0])
    for one in found:
        np.testing.assert_array_equal(one, found[0])
    np.testing.assert_allclose(found[0], data.X[data.rows].sum(axis=0, dtype=np.float64) / 2, rtol=1e-9)


def test_what_blocks_keep_comes_back_to_them():
    def keep(data: Rows, at: slice, _: None) -> tuple[object, ...]:
        return np.array([at.stop - at.start]), (at.start, at.stop)

    def same(data: Rows, at: slice, kept: tuple[int, int]) -> tuple[np.ndarray, ...]:
        return (np.array([int(kept == (at.start, at.stop))]),)

    data = some_rows()
    (count,), kept = keep_blocks(data, Pass(keep, ()))
    assert count == len(data.rows)
    assert sum_blocks(data, Pass(same, ()), kept)[0] == len(kept) == 16


def test_few_rows_are_one_block_and_rows_far_apart_leave_empty_ones():
    data = some_rows(20)
    np.testing.assert_array_equal(
        sum_blocks(data, Pass(column_sums, ()))[0], column_sums(data, slice(None), None)[0]
    )
    end = Rows(some_rows().X, np.arange(8500, 9000))
    starts = np.searchsorted(end.rows, first_rows(9000, count_blocks(500, 9000)))
    assert starts[0] == starts[-2] == 0
    np.testing.assert_allclose(sum_blocks(end, Pass(column_sums, ()))[0], end.X[8500:].sum(axis=0), rtol=1e-4)
