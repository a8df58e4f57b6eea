"""The losses, as row kernels: they see scores, never features.

A row kernel takes the scores S (m, k) of m images and their labels y (m,), writes each image's loss to
out (m,), float64, and turns S into dloss/dS in place. The derivations are in docs/gradients.md.

A new loss is one function here, one entry in ``LOSSES``, one branch in ``loss_rows`` (Numba cannot cache
kernels that are handed to kernels, so the choice is a number) and its name in ``config.LossName``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from linclass_cli.jit import kernel

Array = np.ndarray[Any, np.dtype[Any]]


@kernel(inner=True)
def exp_rows(S: Array) -> None:
    """S (m, k) becomes exp(S - the maximum of its row), so that nothing overflows; NaN stays NaN.

    float32: Cephes' expf (Moshier 1992), about one unit in the last place, written so that it runs in vector
    lanes: a call of the C library for each score took a third of a whole pass. What is below exp(-87), the
    smallest that float32 holds in full, becomes that.
    """
    m, k = S.shape
    for i in range(m):
        top = S[i, 0]
        for j in range(1, k):
            top = max(top, S[i, j])
        for j in range(k):
            S[i, j] -= top
    x = S.reshape(m * k)
    if S.itemsize != 4:
        for i in range(m * k):
            x[i] = math.exp(x[i])
        return
    bits = np.empty(m * k, np.int32)
    power = bits.view(np.float32)
    for i in range(m * k):
        u = np.float32(-87) if x[i] < np.float32(-87) else x[i]
        n = np.floor(u * np.float32(1.44269504) + np.float32(0.5))
        n = n if n > np.float32(-126) else np.float32(-126)  # a NaN, too: it is no whole number
        # ln 2 in two parts, the first one exact in few bits.
        r = u - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        x[i] = p * r * r + r + np.float32(1)
        bits[i] = (np.int32(n) + 127) << 23  # the float32 2^n
    for i in range(m * k):
        x[i] *= power[i]


@kernel(inner=True)
def softmax_rows(S: Array, y: Array, out: Array) -> None:
    """Multinomial cross-entropy: loss = log(sum_j exp s_j) - s_y; dloss/ds_j = p_j - [j = y]."""
    m, k = S.shape
    for i in range(m):
        top = S[i, 0]
        for j in range(1, k):
            top = max(top, S[i, j])
        out[i] = S[i, y[i]] - top
    exp_rows(S)
    for i in range(m):
        total = S.dtype.type(0)
        for j in range(k):
            total += S[i, j]
        out[i] = math.log(total) - out[i]
        share = S.dtype.type(1) / total
        for j in range(k):
            S[i, j] *= share
        S[i, y[i]] -= S.dtype.type(1)


@kernel(inner=True)
def hinge_rows(S: Array, y: Array, out: Array) -> None:
    """Weston and Watkins (1999), margin 1: loss = sum over j != y of max(0, s_j - s_y + 1).

    dloss/ds_j = 1 where the margin is violated, dloss/ds_y = -(their number); 0 at the kink.
    """
    m, k = S.shape
    for i in range(m):
        label = y[i]
        threshold = S[i, label] - S.dtype.type(1)
        loss = 0.0
        violated = 0
        for j in range(k):
            excess = S[i, j] - threshold
            if j == label:
                S[i, j] = 0
            # "not <=" and not ">": a NaN must reach the sum.
            elif not excess <= 0:
                loss += excess
                violated += 1
                S[i, j] = 1
            else:
                S[i, j] = 0
        S[i, label] = -violated
        out[i] = loss


@kernel(inner=True)
def smooth_hinge_rows(S: Array, y: Array, width: float, out: Array) -> None:
    """The hinge with its kink at 0 replaced by a parabola of that width: h(z) = (z + width/2)^2 / (2 width)
    for abs(z) < width/2, z a margin's excess; dloss/ds_j = clip(z / width + 1/2, 0, 1). It differs from the
    hinge by width/8 at most, and its derivatives are a feasible point of the hinge's dual (solvers/gap.py).
    """
    m, k = S.shape
    half, scale = S.dtype.type(width / 2), S.dtype.type(1 / width)
    one = S.dtype.type(1)
    for i in range(m):
        label = y[i]
        threshold = S[i, label] - one
        loss = 0.0
        pull = S.dtype.type(0)
        S[i, label] = threshold - half  # no excess of its own
        for j in range(k):
            over = S[i, j] - threshold + half
            if not over <= 0:
                share = one if over * scale > one else over * scale
                loss += over - half if over * scale > one else S.dtype.type(0.5) * over * share
                pull += share
                S[i, j] = share
            else:
                S[i, j] = 0
        S[i, label] = -pull
        out[i] = loss


@kernel(inner=True)
def squared_hinge_rows(S: Array, y: Array, out: Array) -> None:
    """One against the rest, as LIBLINEAR: loss = sum_j max(0, 1 - t_j s_j)^2, t_j = 1 for j = y, else -1."""
    m, k = S.shape
    for i in range(m):
        loss = 0.0
        for j in range(k):
            t = S.dtype.type(1) if j == y[i] else S.dtype.type(-1)
            short = S.dtype.type(1) - t * S[i, j]
            if not short <= 0:
                loss += short * short
                S[i, j] = -2 * t * short
            else:
                S[i, j] = 0
        out[i] = loss


@kernel(inner=True)
def ridge_rows(S: Array, y: Array, out: Array) -> None:
    """Least squares on one-hot targets: loss = 1/2 sum_j (s_j - [j = y])^2; dloss/ds_j = s_j - [j = y]."""
    m, k = S.shape
    for i in range(m):
        S[i, y[i]] -= S.dtype.type(1)
        loss = 0.0
        for j in range(k):
            loss += S[i, j] * S[i, j]
        out[i] = 0.5 * loss


LOSSES: dict[str, Callable[[Array, Array, Array], None]] = {
    "softmax": softmax_rows,
    "hinge": hinge_rows,
    "squared-hinge": squared_hinge_rows,
    "ridge": ridge_rows,
}
LOSS_NUMBER = {name: number for number, name in enumerate(LOSSES)}


@kernel(inner=True)
def loss_rows(number: int, width: float, S: Array, y: Array, out: Array) -> None:
    """The row kernel with that number in ``LOSSES``; the hinge's kink is smoothed where ``width`` > 0."""
    if number == 0:
        softmax_rows(S, y, out)
    elif number == 1 and width > 0:
        smooth_hinge_rows(S, y, width, out)
    elif number == 1:
        hinge_rows(S, y, out)
    elif number == 2:
        squared_hinge_rows(S, y, out)
    else:
        ridge_rows(S, y, out)


@kernel(inner=True)
def count_correct(S: Array, y: Array) -> int:
    """How many rows of the scores S (m, k) are largest at their label; the first of equal scores counts."""
    m, k = S.shape
    correct = 0
    for i in range(m):
        best = 0
        for j in range(1, k):
            if S[i, j] > S[i, best]:
                best = j
        if best == y[i]:
            correct += 1
    return correct


@kernel(inner=True)
def curvature_rows(number: int, width: float, S: Array, y: Array) -> None:
    """Turn scores S (m, k) into what :func:`times_curvature` needs of d2loss/dS2 at them, in place.

    softmax: the probabilities p (the second derivative is diag(p) - p p'); squared-hinge: 2 where the margin
    is short (a generalised Hessian); ridge: 1. Hinge: q_j = 1/width where the excess of j is within the
    smoothed kink, and -(their sum) at the label, whose sign tells it apart.
    """
    m, k = S.shape
    one, zero = S.dtype.type(1), S.dtype.type(0)
    if number == 0:
        exp_rows(S)
        for i in range(m):
            share = one / S[i].sum()
            for j in range(k):
                S[i, j] *= share
    elif number == 1:
        half, q = S.dtype.type(width / 2), S.dtype.type(1 / width if width > 0 else 0.0)
        for i in range(m):
            threshold = S[i, y[i]] - one
            S[i, y[i]] = threshold + one + half
            total = zero
            for j in range(k):
                S[i, j] = q if abs(S[i, j] - threshold) < half else zero
                total += S[i, j]
            S[i, y[i]] = -total
    elif number == 2:
        for i in range(m):
            for j in range(k):
                t = one if j == y[i] else -one
                S[i, j] = 2 * one if one - t * S[i, j] > 0 else zero
    else:
        S[:] = one


@kernel(inner=True)
def times_curvature(number: int, Q: Array, S: Array) -> None:
    """S (m, k) becomes (d2loss/dS2) S, row by row; Q (m, k) as :func:`curvature_rows` left it."""
    m, k = S.shape
    for i in range(m):
        shift = S.dtype.type(0)
        if number == 0:
            for j in range(k):
                shift += Q[i, j] * S[i, j]
        elif number == 1:
            for j in range(k):
                if Q[i, j] < 0:
                    shift = S[i, j]
        for j in range(k):
            S[i, j] = Q[i, j] * (S[i, j] - shift)
        if number == 1:
            pull = S[i].sum()
            for j in range(k):
                if Q[i, j] < 0:
                    S[i, j] = -pull


def sums_by_class(Q: Array, y: Array) -> Array:
    """The sum of the rows of Q (m, k) that have each label, float64 (k, k)."""
    k = Q.shape[1]
    sums, order = np.zeros((k, k)), np.argsort(y, kind="stable")
    starts = np.searchsorted(y[order], np.arange(k))
    present = np.flatnonzero(np.diff(np.append(starts, len(y))))
    sums[present] = np.add.reduceat(Q[order], starts[present], axis=0, dtype=np.float64)
    return sums


def mean_curvature(loss: str, Q: Array, y: Array) -> Array:
    """The mean of d2loss/dS2 over rows, float64 (k, k); Q (m, k) as :func:`curvature_rows` left it.

    Rows of zeros count as rows: whoever has them divides by another number.
    """
    m, k = Q.shape
    if loss == "softmax":
        return np.asarray((np.diag(Q.sum(axis=0, dtype=np.float64)) - Q.T @ Q) / m, np.float64)
    total = np.diag(np.abs(Q).sum(axis=0, dtype=np.float64))
    if loss == "hinge":
        pulls = sums_by_class(Q, y)
        pulls[np.diag_indices(k)] = 0
        total -= pulls + pulls.T
    return np.asarray(total / m)
