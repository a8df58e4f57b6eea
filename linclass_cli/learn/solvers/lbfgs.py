"""Limited-memory BFGS, full batch, with a line search for the strong Wolfe conditions.

Nocedal and Wright, Numerical Optimization (2006), algorithms 7.4, 7.5, 3.5 and 3.6; near the optimum, where
float32 sums hide the last digits of the objective, the approximate Wolfe conditions of Hager and Zhang (2005)
decide by the slope instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from linclass_cli.learn.journal import State
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Problem, Value, objective, pack_values, unpack_values
from linclass_cli.learn.solvers.iterate import Iterate, check_finite

_PAIRS = 20
_DECREASE, _CURVATURE = 1e-4, 0.9
# Relative size of differences in the objective that float32 sums may invent.
_NOISE = 1e-7
_MOST_TRIALS = 30


def lbfgs(
    problem: Problem,
    tolerance: float = 1e-5,
    max_iterations: int = 2000,
    start: tuple[Array, Array] | None = None,
    resume: State | None = None,
) -> Iterator[Iterate]:
    """Minimise the objective until its gradient's largest entry is at most ``tolerance``.

    Starts at W = 0, b = 0, or at ``start``; yields the start as step 0. The last iterate has ``converged``
    set when the tolerance was met, and not when ``max_iterations`` or the end of float32 came first.
    ``resume``: a snapshot, whose iterate is yielded once more.
    """
    k, d = problem.k, problem.part.d
    W, b = start if start is not None else (np.zeros((k, d)), np.zeros(k))

    def at(theta: Array) -> Value:
        return objective(problem, theta[: k * d].reshape(k, d), theta[k * d :])

    def iterate() -> Iterate:
        done = value.gradient_norm <= tolerance
        W, b = theta[: k * d].reshape(k, d).copy(), theta[k * d :].copy()
        return Iterate(step, W, b, value, done, snapshot=snapshot)

    def snapshot() -> State:
        moved, bent, curved = zip(*pairs, strict=True) if pairs else ([], [], [])
        tensors = {"theta": theta, "moved": np.array(moved), "bent": np.array(bent), **pack_values([value])}
        return State(tensors, {"step": step, "curved": curved})

    pairs: deque[tuple[Array, Array, float]] = deque(maxlen=_PAIRS)
    if resume is not None:
        theta, step, (value,) = resume.tensors["theta"], resume.facts["step"], unpack_values(resume.tensors)
        pairs.extend(
            zip(resume.tensors["moved"], resume.tensors["bent"], resume.facts["curved"], strict=True)
        )
    else:
        theta, step = np.concatenate([W.ravel(), b]).astype(np.float64), 0
        value = at(theta)
        check_finite(value, 0, "the features hold NaN or infinity, or are too large; scale them")
    yield iterate()
    slope_of = _flat(value)
    while step < max_iterations:
        if value.gradient_norm <= tolerance:
            return
        direction = -_times_inverse_hessian(slope_of, pairs)
        first = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope_of).sum()))
        found = _line_search(at, theta, direction, value, slope_of, first)
        if found is None and pairs:
            # The curvature that was remembered may mislead: once more along the plain gradient.
            pairs.clear()
            direction = -slope_of
            first = min(1.0, 1.0 / float(np.abs(slope_of).sum()))
            found = _line_search(at, theta, direction, value, slope_of, first)
        if found is None:
            return
        length, value = found
        step += 1
        check_finite(value, step, "the features are too large; scale them, or raise l2")
        moved, before = length * direction, slope_of
        slope_of = _flat(value)
        theta = theta + moved
        curvature = float(moved @ (slope_of - before))
        if curvature > 1e-14 * float(moved @ moved):
            pairs.append((moved, slope_of - before, curvature))
        yield iterate()


def _flat(value: Value) -> Array:
    return np.concatenate([value.dW.ravel(), value.db])


def _times_inverse_hessian(g: Array, pairs: deque[tuple[Array, Array, float]]) -> Array:
    """The two loops over the remembered pairs (s, y, s'y)."""
    q = g.copy()
    weights = []
    for s, y, sy in reversed(pairs):
        a = float(s @ q) / sy
        weights.append(a)
        q -= a * y
    if pairs:
        _, y, sy = pairs[-1]
        q *= sy / float(y @ y)
    for (s, y, sy), a in zip(pairs, reversed(weights), strict=True):
        q += (a - float(y @ q) / sy) * s
    return q


def _line_search(
    at: Callable[[Array], Value], theta: Array, direction: Array, start: Value, g: Array, first: float
) -> tuple[float, Value] | None:
    """A step length that meets the Wolfe conditions, with the objective there; None when there is none."""
    f0, slope0 = start.value, float(g @ direction)
    if not slope0 < 0:
        return None
    slack = _NOISE * abs(f0)
    low, low_value, low_slope = 0.0, f0, slope0
    high: float | None = None
    length = first
    for _ in range(_MOST_TRIALS):
        value = at(theta + length * direction)
        slope = float(_flat(value) @ direction)
        f = value.value
        finite = np.isfinite(f) and np.isfinite(slope)
        exact = f <= f0 + _DECREASE * length * slope0 and abs(slope) <= -_CURVATURE * slope0
        nearly = f <= f0 + slack and (2 * _DECREASE - 1) * slope0 >= slope >= _CURVATURE * slope0
        if finite and (exact or nearly):
            return length, value
        if not finite or f > f0 + _DECREASE * length * slope0 + slack or f > low_value + slack or slope >= 0:
            # Too far: the wanted length lies between low and this one.
            wanted = _cubic_minimum(low, low_value, low_slope, length, f, slope) if finite else None
            high = length
        elif high is None:
            low, low_value, low_slope = length, f, slope
            length *= 3.0
            continue
        else:
            low, low_value, low_slope = length, f, slope
            wanted = None
        width = high - low
        if width <= 1e-12 * max(high, 1e-300):
            return None
        if wanted is None or not low + 0.05 * width <= wanted <= high - 0.05 * width:
            wanted = low + 0.5 * width
        length = wanted
    return None


def _cubic_minimum(a: float, fa: float, ga: float, b: float, fb: float, gb: float) -> float | None:
    """Where the cubic through two values and slopes is least (Nocedal and Wright, equation 3.59)."""
    d1 = ga + gb - 3 * (fa - fb) / (a - b)
    inside = d1 * d1 - ga * gb
    if not inside >= 0:
        return None
    d2 = float(np.copysign(np.sqrt(inside), b - a))
    bottom = gb - ga + 2 * d2
    return None if bottom == 0 else b - (b - a) * (gb + d2 - d1) / bottom
