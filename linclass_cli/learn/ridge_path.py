"""Ridge over all folds and strengths: one Gram matrix, and one factorisation a fold.

The sums of x x' and of onehot x' over the rows of the other folds, added up, are those of a fold's training
part. Its scaling is a diagonal factor on both sides. Then A = V L V' once a fold, and every strength is
W' = V (L + l2)^-1 V' B.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.folds import FoldProblems, narrowest
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Value
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.solvers.closed import moments
from linclass_cli.spread import AnyRows

Sums = tuple[Array, Array, Array]

# Weights of at most so many values are tried at once: 32 MiB of float64.
MOST_VALUES = 1 << 22


class _Fold:
    """The normal equations of one fold's training part, factorised."""

    def __init__(self, sums: Sums, share: Array, m: int, scaling: Scaling, base: Scaling):
        gram, cross, total = sums
        stretch = scaling.factor / base.factor
        mean = total / m
        A = (gram / m - np.outer(mean, mean)) * np.outer(stretch, stretch)
        if not np.isfinite(A).all():
            raise InputError(
                "the features hold NaN or infinity, or their squares overflow: ridge cannot be fitted"
            )
        self.B = (cross / m - np.outer(share, mean)) * stretch
        self.values, self.vectors = np.linalg.eigh(A)
        self.mean = mean * stretch + (base.mean - scaling.mean) * scaling.factor
        self.share = share

    def solve(self, right: Array, l2: float) -> Array:
        """right (k, d) times (A + l2)^-1; without l2, directions that are rounding are left out."""
        bends = self.values + l2
        least = 0.0 if l2 > 0 else 1e-7 * float(self.values[-1])
        inverse = np.where(bends > least, 1 / np.where(bends > least, bends, 1), 0)
        return np.asarray(((right @ self.vectors) * inverse) @ self.vectors.T)


def ridge_path(
    X: AnyRows,
    y: Array,
    fold_of: Array,
    scalings: list[Scaling],
    strengths: list[float],
    k: int,
    first_fold: int = 0,
    rows: Array | None = None,
) -> Iterator[tuple[int, float, Value, Array, Array]]:
    """(fold, l2, the objective there with ``held``, W (k, d), b (k,)) for every cell from a fold on.

    rows int64 (n,): which rows of X those of y and fold_of are; None: all.
    """
    base, d = narrowest(scalings), X.shape[1]
    at = np.arange(len(y)) if rows is None else rows
    at_once = max(1, MOST_VALUES // (k * d))
    parts = []
    for fold in range(len(scalings)):
        own = np.flatnonzero(fold_of == fold)
        parts.append(moments(Part(X, at[own], y[own], base), k))
    for fold, (scaling, sums) in enumerate(zip(scalings, _without_each(parts), strict=True)):
        if fold < first_fold:
            continue
        trains = fold_of != fold
        share = np.bincount(y[trains], minlength=k) / trains.sum()
        solved = _Fold(sums, share, int(trains.sum()), scaling, base)
        for first in range(0, len(strengths), at_once):
            l2 = np.array(strengths[first : first + at_once])
            holds = np.full(len(l2), fold)
            alike = [scaling] * len(l2)
            problems = FoldProblems(X, y, fold_of, holds, alike, "ridge", l2, k, 0, rows=at)
            values, W, b = _refined(problems, solved)
            for cell in zip(l2.tolist(), values, W, b, strict=True):
                yield fold, *cell


def _without_each(parts: Sequence[Sums], others: Sums | None = None) -> Iterator[Sums]:
    """For each of the parts in turn the sum of all but it, and of ``others``.

    Added up, half by half: subtracted from the sum of all, a part with an outlier would leave only rounding.
    """
    if len(parts) == 1 and others is not None:
        yield others
        return
    half = len(parts) // 2
    for own, added in ((parts[:half], parts[half:]), (parts[half:], parts[:half])):
        yield from _without_each(own, _sum([*added, others] if others else added))


def _sum(parts: Sequence[Sums]) -> Sums:
    gram, cross, total = (functools.reduce(np.add, arrays) for arrays in zip(*parts, strict=True))
    return gram, cross, total


def _refined(problems: FoldProblems, solved: _Fold) -> tuple[list[Value], Array, Array]:
    """The solutions of one fold's problems: values, W (p, k, d), b (p, k).

    One step of iterative refinement, with the gradient, makes up for products in the features' precision.
    """
    l2, everyone = problems.l2, np.arange(len(problems.l2))
    W = np.stack([solved.solve(solved.B, strength) for strength in l2])
    b = solved.share - W @ solved.mean
    values = problems.values(everyone, W, b)
    steps = [
        solved.solve(at.dW - np.outer(at.db, solved.mean), strength)
        for at, strength in zip(values, l2, strict=True)
    ]
    new_W = W - np.stack(steps)
    new_b = solved.share - new_W @ solved.mean
    for i, new in enumerate(problems.values(everyone, new_W, new_b)):
        if new.gradient_size < values[i].gradient_size:
            W[i], b[i], values[i] = new_W[i], new_b[i], new
    return values, W, b
