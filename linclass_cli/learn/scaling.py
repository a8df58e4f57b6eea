"""Scaling of features: learned from the training part only, kept in the model, applied everywhere after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linclass_cli.blocks import Pass, Rows, Sums, sum_blocks
from linclass_cli.errors import InputError
from linclass_cli.jit import kernel
from linclass_cli.learn.losses import Array
from linclass_cli.learn.tiles import take_rows
from linclass_cli.read_ahead import pieces
from linclass_cli.spread import AnyRows

_TILE_VALUES = 1 << 18  # of float16, widened at a time: 1 MiB of float32
_SMALLEST = float(np.finfo(np.float32).tiny)  # a spread below has no inverse that float32 can hold


@dataclass(frozen=True)
class Scaling:
    """x becomes (x - mean) * factor. mean and factor float64 (d,)."""

    mean: Array
    factor: Array


# Loops over few arrays each: LLVM makes no vector code where too many of them might overlap.


@kernel()
def _sum_block(X: Array, rows: Array, sums: Array) -> None:
    """Add a block's sums of x to sums, float64 (d,)."""
    for i in range(rows.shape[0]):
        x = X[rows[i]]
        for j in range(x.shape[0]):
            sums[j] += x[j]


@kernel()
def _square_block(X: Array, rows: Array, mean: Array, squares: Array) -> None:
    """Add a block's sums of (x - mean)^2 to squares, float64 (d,)."""
    for i in range(rows.shape[0]):
        x = X[rows[i]]
        for j in range(x.shape[0]):
            off = x[j] - mean[j]
            squares[j] += off * off


@kernel()
def _reach_block(X: Array, rows: Array, mean: Array, largest: Array) -> None:
    """Raise largest, float64 (d,), to the block's largest |x - mean|."""
    for i in range(rows.shape[0]):
        x = X[rows[i]]
        for j in range(x.shape[0]):
            largest[j] = max(largest[j], abs(x[j] - mean[j]))


# By names, as these are what travels to other machines.
_KERNELS: dict[str, Callable[..., None]] = {"sum": _sum_block, "square": _square_block, "reach": _reach_block}


def _columns(kernel: str, data: Rows, *center: Array, join: np.ufunc = np.add) -> Array:
    """(d,), float64: what the kernel makes of each block of the rows, joined."""
    return sum_blocks(data, Pass(_column_block, (kernel, *center), join))[0]


def _column_block(data: Rows, at: slice, _: None, kernel: str, *center: Array) -> Sums:
    X, block, out = data.X, _KERNELS[kernel], np.zeros(data.X.shape[1])
    of_tile = max(1, _TILE_VALUES // max(1, X.shape[1]))
    every = np.arange(of_tile)
    for _i, some, own, _at in pieces(X, [data.rows[at]], 1):
        if X.dtype != np.float16:
            block(some, own, *center, out)
            continue
        for first in range(0, len(own), of_tile):
            tile = take_rows(some, own[first : first + of_tile])
            block(tile, every[: len(tile)], *center, out)
    return (out,)


def mean_of(X: AnyRows, rows: Array) -> Array:
    """The mean of the given rows of X (n, d), float64 (d,)."""
    return _mean(Rows(X, rows))


def _mean(data: Rows) -> Array:
    return _columns("sum", data) / len(data.rows)


def fit_scaling(kind: str, X: AnyRows, rows: Array) -> Scaling:
    """Learn a scaling from the given rows of X (n, d).

    ``standard``: mean and standard deviation (divisor m, as scikit-learn's StandardScaler); ``range``: the
    course's, mean and largest absolute deviation from it; ``none``: x as it is. A constant feature keeps the
    factor 1, or less where it is larger: what is left of it is the rounding of its mean, and stays small.
    Raises InputError where a feature is not finite.
    """
    d = X.shape[1]
    if kind == "none":
        return Scaling(np.zeros(d), np.ones(d))
    data = Rows(X, rows)
    mean = _mean(data)
    if not np.isfinite(mean).all():
        column = int(np.flatnonzero(~np.isfinite(mean))[0])
        raise InputError(f"feature {column} of the training part holds NaN or infinity: it cannot be scaled")
    if kind == "standard":
        spread = np.sqrt(_columns("square", data, mean) / len(rows))
    else:
        spread = _columns("reach", data, mean, join=np.maximum)
    constant = spread <= np.maximum(1e-12 * np.abs(mean), _SMALLEST)
    return Scaling(mean, 1.0 / np.where(constant, np.maximum(np.abs(mean), 1.0), spread))


def weigh_parts(scaling: Scaling, parts: tuple[int, ...], weights: str) -> Scaling:
    """The scaling, with the columns of each joined feature, ``parts`` many, times its number in ``weights``.

    Columns of a factor w have l2 / w² for their strength. No text, or no parts: the scaling as it is.
    """
    if not weights or not parts:
        return scaling
    factors = np.repeat([float(weight) for weight in weights.split(",")], parts)
    return Scaling(scaling.mean, scaling.factor * factors)
