"""Scaling of features: learned from the training part only, kept in the model, applied everywhere after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.losses import Array

_CHUNK_VALUES = 1 << 22  # 32 MiB of float64 at a time


@dataclass(frozen=True)
class Scaling:
    """x becomes (x - mean) * factor. mean and factor float64 (d,)."""

    mean: Array
    factor: Array


def fit_scaling(kind: str, X: Array, rows: Array) -> Scaling:
    """Learn a scaling from the given rows of X (n, d).

    ``standard``: mean and standard deviation (divisor m, as scikit-learn's StandardScaler); ``range``: the
    course's, mean and largest absolute deviation from it; ``none``: x as it is. A constant feature keeps the
    factor 1. Raises InputError where a feature is not finite.
    """
    d = X.shape[1]
    if kind == "none":
        return Scaling(np.zeros(d), np.ones(d))
    step = max(1, _CHUNK_VALUES // d)
    total = np.zeros(d)
    for start in range(0, len(rows), step):
        total += X[rows[start : start + step]].sum(axis=0, dtype=np.float64)
    mean = total / len(rows)
    if not np.isfinite(mean).all():
        column = int(np.flatnonzero(~np.isfinite(mean))[0])
        raise InputError(f"feature {column} of the training part holds NaN or infinity: it cannot be scaled")
    spread = np.zeros(d)
    for start in range(0, len(rows), step):
        off = X[rows[start : start + step]] - mean
        if kind == "standard":
            spread += np.einsum("ij,ij->j", off, off)
        else:
            spread = np.maximum(spread, np.abs(off).max(axis=0))
    if kind == "standard":
        spread = np.sqrt(spread / len(rows))
    # What is left of a constant feature is the rounding of its mean.
    constant = spread <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return Scaling(mean, 1.0 / np.where(constant, 1.0, spread))
