"""The losses, as row kernels: they see scores, never features.

Scores stand class by class: S (k, m), a row for each class and a column for each image. So the loops over the
images of a tile are the inner ones, next to each other in memory, and run in vector lanes, however few the
classes are.

A row kernel takes S (k, m) and the images' labels y (m,), writes each image's loss to out (m,), float64, and
turns S into dloss/dS in place. The derivations are in docs/gradients.md.

The loss of finite scores is never NaN. It is infinite only where a difference of scores overflows (beyond
1e38 in float32), or a square does in float64 (beyond 1e153): losses are squared and summed in float64.

A new loss is one function here, one entry in ``LOSSES``, one branch in ``loss_rows`` (Numba cannot cache
kernels that are handed to kernels, so the choice is a number), its second derivative in `curvature` and its
name in ``config_sections.LossName``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from linclass_cli.jit import kernel

Array = np.ndarray[Any, np.dtype[Any]]


@kernel(inner=True)
def largest(S: Array) -> Array:
    """The largest score of each image, (m,)."""
    k, m = S.shape
    top: Array = S[0].copy()
    for j in range(1, k):
        s = S[j]
        for i in range(m):
            top[i] = s[i] if s[i] > top[i] else top[i]
    return top


@kernel(inner=True)
def exp_rows(S: Array) -> Array:
    """S (k, m) becomes exp(S - the largest of the image), so that nothing overflows; NaN stays NaN.

    Returns the largest scores, (m,).

    float32: Cephes' expf (Moshier 1992), about one unit in the last place, written so that it runs in vector
    lanes: a call of the C library for each score took a third of a whole pass. What is below exp(-87), the
    smallest that float32 holds in full, becomes that.
    """
    k, m = S.shape
    top = largest(S)
    for j in range(k):
        s = S[j]
        for i in range(m):
            s[i] -= top[i]
    x = S.reshape(k * m)
    if S.itemsize != 4:
        for i in range(k * m):
            x[i] = math.exp(x[i])
        return top
    bits = np.empty(k * m, np.int32)
    power = bits.view(np.float32)
    for i in range(k * m):
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
    for i in range(k * m):
        x[i] *= power[i]
    return top


@kernel(inner=True)
def log_of(x: Array) -> Array:
    """log(x), (m,), of x >= 1; NaN stays NaN. float32: Cephes' logf, in vector lanes like exp above."""
    m = x.shape[0]
    out = np.empty_like(x)
    if x.itemsize != 4:
        for i in range(m):
            out[i] = math.log(x[i])
        return out
    bits = x.view(np.int32)
    part = np.empty(m, np.int32)
    fraction = part.view(np.float32)  # x = fraction 2^e, sqrt(1/2) <= fraction < sqrt(2)
    for i in range(m):
        part[i] = (bits[i] & 0x007FFFFF) | 0x3F000000
    for i in range(m):
        high = fraction[i] >= np.float32(0.70710678)
        e = np.float32((bits[i] >> 23) - 126) - (np.float32(0) if high else np.float32(1))
        f = (fraction[i] if high else fraction[i] + fraction[i]) - np.float32(1)
        p = np.float32(7.0376836292e-2) * f - np.float32(1.1514610310e-1)
        p = p * f + np.float32(1.1676998740e-1)
        p = p * f - np.float32(1.2420140846e-1)
        p = p * f + np.float32(1.4249322787e-1)
        p = p * f - np.float32(1.6668057665e-1)
        p = p * f + np.float32(2.0000714765e-1)
        p = p * f - np.float32(2.4999993993e-1)
        p = p * f + np.float32(3.3333331174e-1)
        z = f * f
        low = p * f * z - np.float32(2.12194440e-4) * e - np.float32(0.5) * z
        out[i] = f + low + np.float32(0.693359375) * e if x[i] - x[i] == 0 else x[i]
    return out


@kernel(inner=True)
def probabilities(S: Array) -> tuple[Array, Array]:
    """S (k, m) becomes the softmax of each image's scores. (top, total): their largest, and the sums of
    exp(S - top), (m,)."""
    k, m = S.shape
    top = exp_rows(S)
    total = S[0].copy()
    for j in range(1, k):
        s = S[j]
        for i in range(m):
            total[i] += s[i]
    share = np.empty_like(total)
    for i in range(m):
        share[i] = S.dtype.type(1) / total[i]
    for j in range(k):
        s = S[j]
        for i in range(m):
            s[i] *= share[i]
    return top, total


@kernel(inner=True)
def softmax_rows(S: Array, y: Array, out: Array) -> None:
    """Multinomial cross-entropy: loss = log(sum_j exp s_j) - s_y; dloss/ds_j = p_j - [j = y]."""
    for i in range(y.shape[0]):
        out[i] = S[y[i], i]
    top, total = probabilities(S)
    log_total = log_of(total)
    for i in range(y.shape[0]):
        out[i] = log_total[i] - (out[i] - top[i])
        S[y[i], i] -= S.dtype.type(1)


@kernel(inner=True)
def thresholds(S: Array, y: Array) -> Array:
    """s_y - 1 of each image, (m,): what the margins of its other classes are counted from."""
    threshold: Array = np.empty_like(S[0])
    for i in range(y.shape[0]):
        threshold[i] = S[y[i], i] - S.dtype.type(1)
    return threshold


@kernel(inner=True)
def pull_labels(S: Array, y: Array) -> None:
    """S at the label becomes minus the sum of the image's others: each margin has two ends."""
    k, m = S.shape
    for i in range(m):
        S[y[i], i] = 0
    pull = S[0].copy()
    for j in range(1, k):
        s = S[j]
        for i in range(m):
            pull[i] += s[i]
    for i in range(m):
        S[y[i], i] = -pull[i]


@kernel(inner=True)
def hinge_rows(S: Array, y: Array, out: Array) -> None:
    """Weston and Watkins (1999), margin 1: loss = sum over j != y of max(0, s_j - s_y + 1).

    dloss/ds_j = 1 where the margin is violated, dloss/ds_y = -(their number); 0 at the kink.
    """
    k, m = S.shape
    one, zero = S.dtype.type(1), S.dtype.type(0)
    threshold = thresholds(S, y)
    for i in range(m):
        S[y[i], i] = -np.inf  # no excess of its own
        out[i] = 0.0
    for j in range(k):
        s = S[j]
        for i in range(m):
            excess = s[i] - threshold[i]
            # "not <=" and not ">": a NaN must reach the sum.
            out[i] += zero if excess <= 0 else excess
            s[i] = zero if excess <= 0 else one
    pull_labels(S, y)


@kernel(inner=True)
def smooth_hinge_rows(S: Array, y: Array, width: float, out: Array) -> None:
    """The hinge with its kink at 0 replaced by a parabola of that width: h(z) = (z + width/2)^2 / (2 width)
    for abs(z) < width/2, z a margin's excess; dloss/ds_j = clip(z / width + 1/2, 0, 1). It differs from the
    hinge by width/8 at most, and its derivatives are a feasible point of the hinge's dual (bounds.py).
    """
    k, m = S.shape
    half, scale = S.dtype.type(width / 2), S.dtype.type(1 / width)
    one, zero = S.dtype.type(1), S.dtype.type(0)
    threshold = thresholds(S, y)
    for i in range(m):
        S[y[i], i] = -np.inf  # no excess of its own
        out[i] = 0.0
    for j in range(k):
        s = S[j]
        for i in range(m):
            over = s[i] - threshold[i] + half
            share = one if over * scale > one else over * scale
            loss = over - half if over * scale > one else S.dtype.type(0.5) * over * share
            out[i] += zero if over <= 0 else loss
            s[i] = zero if over <= 0 else share
    pull_labels(S, y)


@kernel(inner=True)
def squared_hinge_rows(S: Array, y: Array, out: Array) -> None:
    """One against the rest, as LIBLINEAR: loss = sum_j max(0, 1 - t_j s_j)^2, t_j = 1 for j = y, else -1."""
    k, m = S.shape
    one, two, zero = S.dtype.type(1), S.dtype.type(2), S.dtype.type(0)
    out[:] = 0.0
    for j in range(k):
        s = S[j]
        for i in range(m):
            t = one if y[i] == j else -one
            short = one - t * s[i]
            out[i] += 0.0 if short <= 0 else np.float64(short) * short
            s[i] = zero if short <= 0 else -two * t * short


@kernel(inner=True)
def ridge_rows(S: Array, y: Array, out: Array) -> None:
    """Least squares on one-hot targets: loss = 1/2 sum_j (s_j - [j = y])^2; dloss/ds_j = s_j - [j = y]."""
    k, m = S.shape
    for i in range(m):
        S[y[i], i] -= S.dtype.type(1)
        out[i] = 0.0
    for j in range(k):
        s = S[j]
        for i in range(m):
            out[i] += 0.5 * np.float64(s[i]) * s[i]


@kernel(inner=True)
def weigh_rows(S: Array, y: Array, weights: Array, out: Array) -> None:
    """Losses out (m,) and derivatives S (k, m) times the weight of each image's class; weights (k,)."""
    k, m = S.shape
    share = np.empty(m, S.dtype)
    for i in range(m):
        share[i] = weights[y[i]]
        out[i] *= share[i]
    for j in range(k):
        s = S[j]
        for i in range(m):
            s[i] *= share[i]


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
def count_correct(S: Array, y: Array, m: int) -> int:
    """How many of the first m images of S (k, R) score most at their label; the first of equals counts."""
    k, R = S.shape
    best, at = S[0].copy(), np.zeros(R, np.int32)
    for j in range(1, k):
        s = S[j]
        for i in range(R):
            at[i] = np.int32(j) if s[i] > best[i] else at[i]
            best[i] = s[i] if s[i] > best[i] else best[i]
    correct = 0
    for i in range(m):
        correct += at[i] == y[i]
    return correct
