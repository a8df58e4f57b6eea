"""The hinge, by Newton's method: its kinks rounded off, ever less, until the duality gap is met.

The hinge with parabolas of some width in its kinks (losses.smooth_hinge_rows) is a smooth problem, and differs
from the hinge by little: the gap that it leaves shrinks with the square of the width. So a first, wide one
tells how narrow the next has to be, and two or three are enough. The gap is proven by a point of the dual
(bounds.hinge_lower_bound).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from linclass_cli.learn.bounds import LEAST, hinge_lower_bound
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Problem
from linclass_cli.learn.solvers.iterate import Iterate, check_finite
from linclass_cli.learn.solvers.newton import Model, OneProblem, State, centred, newton_steps

FIRST_WIDTH = 3.0
NARROWEST = 1e-3
# From one width to the next; a start from further away costs more steps than it saves.
MOST_SHRINK = 0.15
# The smoothed problem is solved to this share of the gap that its width will leave.
FIRST_TOLERANCE, SHARE = 1e-2, 0.1


def smoothed_steps(
    model_of: Callable[[float], Model],
    lower_bounds: Callable[[Array, Array, float], Array],
    tolerance: float,
    max_iterations: int,
    W: Array,
    b: Array,
) -> Iterator[State]:
    """Minimise the hinge of P problems in lockstep, from W (P, k, d), b (P, k); yields the start as step 0.

    ``model_of(width)``: the problems, smoothed (0: not); ``lower_bounds(W, b, width)``: of their optima, (P,).
    """
    P, step, width = len(W), 0, FIRST_WIDTH
    exact = model_of(0.0)
    everyone = np.arange(P)
    at = exact.values(everyone, W, b)
    lower = np.full(P, -np.inf)
    state = State(0, W, b, at, np.full(P, np.inf), np.zeros(P, bool))
    inner = FIRST_TOLERANCE
    while True:
        for rough in newton_steps(model_of(width), inner, max_iterations - step, W, b):
            if rough.step > 0 and (rough.W != state.W).any():
                yield state
                at = exact.values(everyone, rough.W, rough.b)
                state = State(step + rough.step, rough.W, rough.b, at, state.gap, state.converged)
        W, b, step = state.W, state.b, state.step
        lower = np.maximum(lower, lower_bounds(W, b, width))
        size = np.array([max(abs(value.value), LEAST) for value in at])
        gap = np.array([value.value for value in at]) - lower
        state = replace(state, gap=gap, converged=gap <= tolerance * size)
        if state.converged.all() or width <= NARROWEST or step >= max_iterations:
            yield state
            return
        short = float(np.max(gap / size))
        shrink = 0.6 * float(np.sqrt(tolerance / short)) if np.isfinite(short) else 0.5
        shrink = min(max(shrink, MOST_SHRINK), 0.5)
        width = max(NARROWEST, width * shrink)
        inner = SHARE * max(tolerance, short * shrink**2 if np.isfinite(short) else 0.0)


def smoothed(
    problem: Problem,
    duality_gap: float = 1e-3,
    max_iterations: int = 2000,
    start: tuple[Array, Array] | None = None,
) -> Iterator[Iterate]:
    """Minimise the hinge to within ``duality_gap`` of the optimum, relative to the objective.

    Starts at W = 0, b = 0, or at ``start``; yields the start as step 0. The last iterate has ``converged``
    set when the gap is proven. Without l2 there is no dual, and no proof.
    """
    assert problem.loss == "hinge"
    k, d, l2 = problem.k, problem.part.d, problem.l2
    W, b = start if start is not None else (np.zeros((k, d)), np.zeros(k))
    centre, shift = centred(problem)

    def model_of(width: float) -> Model:
        return OneProblem(replace(centre, width=width))

    def lower_bounds(W: Array, b: Array, width: float) -> Array:
        return np.array([hinge_lower_bound(centre.part, l2, W[0], b[0], width) if l2 > 0 else -np.inf])

    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    for state in smoothed_steps(
        model_of, lower_bounds, duality_gap, max_iterations, W[None], (b + W @ shift)[None]
    ):
        at, gap = state.at[0], float(state.gap[0])
        check_finite(at, state.step, "the features hold NaN or infinity, or are too large; scale them")
        W, b = state.W[0], state.b[0] - state.W[0] @ shift
        yield Iterate(state.step, W, b, at, bool(state.converged[0]), gap if np.isfinite(gap) else None)
