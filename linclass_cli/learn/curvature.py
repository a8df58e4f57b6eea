"""The losses' second derivatives, as row kernels: they see scores, never features, as `losses` do."""

from __future__ import annotations

import numpy as np

from linclass_cli.jit import kernel
from linclass_cli.learn.losses import Array, probabilities, pull_labels, thresholds


@kernel(inner=True)
def curvature_rows(number: int, width: float, S: Array, y: Array) -> None:
    """Turn scores S (k, m) into what :func:`times_curvature` needs of d2loss/dS2 at them, in place.

    softmax: the probabilities p (the second derivative is diag(p) - p p'); squared-hinge: 2 where the margin
    is short (a generalised Hessian); ridge: 1. Hinge: q_j = 1/width where the excess of j is within the
    smoothed kink, and -(their sum) at the label, whose sign tells it apart.
    """
    k, m = S.shape
    one, zero = S.dtype.type(1), S.dtype.type(0)
    if number == 0:
        probabilities(S)
    elif number == 1:
        half, q = S.dtype.type(width / 2), S.dtype.type(1 / width if width > 0 else 0.0)
        threshold = thresholds(S, y)
        for j in range(k):
            s = S[j]
            for i in range(m):
                s[i] = q if abs(s[i] - threshold[i]) < half else zero
        pull_labels(S, y)
    elif number == 2:
        for j in range(k):
            s = S[j]
            for i in range(m):
                t = one if y[i] == j else -one
                s[i] = 2 * one if one - t * s[i] > 0 else zero
    else:
        S[:] = one


@kernel(inner=True)
def times_curvature(number: int, Q: Array, first: int, m: int, S: Array) -> None:
    """The first m columns of S (k, R) become (d2loss/dS2) S, image by image.

    Theirs in Q (k, n), as :func:`curvature_rows` left it, begin at ``first``.
    """
    k, R = S.shape
    shift, pull = np.zeros(R, S.dtype), np.zeros(R, S.dtype)
    if number <= 1:
        for j in range(k):
            q, s = Q[j, first : first + m], S[j]
            for i in range(m):
                if number == 0:
                    shift[i] += q[i] * s[i]
                else:
                    shift[i] = s[i] if q[i] < 0 else shift[i]
    for j in range(k):
        q, s = Q[j, first : first + m], S[j]
        for i in range(m):
            s[i] = q[i] * (s[i] - shift[i])
            pull[i] += s[i]
    if number == 1:
        for j in range(k):
            q, s = Q[j, first : first + m], S[j]
            for i in range(m):
                s[i] = -pull[i] if q[i] < 0 else s[i]


def sums_by_class(Q: Array, y: Array) -> Array:
    """The sum of the columns of Q (k, m) that have each label, float64 (k, k): a row for each label."""
    k = Q.shape[0]
    sums, order = np.zeros((k, k)), np.argsort(y, kind="stable")
    starts = np.searchsorted(y[order], np.arange(k))
    present = np.flatnonzero(np.diff(np.append(starts, len(y))))
    sums[present] = np.add.reduceat(Q[:, order], starts[present], axis=1, dtype=np.float64).T
    return sums


def sum_curvature(loss: str, Q: Array, y: Array, weights: Array | None = None) -> Array:
    """The sum of d2loss/dS2 over images, float64 (k, k); Q (k, m) as :func:`curvature_rows` left it.

    weights (k,): of classes.
    """
    k = len(Q)
    P = Q
    if weights is not None:
        Q = Q * weights.astype(Q.dtype)[y]
    if loss == "softmax":
        return np.asarray(np.diag(Q.sum(axis=1, dtype=np.float64)) - Q @ P.T, np.float64)
    total = np.diag(np.abs(Q).sum(axis=1, dtype=np.float64))
    if loss == "hinge":
        pulls = sums_by_class(Q, y)
        pulls[np.diag_indices(k)] = 0
        total -= pulls + pulls.T
    return np.asarray(total)
