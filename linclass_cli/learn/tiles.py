"""The inner loops: tiles of rows, small enough for the processor's caches.

Every pass over X, whatever the solver, works on tiles of a few rows:

    load      gather the rows of the part, scale them, into T (R, d), R a multiple of 8
    dots      S = W T' + b, class by class (lanes.py)
    rows      the loss's row kernel turns S (k, R) into dloss/dS (losses.py)
    outers    dW += S T (lanes.py)

T is read twice while it is in the cache; X comes from memory once. Rows that pad a tile are zeros in T: they
have scores and losses, which nobody counts. Vectors run along d: T, W and dW come from :func:`room`, which
starts them on a cache line and pads d with zeros to whole lines. (Vectors that straddle lines cost a third.)

A pass serves P problems that share their rows as well as one: their weights stand one below the other in W
(P k, d), and so do their scores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from linclass_cli.halves import for_kernels, widened
from linclass_cli.jit import kernel
from linclass_cli.learn.curvature import curvature_rows, times_curvature
from linclass_cli.learn.lanes import dots, outers, scale
from linclass_cli.learn.losses import (
    Array,
    count_correct,
    loss_rows,
    weigh_rows,
)
from linclass_cli.on_disk import OnDisk
from linclass_cli.spread import AnyRows, here

TILE_VALUES = 16384  # 64 KiB of float32: twice the first-level cache, and at home in the second
COPIED_VALUES = 1 << 24  # of float32 or float64, at most, in a copy of some rows: 64 MiB, or 128
LINE = 16  # floats that rows are padded to: 64 bytes of float32


@kernel(inner=True)
def tile_rows(d: int) -> int:
    """Rows of a tile: a multiple of 8, from 8 to 64."""
    return max(8, min(64, TILE_VALUES // max(d, 1) // 8 * 8))


# The same for those who are no kernels: they would have it compiled, in every process.
step_rows: Callable[[int], int] = getattr(tile_rows, "__wrapped__", tile_rows)


@kernel(inner=True)
def room(rows: int, d: int, like: Array) -> Array:
    """Zeros of ``like``'s dtype, (rows, d rounded up to a multiple of LINE), starting on a cache line."""
    padded = (d + LINE - 1) // LINE * LINE
    memory = np.zeros(rows * padded + LINE, like.dtype)
    first = -(memory.ctypes.data // like.itemsize) % LINE
    return memory[first : first + rows * padded].reshape((rows, padded))


@kernel(inner=True)
def roomy(W: Array) -> Array:
    """A copy of W (k, d) in a :func:`room`."""
    k, d = W.shape
    copy = room(k, d, W)
    copy[:, :d] = W
    return copy


@kernel(inner=True)
def load(X: Array, rows: Array, mean: Array, factor: Array, T: Array) -> None:
    """T[i, :d] = (X[rows[i]] - mean) * factor; the rows of T past len(rows) become 0. mean, factor: roomy."""
    scale(X, rows, mean, factor, T)
    T[rows.shape[0] :] = 0


@kernel()
def _widen(X: Array, rows: Array, out: Array) -> None:
    """out[i] = X[rows[i]], float32 (m, d), of the bits of float16, uint16 (n, d): a third of NumPy's time."""
    m, d = rows.shape[0], X.shape[1]
    R = tile_rows(d)
    T, nothing, ones = room(R, d, out), room(1, d, out), room(1, d, out)
    ones[:] = 1
    for start in range(0, m, R):
        size = min(R, m - start)
        load(X, rows[start : start + size], nothing, ones, T)
        out[start : start + size] = T[:size, :d]


def copied_rows(d: int, most: int) -> int:
    """Rows of d features that are copied at a time where NumPy works: ``most``, or fewer that are as wide."""
    return max(1, min(most, COPIED_VALUES // max(d, 1)))


def take_rows(X: AnyRows, rows: Array, columns: slice = slice(None)) -> Array:
    """The rows, int64 (m,), or some of their columns, of X (n, d), in the dtype that is worked in: a copy."""
    X = here(X)
    if isinstance(X, OnDisk):
        return widened(X.take(rows, columns))
    X = X[:, columns]
    if X.dtype != np.float16 or not X.flags.c_contiguous:
        return widened(X[rows])
    out = np.empty((len(rows), X.shape[1]), np.float32)
    _widen(for_kernels(X), np.ascontiguousarray(rows), out)
    return out


@kernel(inner=True)
def look_ahead(rows: Array, first: int, ahead: Array) -> None:
    """The rows of the tile that begins at ``first``, into ahead (R,); what it has no place for stays."""
    for i in range(min(ahead.shape[0], rows.shape[0] - first)):
        ahead[i] = rows[first + i]


@kernel(inner=True)
def add_rows(S: Array, m: int, db: Array) -> None:
    """db (k,) += the sums of the first m columns of S (k, R)."""
    for c in range(S.shape[0]):
        s = S[c]
        total = s.dtype.type(0)
        for i in range(m):
            total += s[i]
        db[c] += total


@kernel()
def sum_block(
    X: Array,
    rows: Array,
    y: Array,
    mean: Array,
    factor: Array,
    W: Array,
    b: Array,
    k: int,
    trained: int,
    loss: int,
    width: float,
    class_weights: Array,
    dW: Array,
    db: Array,
    sums: Array,
    counts: Array,
) -> None:
    """One block of a pass: each problem's sum of losses and correct rows, added to sums and counts (P,).

    X (n, d), as `halves.for_kernels` gives it, rows and y (m,) of this block; mean and factor (d,), W (P k,
    d), b (P k,), floats of the dtype that X is worked on in; class_weights (P, k), or (0, k) where every
    class counts as one. The first ``trained`` problems add their gradient's sums to dW (trained k, d), db
    (trained k,); the others are only valued. All are added to: parts of a block, one call each, give what one
    call for the whole block gives, where each part but the last has a multiple of tile_rows(d) rows.
    """
    m = rows.shape[0]
    d = X.shape[1]
    R = tile_rows(d)
    T, S = room(R, d, W), np.empty((W.shape[0], R), W.dtype)
    center, stretch = roomy(mean.reshape((1, d))), roomy(factor.reshape((1, d)))
    weights, gradient = roomy(W), roomy(dW)
    losses, labels, ahead = np.empty(R, np.float64), np.zeros(R, np.int64), np.zeros(R, np.int64)
    for start in range(0, m, R):
        size = min(R, m - start)
        labels[:size] = y[start : start + size]
        load(X, rows[start : start + size], center, stretch, T)
        dots(T, R, weights, b, S)
        for p in range(sums.shape[0]):
            own = S[p * k : (p + 1) * k]
            counts[p] += count_correct(own, labels, size)
            loss_rows(loss, width, own, labels, losses)
            if class_weights.shape[0] > 0:
                weigh_rows(own, labels, class_weights[p], losses)
            for i in range(size):
                sums[p] += losses[i]
        look_ahead(rows, start + R, ahead)
        bent = S[: trained * k]
        outers(bent, T, size, gradient, X, ahead)
        add_rows(bent, size, db)
    dW[:] = gradient[:, :d]


@kernel()
def curvature_block(
    X: Array,
    rows: Array,
    y: Array,
    mean: Array,
    factor: Array,
    W: Array,
    b: Array,
    k: int,
    loss: int,
    width: float,
    Q: Array,
    first: int,
) -> None:
    """What second derivatives at (W, b) need (`curvature_rows`), into Q (P k, M) from ``first`` on."""
    m = rows.shape[0]
    d = X.shape[1]
    R = tile_rows(d)
    T, S = room(R, d, W), np.empty((W.shape[0], R), W.dtype)
    center, stretch = roomy(mean.reshape((1, d))), roomy(factor.reshape((1, d)))
    weights, labels = roomy(W), np.zeros(R, np.int64)
    for start in range(0, m, R):
        size = min(R, m - start)
        labels[:size] = y[start : start + size]
        load(X, rows[start : start + size], center, stretch, T)
        dots(T, R, weights, b, S)
        for p in range(W.shape[0] // k):
            curvature_rows(loss, width, S[p * k : (p + 1) * k], labels)
        Q[:, first + start : first + start + size] = S[:, :size]


@kernel()
def hessian_block(
    X: Array,
    rows: Array,
    y: Array,
    mean: Array,
    factor: Array,
    V: Array,
    v: Array,
    k: int,
    loss: int,
    class_weights: Array,
    Q: Array,
    first: int,
    dW: Array,
    db: Array,
) -> None:
    """Add (d2loss/dS2) (V X' + v) X of the block's rows to dW (P k, d), db (P k,); Q (P k, M) as above."""
    m = rows.shape[0]
    d = X.shape[1]
    R = tile_rows(d)
    T, S = room(R, d, V), np.empty((V.shape[0], R), V.dtype)
    center, stretch = roomy(mean.reshape((1, d))), roomy(factor.reshape((1, d)))
    direction, sums, ahead = roomy(V), roomy(dW), np.zeros(R, np.int64)
    labels, unused = np.zeros(R, np.int64), np.zeros(R, np.float64)
    for start in range(0, m, R):
        size = min(R, m - start)
        load(X, rows[start : start + size], center, stretch, T)
        dots(T, size, direction, v, S)
        for p in range(V.shape[0] // k):
            own = slice(p * k, (p + 1) * k)
            times_curvature(loss, Q[own], first + start, size, S[own])
            if class_weights.shape[0] > 0:
                labels[:size] = y[start : start + size]
                weigh_rows(S[own], labels, class_weights[p], unused)
        look_ahead(rows, start + R, ahead)
        outers(S, T, size, sums, X, ahead)
        add_rows(S, size, db)
    dW[:] = sums[:, :d]
