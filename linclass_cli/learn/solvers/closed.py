"""Ridge regression on one-hot targets, in closed form: the centred normal equations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.objective import Problem, objective
from linclass_cli.learn.solvers.iterate import Iterate, check_finite

_CHUNK_VALUES = 1 << 22


def closed(problem: Problem) -> Iterator[Iterate]:
    """The minimiser of mean(1/2 ||W x + b - onehot(y)||^2) + l2/2 ||W||^2, in one step.

    (A + l2 I) W' = B, with A (d, d) and B (d, k) the covariances of x with itself and with the targets, in
    float64; b = mean(onehot) - W mean(x). With l2 = 0 and a singular A: the W of smallest norm.
    """
    part, l2, k = problem.part, problem.l2, problem.k
    assert problem.loss == "ridge"
    m, d = part.m, part.d
    step = max(1, _CHUNK_VALUES // d)
    gram, cross = np.zeros((d, d)), np.zeros((d, k))
    mean, share = np.zeros(d), np.bincount(part.y, minlength=k) / m
    for start in range(0, m, step):
        rows = slice(start, start + step)
        x = (part.X[part.rows[rows]] - part.scaling.mean) * part.scaling.factor
        mean += x.sum(axis=0)
        gram += x.T @ x
        np.add.at(cross.T, part.y[rows], x)
    mean /= m
    if not np.isfinite(gram).all():
        raise InputError(
            "the features hold NaN or infinity, or their squares overflow: ridge cannot be fitted"
        )
    gram = gram / m - np.outer(mean, mean)
    cross = cross / m - np.outer(mean, share)
    gram[np.diag_indices(d)] += l2
    try:
        W = np.linalg.solve(gram, cross).T if l2 > 0 else np.linalg.lstsq(gram, cross)[0].T
    except np.linalg.LinAlgError:
        W = np.linalg.lstsq(gram, cross)[0].T
    W = np.ascontiguousarray(W)
    b = share - W @ mean
    at = objective(problem, W, b)
    check_finite(at, 1, "the features are too large; scale them, or raise l2")
    yield Iterate(1, W, b, at, converged=True)
