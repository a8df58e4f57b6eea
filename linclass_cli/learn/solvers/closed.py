"""Ridge regression on one-hot targets, in closed form: the centred normal equations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from linclass_cli.blocks import Pass, Sums, sum_blocks
from linclass_cli.errors import InputError
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, objective, scaled
from linclass_cli.learn.solvers.iterate import Iterate, check_finite
from linclass_cli.threads import Spans, in_chunks

_NOT_FINITE = "the features hold NaN or infinity, or their squares overflow: ridge cannot be fitted"
TILE_VALUES = 1 << 22  # 16 MiB of float32
# Of a block: each has a Gram matrix, and those of log2 as many wait for others.
LEAST_ROWS = 8192
LEAST_COLUMNS = 256  # that are read at a time: a row's must be worth the way to them
STRIPE = 192  # columns of the Gram matrix, at most, that one thread computes at a time


def closed(problem: Problem) -> Iterator[Iterate]:
    """The minimiser of mean(1/2 ||W x + b - onehot(y)||^2) + l2/2 ||W||^2, in one step.

    (A + l2 I) W' = B, with A (d, d) and B (d, k) the covariances of x with itself and with the targets, and
    b = mean(onehot) - W mean(x). The covariances are sums of products in the features' own precision; one
    step of iterative refinement, with the gradient at the first solution, makes up for it. With l2 = 0 and a
    singular A: the W of smallest norm.
    """
    assert problem.loss == "ridge"
    part, l2, k = problem.part, problem.l2, problem.k
    if part.m < part.d:
        yield _by_rows(problem)
        return
    gram, cross, mean = _covariances(part, k)
    if not np.isfinite(gram).all():
        raise InputError(_NOT_FINITE)
    gram[np.diag_indices(part.d)] += l2
    share = _shares(part, k)
    W = _solve(gram, cross, l2)
    b = share - W @ mean
    at = objective(problem, W, b)
    check_finite(at, 1, "the features are too large; scale them, or raise l2")
    # The gradient in W where the bias follows W: dW - db mean'.
    better_W = W - _solve(gram, (at.dW - np.outer(at.db, mean)).T, l2)
    better_b = share - better_W @ mean
    better = objective(problem, better_W, better_b)
    if better.gradient_size < at.gradient_size:
        W, b, at = better_W, better_b, better
    yield Iterate(1, W, b, at, converged=True)


def _by_rows(problem: Problem) -> Iterate:
    """The same where there are fewer rows than features: W' = X' (X X' + m l2)^-1 Y, X and Y centred.

    The Gram matrix is one of rows (m, m). X is read twice, some columns at a time, and worked on in float64.
    """
    part, l2, k = problem.part, problem.l2, problem.k
    weights = np.ones(part.m) if part.class_weights is None else part.class_weights[part.y]
    share, mean = _shares(part, k), np.empty(part.d)
    width = max(LEAST_COLUMNS, TILE_VALUES // part.m)
    stripes = [slice(first, min(first + width, part.d)) for first in range(0, part.d, width)]

    def centred(columns: slice) -> Array:
        X = scaled(part, slice(None), columns).astype(np.float64)
        mean[columns] = np.average(X, axis=0, weights=weights)
        X -= mean[columns]
        X *= np.sqrt(weights)[:, None]
        return X

    gram = np.zeros((part.m, part.m))
    for columns in stripes:
        X = centred(columns)
        gram += X @ X.T
    Y = (np.eye(k)[part.y] - share) * np.sqrt(weights)[:, None]
    if not np.isfinite(gram).all():
        raise InputError(_NOT_FINITE)
    gram[np.diag_indices(part.m)] += part.m * l2
    shares, W = _solve(gram, Y, l2), np.empty((k, part.d))
    for columns in stripes:
        W[:, columns] = shares @ centred(columns)
    b = share - W @ mean
    at = objective(problem, W, b)
    check_finite(at, 1, "the features are too large; scale them, or raise l2")
    return Iterate(1, W, b, at, converged=True)


def _solve(gram: Array, right: Array, l2: float) -> Array:
    """gram^-1 right, transposed; the least-squares solution of smallest norm where gram is singular."""
    if l2 > 0:
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.ascontiguousarray(np.linalg.solve(gram, right).T)
    # What is below float32's resolution of the largest direction is rounding, not a feature.
    return np.ascontiguousarray(np.linalg.lstsq(gram, right, rcond=1e-7)[0].T)


def _covariances(part: Part, k: int) -> tuple[Array, Array, Array]:
    """Of the scaled features: with themselves (d, d), with the one-hot labels (d, k), and their mean (d,)."""
    # Centred on the way, so that products in float32 lose nothing to large means.
    some = part.take(np.arange(min(part.m, max(1, TILE_VALUES // part.d))))
    center = scaled(some, slice(None)).mean(axis=0, dtype=np.float64)
    gram, cross, total = moments(part.shifted(center), k)
    mass = part.masses(k).sum()
    mean, share, heft = total / mass, _shares(part, k), mass / part.m
    gram = gram / part.m - heft * np.outer(mean, mean)
    return gram, (cross / part.m - heft * np.outer(share, mean)).T, mean + center


def _shares(part: Part, k: int) -> Array:
    """The mean of the one-hot labels, by their weights, (k,)."""
    masses = part.masses(k)
    return np.asarray(masses / masses.sum())


def moments(part: Part, k: int) -> tuple[Array, Array, Array]:
    """Sums over the rows of the scaled features: of x x' (d, d), of onehot x' (k, d), of x (d,); float64.

    Each row counts by the weight of its class.
    Products are in the features' own precision.
    """
    gram, cross, total = sum_blocks(part, Pass(_moments, (k,), singly=True), least=LEAST_ROWS)
    return gram, cross, total


def _moments(part: Part, at: slice, _: None, k: int) -> Sums:
    d, dtype = part.d, part.dtype
    rows_of_tile = max(1, TILE_VALUES // d)
    gram, cross, total = np.zeros((d, d)), np.zeros((k, d)), np.zeros(d)
    stripes = range(0, d, -(-d // -(-d // STRIPE)))
    for start in range(at.start, at.stop, rows_of_tile):
        tile = slice(start, min(start + rows_of_tile, at.stop))
        T = scaled(part, tile)
        onehot = np.zeros((len(T), k), dtype)
        onehot[np.arange(len(T)), part.y[tile]] = 1
        weighed = T
        if part.class_weights is not None:
            weighed = T * part.class_weights.astype(dtype)[part.y[tile]][:, None]
        total += weighed.sum(axis=0, dtype=np.float64)
        cross += onehot.T @ weighed

        def work(spans: Spans, T: Array = T, weighed: Array = weighed) -> None:
            for i, _ in spans:
                columns = slice(stripes[i], stripes[i] + stripes.step)
                gram[:, columns] += T.T @ weighed[:, columns]

        in_chunks(work, len(stripes))
    return gram, cross, total
