"""The gradient check: what the kernels say is the slope, against the slope itself.

The objective at a point, moved by a small step to both sides along one entry of W or b, gives that entry's
central difference, (F(θ + h) - F(θ - h)) / 2h. Its error is of the order h² + ε/h, so h = ε^(1/3), 6e-6 in
float64, serves best (docs/gradients.md, section 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, objective
from linclass_cli.learn.scaling import Scaling

STEP = 6e-6
TOLERANCE = 1e-6  # of the relative error; a right gradient has about 1e-9, a wrong one 1e-2 and more
N, D, K = 30, 7, 4  # all different, so that a wrong axis fails
_CLEAR = 1e-2  # how far every margin is from its kink, at least: there the slopes of the two sides differ


@dataclass(frozen=True)
class Point:
    """Where the gradient is checked: float64 X (n, d), y int64 (n,) in 0 .. k-1, W (k, d), b (k,)."""

    X: Array
    y: Array
    W: Array
    b: Array


@dataclass(frozen=True)
class Entry:
    """One entry of the gradient: its name, as in ``dW[2,0]``, and both values of it."""

    name: str
    analytic: float
    numeric: float


@dataclass(frozen=True)
class Checked:
    """Every entry of the gradient, dW row by row, then db, and their largest relative error.

    Relative to the gradient's largest entry: an entry that happens to be zero would have no error of its own.
    """

    objective: float
    entries: tuple[Entry, ...]
    relative_error: float

    @property
    def ok(self) -> bool:
        return self.relative_error < TOLERANCE


def check_gradient(point: Point, loss: str, l2: float) -> Checked:
    """Both gradients of the objective at the point, by the kernels that ``train`` uses, in float64."""
    d = point.X.shape[1]
    part = Part(point.X, np.arange(len(point.y)), point.y, Scaling(np.zeros(d), np.ones(d)))
    problem = Problem(part, loss, l2, len(point.b))
    at = objective(problem, point.W, point.b)
    analytic = np.concatenate([at.dW.ravel(), at.db])
    numeric = slopes(lambda W, b: objective(problem, W, b).value, point.W, point.b)
    names = [f"dW[{m},{j}]" for m, j in np.ndindex(point.W.shape)]
    names += [f"db[{m}]" for m in range(len(point.b))]
    entries = [Entry(*one) for one in zip(names, analytic.tolist(), numeric.tolist(), strict=True)]
    largest = max(np.abs(analytic).max(), np.abs(numeric).max(), np.finfo(float).tiny)
    return Checked(at.value, tuple(entries), float(np.abs(analytic - numeric).max() / largest))


def slopes(value: Callable[[Array, Array], float], W: Array, b: Array) -> Array:
    """The central differences of value(W, b) along each entry of W (k, d), row by row, and of b (k,)."""
    theta = np.concatenate([W.ravel(), b])
    numeric = np.empty_like(theta)
    for at in range(len(theta)):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[at] += sign * STEP
            ends.append(value(moved[: W.size].reshape(W.shape), moved[W.size :]))
        numeric[at] = (ends[0] - ends[1]) / (2 * STEP)
    return numeric


def made_up_point(seed: int) -> Point:
    """N images of D features and K classes, and a W and b that are not zero, where bugs would hide.

    No margin is near its kink: a point where one is gives way to the next one drawn.
    """
    rng = np.random.default_rng(seed)
    while True:
        X, y = rng.normal(size=(N, D)), rng.integers(K, size=N)
        W, b = rng.normal(scale=0.5, size=(K, D)), rng.normal(size=K)
        S = X @ W.T + b
        excess = S - S[np.arange(N), y][:, None] + 1  # the hinge's; at the label 1
        short = np.minimum(np.abs(1 - S), np.abs(1 + S))  # the squared hinge's
        if min(np.abs(excess).min(), short.min()) > _CLEAR:
            return Point(X, y, W, b)
