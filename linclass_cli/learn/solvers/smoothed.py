"""The hinge, by Newton's method: its kinks rounded off, ever less, until the duality gap is met.

The hinge with parabolas of some width in its kinks (losses.smooth_hinge_rows) is smooth, and differs
from the hinge by little: the gap that it leaves shrinks with the square of the width. So a first, wide one
tells how narrow the next has to be, and two or three are enough. The gap is proven by a point of the dual
(bounds.hinge_lower_bound).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from linclass_cli.learn.bounds import hinge_lower_bound, relative
from linclass_cli.learn.journal import State
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Problem, Value, evaluate, objective, pack_values, unpack_values
from linclass_cli.learn.solvers.iterate import Iterate, check_finite
from linclass_cli.learn.solvers.newton import centred, newton

MOST_IDLE = 2
FIRST_WIDTH = 3.0
# Without any l2 nothing holds the weights where no margin is in a kink, and steps would be infinite.
LEAST_L2 = 1e-7
NARROWEST = 1e-4
# From one width to the next; a start from further away costs more steps than it saves.
MOST_SHRINK, LEAST_SHRINK = 0.15, 0.5
# The smoothed problem is solved to this share of the gap that its width will leave.
FIRST_TOLERANCE, SHARE = 1e-2, 0.1


def smoothed(
    problem: Problem, duality_gap: float = 1e-3, max_iterations: int = 2000, resume: State | None = None
) -> Iterator[Iterate]:
    """Minimise the hinge to within ``duality_gap`` of the optimum, relative to the objective.

    Starts at W = 0, b = 0 and yields that as step 0. The last iterate has ``converged`` set when the gap is
    proven. Without l2 there is no dual, and no proof. ``resume``: a snapshot, whose iterate is yielded once
    more.
    """
    assert problem.loss == "hinge"
    k, d, l2 = problem.k, problem.part.d, problem.l2
    centre, shift = centred(problem)
    W, b = np.zeros((k, d)), np.zeros(k)
    width, inner, lower, before, idle = FIRST_WIDTH, FIRST_TOLERANCE, -np.inf, np.inf, 0
    step, again = 0, None
    if resume is None:
        last = Iterate(0, W, b, objective(centre, W, b))
    else:
        tensors, facts = resume.tensors, resume.facts
        (at,) = unpack_values(tensors, "last_")
        last = Iterate(facts["last"], tensors["last_W"], tensors["last_b"], at)
        width, inner, lower, before, idle, step = facts["outside"]
        again = State(tensors, facts["newton"])

    def snapshot() -> State:
        assert one.snapshot is not None
        newtons = one.snapshot()  # one step ahead of the last iterate that was yielded
        tensors = {"last_W": last.W, "last_b": last.b, **pack_values([last.at], "last_")}
        outside = [width, inner, lower, before, idle, step]
        facts = {"newton": newtons.facts, "last": last.iteration, "outside": outside}
        return State({**newtons.tensors, **tensors}, facts)

    while True:
        rough = replace(centre, width=width, l2=max(l2, LEAST_L2))
        step = last.iteration if again is None else step
        for one in newton(rough, inner, max_iterations - step, (W, b), again):
            if step + one.iteration > last.iteration:
                yield replace(_outside(last, shift), snapshot=snapshot)
                W, b = one.W, one.b
                last = Iterate(step + one.iteration, W, b, _exact(centre, one))
        again = None
        if l2 > 0:
            lower = max(lower, hinge_lower_bound(centre.part, l2, W, b, width))
        short = relative(last.at.value - lower, last.at.value)
        if short is not None and short <= duality_gap:
            yield _outside(replace(last, gap=last.at.value - lower, converged=True), shift)
            return
        # Narrower widths that gain nothing have met the end of float32.
        idle = idle + 1 if short is not None and short > 0.9 * before else 0
        if width <= NARROWEST or last.iteration >= max_iterations or idle == MOST_IDLE:
            yield _outside(replace(last, gap=None if short is None else last.at.value - lower), shift)
            return
        shrink, inner = LEAST_SHRINK, SHARE * duality_gap
        if short is not None:
            before = short
            shrink = min(max(0.6 * float(np.sqrt(duality_gap / short)), MOST_SHRINK), LEAST_SHRINK)
            inner = SHARE * max(duality_gap, short * shrink**2)
        width = max(NARROWEST, width * shrink)


def _exact(problem: Problem, one: Iterate) -> Value:
    """The value of the hinge itself at an iterate of the smoothed problem, whose gradient it keeps."""
    mean_loss, accuracy = evaluate(problem.part, problem.loss, one.W, one.b)
    value = mean_loss + 0.5 * problem.l2 * float((one.W**2).sum())
    return replace(one.at, value=value, mean_loss=mean_loss, accuracy=accuracy)


def _outside(iterate: Iterate, shift: Array) -> Iterate:
    """The iterate with the bias of features that are not centred."""
    check_finite(
        iterate.at, iterate.iteration, "the features hold NaN or infinity, or are too large; scale them"
    )
    return replace(iterate, b=iterate.b - iterate.W @ shift)
