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
def softmax_rows(S: Array, y: Array, out: Array) -> None:
    """Multinomial cross-entropy: loss = log(sum_j exp s_j) - s_y; dloss/ds_j = p_j - [j = y].

    Scores are shifted by their maximum first, so that no exponential overflows.
    """
    m, k = S.shape
    for i in range(m):
        top = S[i, 0]
        for j in range(1, k):
            top = max(top, S[i, j])
        label = y[i]
        of_label = S[i, label] - top
        total = S.dtype.type(0)
        for j in range(k):
            S[i, j] = math.exp(S[i, j] - top)
            total += S[i, j]
        out[i] = math.log(total) - of_label
        for j in range(k):
            S[i, j] /= total
        S[i, label] -= S.dtype.type(1)


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
def loss_rows(number: int, S: Array, y: Array, out: Array) -> None:
    """The row kernel with that number in ``LOSSES``."""
    if number == 0:
        softmax_rows(S, y, out)
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
def curvature_rows(number: int, S: Array, y: Array) -> None:
    """Turn scores S (m, k) into what :func:`times_curvature` needs of d2loss/dS2 at them, in place.

    softmax: the probabilities p (the second derivative is diag(p) - p p'); squared-hinge: 2 where the margin
    is short (a generalised Hessian); ridge: 1. The hinge has no curvature: zeros.
    """
    m, k = S.shape
    one = S.dtype.type(1)
    for i in range(m):
        if number == 0:
            top = S[i, 0]
            for j in range(1, k):
                top = max(top, S[i, j])
            total = S.dtype.type(0)
            for j in range(k):
                S[i, j] = math.exp(S[i, j] - top)
                total += S[i, j]
            for j in range(k):
                S[i, j] /= total
        elif number == 2:
            for j in range(k):
                t = one if j == y[i] else -one
                S[i, j] = 2 * one if one - t * S[i, j] > 0 else 0 * one
        else:
            for j in range(k):
                S[i, j] = one if number == 3 else 0 * one


@kernel(inner=True)
def times_curvature(number: int, Q: Array, S: Array) -> None:
    """S (m, k) becomes (d2loss/dS2) S, row by row; Q (m, k) as :func:`curvature_rows` left it."""
    m, k = S.shape
    for i in range(m):
        mean = S.dtype.type(0)
        if number == 0:
            for j in range(k):
                mean += Q[i, j] * S[i, j]
        for j in range(k):
            S[i, j] = Q[i, j] * (S[i, j] - mean)
