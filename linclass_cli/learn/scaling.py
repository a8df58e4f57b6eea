"""Scaling of features: learned from the training part only, kept in the model, applied everywhere after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.jit import kernel
from linclass_cli.learn.losses import Array
from linclass_cli.threads import Spans, in_chunks

_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Scaling:
    """x becomes (x - mean) * factor. mean and factor float64 (d,)."""

    mean: Array
    factor: Array


@kernel()
def _sum_block(X: Array, rows: Array, center: Array, sums: Array, squares: Array, largest: Array) -> None:
    """Add a block's sums of x - center, of its square, and its largest absolute value, each (d,), float64."""
    for i in range(rows.shape[0]):
        x = X[rows[i]]
        for j in range(x.shape[0]):
            off = x[j] - center[j]
            sums[j] += off
            squares[j] += off * off
            largest[j] = max(largest[j], abs(off))


def _column_sums(X: Array, rows: Array, center: Array) -> Array:
    """(3, d): over the rows, the sum of x - center, of its square, and the largest absolute value."""
    blocks = max(1, min(32, len(rows) // _BLOCK_ROWS))
    out = np.zeros((blocks, 3, X.shape[1]))

    def work(spans: Spans) -> None:
        for t, _ in spans:
            at = slice(len(rows) * t // blocks, len(rows) * (t + 1) // blocks)
            _sum_block(X, rows[at], center, out[t, 0], out[t, 1], out[t, 2])

    in_chunks(work, blocks)
    return np.stack([out[:, 0].sum(axis=0), out[:, 1].sum(axis=0), out[:, 2].max(axis=0)])


def fit_scaling(kind: str, X: Array, rows: Array) -> Scaling:
    """Learn a scaling from the given rows of X (n, d).

    ``standard``: mean and standard deviation (divisor m, as scikit-learn's StandardScaler); ``range``: the
    course's, mean and largest absolute deviation from it; ``none``: x as it is. A constant feature keeps the
    factor 1. Raises InputError where a feature is not finite.
    """
    d = X.shape[1]
    if kind == "none":
        return Scaling(np.zeros(d), np.ones(d))
    mean = _column_sums(X, rows, np.zeros(d))[0] / len(rows)
    if not np.isfinite(mean).all():
        column = int(np.flatnonzero(~np.isfinite(mean))[0])
        raise InputError(f"feature {column} of the training part holds NaN or infinity: it cannot be scaled")
    _, squares, largest = _column_sums(X, rows, mean)
    spread = np.sqrt(squares / len(rows)) if kind == "standard" else largest
    # What is left of a constant feature is the rounding of its mean.
    constant = spread <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return Scaling(mean, 1.0 / np.where(constant, 1.0, spread))
