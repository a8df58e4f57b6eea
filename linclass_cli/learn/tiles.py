"""The inner loops: tiles of rows, small enough for the processor's first cache.

Every pass over X, whatever the solver, works on tiles of a few rows:

    load      gather the rows of the part, scale them, into T (R, d), R a multiple of 8
    scores    S = T W' + b, 4 rows x 2 classes at a time: 8 sums stay in registers, each value of W that is
              loaded serves 4 rows, and each of T 2 classes
    rows      the loss's row kernel turns S into dloss/dS (losses.py)
    gradient  dW += S' T, 8 rows at a time: each value of dW that is loaded and stored takes 8 products

T is read three times while it is in the cache; X comes from memory once. Rows that pad a tile are zeros in T
and in S, so they add nothing. Sums run along d, in vector lanes: T, W and dW come from :func:`room`, which
starts them on a cache line and pads d with zeros to whole lines. (Vectors that straddle lines cost a third.)
"""

from __future__ import annotations

import numpy as np

from linclass_cli.jit import kernel
from linclass_cli.learn.losses import Array, count_correct, curvature_rows, loss_rows, times_curvature

TILE_VALUES = 6144  # 24 KiB of float32: about what a first-level cache holds beside W
LINE = 16  # floats that rows are padded to: 64 bytes of float32
MAX_BLOCKS = 32
PARTIAL_VALUES = 1 << 25  # at most 128 MiB of float32 partial gradients


@kernel(inner=True)
def tile_rows(d: int) -> int:
    """Rows of a tile: a multiple of 8, from 8 to 64."""
    return max(8, min(64, TILE_VALUES // max(d, 1) // 8 * 8))


@kernel(inner=True)
def room(rows: int, d: int, like: Array) -> Array:
    """Zeros of ``like``'s dtype, (rows, d rounded up to a multiple of LINE), from the start of a cache line."""
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


@kernel(fast=True, inner=True)
def load(X: Array, rows: Array, mean: Array, factor: Array, T: Array) -> None:
    """T[i, :d] = (X[rows[i]] - mean) * factor; the rows of T past len(rows) become 0."""
    m = rows.shape[0]
    d = X.shape[1]
    for i in range(m):
        x = X[rows[i]]
        t = T[i]
        for j in range(d):
            t[j] = (x[j] - mean[j]) * factor[j]
    T[m:] = 0


@kernel(fast=True, inner=True)
def scores(T: Array, m: int, W: Array, b: Array, S: Array) -> None:
    """S = T W' + b in the first m rows, m rounded up to a multiple of 4; T (R, d), W (k, d), S (R, k)."""
    k, d = W.shape
    for i in range(0, m, 4):
        t0, t1, t2, t3 = T[i], T[i + 1], T[i + 2], T[i + 3]
        for c in range(0, k - 1, 2):
            u, v = W[c], W[c + 1]
            u0 = u1 = u2 = u3 = b[c]
            v0 = v1 = v2 = v3 = b[c + 1]
            for j in range(d):
                u0 += t0[j] * u[j]
                u1 += t1[j] * u[j]
                u2 += t2[j] * u[j]
                u3 += t3[j] * u[j]
                v0 += t0[j] * v[j]
                v1 += t1[j] * v[j]
                v2 += t2[j] * v[j]
                v3 += t3[j] * v[j]
            S[i, c], S[i + 1, c], S[i + 2, c], S[i + 3, c] = u0, u1, u2, u3
            S[i, c + 1], S[i + 1, c + 1], S[i + 2, c + 1], S[i + 3, c + 1] = v0, v1, v2, v3
        if k % 2:
            u = W[k - 1]
            u0 = u1 = u2 = u3 = b[k - 1]
            for j in range(d):
                u0 += t0[j] * u[j]
                u1 += t1[j] * u[j]
                u2 += t2[j] * u[j]
                u3 += t3[j] * u[j]
            S[i, k - 1], S[i + 1, k - 1], S[i + 2, k - 1], S[i + 3, k - 1] = u0, u1, u2, u3


@kernel(fast=True, inner=True)
def gradient(T: Array, m: int, S: Array, dW: Array, db: Array) -> None:
    """dW += S[:m]' T[:m] and db += the column sums of S[:m]; S past m is set to 0 up to a multiple of 8."""
    k, d = dW.shape
    S[m : (m + 7) // 8 * 8] = 0
    for i in range(0, m, 8):
        t0, t1, t2, t3 = T[i], T[i + 1], T[i + 2], T[i + 3]
        t4, t5, t6, t7 = T[i + 4], T[i + 5], T[i + 6], T[i + 7]
        for c in range(k):
            s0, s1, s2, s3 = S[i, c], S[i + 1, c], S[i + 2, c], S[i + 3, c]
            s4, s5, s6, s7 = S[i + 4, c], S[i + 5, c], S[i + 6, c], S[i + 7, c]
            db[c] += (s0 + s1 + s2 + s3) + (s4 + s5 + s6 + s7)
            g = dW[c]
            for j in range(d):
                low = g[j] + s0 * t0[j] + s1 * t1[j] + s2 * t2[j] + s3 * t3[j]
                g[j] = low + s4 * t4[j] + s5 * t5[j] + s6 * t6[j] + s7 * t7[j]


def count_blocks(m: int, k: int, d: int) -> int:
    """Blocks that a pass over m rows is cut into: by shapes alone, so that sums never depend on threads."""
    return max(1, min(MAX_BLOCKS, m // 256, PARTIAL_VALUES // max(k * d, 1)))


@kernel()
def sum_block(
    X: Array,
    rows: Array,
    y: Array,
    mean: Array,
    factor: Array,
    W: Array,
    b: Array,
    loss: int,
    width: float,
    with_gradient: bool,
    dW: Array,
    db: Array,
) -> tuple[float, int]:
    """One block of a pass: (sum of losses, correct rows), and the gradient's sum added to dW (k, d), db (k,).

    X (n, d), rows and y (m,) of this block, mean and factor (d,), W (k, d), b (k,), all floats of X's dtype.
    """
    m = rows.shape[0]
    k, d = W.shape
    R = tile_rows(d)
    T, S = room(R, d, X), np.empty((R, k), X.dtype)
    weights, sums = roomy(W), room(k, d, X)
    losses = np.empty(R, np.float64)
    total = 0.0
    correct = 0
    for start in range(0, m, R):
        size = min(R, m - start)
        labels = y[start : start + size]
        load(X, rows[start : start + size], mean, factor, T)
        scores(T, size, weights, b, S)
        correct += count_correct(S[:size], labels)
        loss_rows(loss, width, S[:size], labels, losses)
        for i in range(size):
            total += losses[i]
        if with_gradient:
            gradient(T, size, S, sums, db)
    if with_gradient:
        dW += sums[:, :d]
    return total, correct


@kernel()
def curvature_block(
    X: Array,
    rows: Array,
    y: Array,
    mean: Array,
    factor: Array,
    W: Array,
    b: Array,
    loss: int,
    width: float,
    Q: Array,
) -> None:
    """What the second derivative at (W, b) needs (losses.curvature_rows), into Q (m, k)."""
    m = rows.shape[0]
    k, d = W.shape
    R = tile_rows(d)
    T, S = room(R, d, X), np.empty((R, k), X.dtype)
    weights = roomy(W)
    for start in range(0, m, R):
        size = min(R, m - start)
        load(X, rows[start : start + size], mean, factor, T)
        scores(T, size, weights, b, S)
        curvature_rows(loss, width, S[:size], y[start : start + size])
        Q[start : start + size] = S[:size]


@kernel()
def hessian_block(
    X: Array,
    rows: Array,
    mean: Array,
    factor: Array,
    V: Array,
    v: Array,
    loss: int,
    Q: Array,
    dW: Array,
    db: Array,
) -> None:
    """Add X' (d2loss/dS2) (X V' + v) of the block's rows to dW (k, d), db (k,)."""
    m = rows.shape[0]
    k, d = V.shape
    R = tile_rows(d)
    T, S = room(R, d, X), np.empty((R, k), X.dtype)
    direction, sums = roomy(V), room(k, d, X)
    for start in range(0, m, R):
        size = min(R, m - start)
        load(X, rows[start : start + size], mean, factor, T)
        scores(T, size, direction, v, S)
        times_curvature(loss, Q[start : start + size], S[:size])
        gradient(T, size, S, sums, db)
    dW += sums[:, :d]
