"""Truncated Newton with conjugate gradients, for one problem or several that share their rows.

Each step solves H z = -g roughly, H the Hessian, by conjugate gradients (Nocedal and Wright 2006, algorithm
7.1), and then goes along z. Three things make it cheap:

- products with H use a fixed sample of the rows, which grows when the steps stop paying (Byrd et al. 2011);
- the preconditioner: H is close to C (x) A + l2, with A the Gram matrix of the features and C (k, k) the mean
  of d2loss/dS2, so one eigendecomposition of A serves every step, strength and fold;
- CG stops at a tenth of the residual: on a sampled model more would be lost.

It ends when the gradient proves that the objective is within the tolerance of the optimum (bounds.py). Where
float32 cannot prove it, or without l2, it ends when the decrease that the model still promises is a
ten thousandth of the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np

from linclass_cli.learn import journal
from linclass_cli.learn.bounds import LEAST, smooth_bound
from linclass_cli.learn.gram import Gram, gram
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, Value, curvature, objective, times_hessian
from linclass_cli.learn.scaling import mean_of
from linclass_cli.learn.solvers.iterate import Iterate, check_finite
from linclass_cli.learn.solvers.newton_state import State, pack, unpack

CG_TOLERANCE = 0.1
MOST_PRODUCTS = 25
# A hinge that has no row in a kink leaves the bias free: a step may be a billion times too long.
MOST_HALVINGS = 40
# Rows of the first sample: this share of them, and at least so many, and so many for each feature: of fewer
# rows than features a sample knows nothing in most directions.
FIRST_SHARE, FIRST_ROWS, FIRST_PER_FEATURE = 0.2, 8000, 4
# Steps that may gain nothing before a problem is given up.
MOST_IDLE = 4
# What the model may still promise, as a share of the tolerance, where there is no proof.
PROMISE = 1e-4
# Curvature that a hinge's bias is given at least, as a share of the mean curvature, and anyway.
HOLD, LEAST_HOLD = 1e-2, 1e-4
# Relative size of differences in the objective that float32 sums may invent.
_NOISE = 1e-8


class Model(Protocol):
    """P problems of k classes and d features over the same rows, to second order."""

    shape: tuple[int, int, int]
    rows: int
    l2: Array

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:
        """The objective of the problems ``which`` (p,) at W (p, k, d), b (p, k)."""
        ...

    def bend(self, which: Array, W: Array, b: Array, share: float) -> Array:
        """Prepare products with the Hessian at (W, b) on a share of the rows; mean d2loss/dS2 (p, k, k)."""
        ...

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        """The products with the bent Hessian, without l2: (p, k, d) and (p, k)."""
        ...

    @property
    def gram(self) -> Gram:
        """About X'X / n of the features as the problems see them, or its diagonal."""
        ...


def newton_steps(
    model: Model,
    tolerance: float,
    max_iterations: int,
    W: Array,
    b: Array,
    at: list[Value] | None = None,
    resume: State | None = None,
) -> Iterator[State]:
    """Minimise P problems in lockstep from W (P, k, d), b (P, k), float64; yields the start as step 0.

    ``at``: the objectives there, where they are known. ``resume``: a state that was yielded, to be yielded
    once more, and to go on from in the place of the start.
    """
    P = model.shape[0]
    everyone = np.arange(P)
    if resume is None:
        at = list(at) if at is not None else model.values(everyone, W, b)
        gap, converged = _judge(at, model.l2, tolerance)
        least = max(FIRST_ROWS, FIRST_PER_FEATURE * model.shape[2])
        share = min(1.0, max(FIRST_SHARE, least / model.rows))
        which, idle = everyone[~converged], np.zeros(P, np.int64)
        resume = State(0, W, b, at, gap, converged, share, which, idle)
    W, b, at, gap, converged = resume.W.copy(), resume.b.copy(), list(resume.at), resume.gap, resume.converged
    share, which, idle = resume.share, resume.which, resume.idle.copy()

    def state(step: int) -> State:
        return State(step, W.copy(), b.copy(), list(at), gap, converged, share, which, idle.copy())

    yield state(resume.step)
    if len(which) == 0:
        return
    grams = model.gram
    for step in range(resume.step + 1, max_iterations + 1):
        enough = PROMISE * tolerance * _sizes([at[p] for p in which])
        z_W, z_b, promised = _direction(model, which, W[which], b[which], at, share, grams, enough)
        moving = ~(promised <= enough)  # NaN goes on, to be found out
        if not moving.all():
            converged = converged.copy()
            converged[which[~moving]] = True
            which, z_W, z_b = which[moving], z_W[moving], z_b[moving]
            if len(which) == 0:
                yield state(step - 1)
                return
        before = [at[p] for p in which]
        stuck = _go(model, which, W, b, at, z_W, z_b)
        gap, proven = _judge(at, model.l2, tolerance)
        converged = converged | proven
        shrunk = np.array([at[p].gradient_size for p in which]) / [old.gradient_size for old in before]
        gained = np.array([old.value - at[p].value for p, old in zip(which, before, strict=True)])
        pays = (shrunk < 0.5) | (gained > 0.1 * np.minimum(promised[moving], enough[moving]))
        idle[which] = np.where(pays, 0, idle[which] + 1)
        going = ~converged[which]
        if share < 1 and ((shrunk > 0.2) | stuck)[going].any():
            share = min(1.0, 2 * share)
        else:
            # With all rows in the model, steps that keep less than they promise have met the end of float32.
            going &= ~stuck & (idle[which] < MOST_IDLE)
        which = which[going]
        yield state(step)
        if len(which) == 0:
            return


def _judge(at: list[Value], l2: Array, tolerance: float) -> tuple[Array, Array]:
    """The proven distances to the optima, (P,), and whether they are within the tolerance."""
    gap = np.array([smooth_bound(value, strength) for value, strength in zip(at, l2, strict=True)])
    return gap, gap <= tolerance * _sizes(at)


def _sizes(at: list[Value]) -> Array:
    return np.array([max(abs(value.value), LEAST) for value in at])


def _direction(
    model: Model,
    which: Array,
    W: Array,
    b: Array,
    at: list[Value],
    share: float,
    grams: Gram,
    enough: Array,
) -> tuple[Array, Array, Array]:
    """CG on the model at (W, b): the step (p, k, d), (p, k), and the decrease that it promises, (p,).

    Where a promise is sure to stay below ``enough`` (p,), CG ends early.
    """
    l2 = model.l2[which]
    precondition = grams.inverse(model.bend(which, W, b, share), l2)
    r_W = -np.stack([at[p].dW for p in which])
    r_b = -np.stack([at[p].db for p in which])
    z_W, z_b = np.zeros_like(r_W), np.zeros_like(r_b)
    y_W, y_b = precondition(r_W, r_b)
    p_W, p_b = y_W, y_b
    ry = _dot(r_W, r_b, y_W, y_b)
    end = CG_TOLERANCE**2 * ry
    promised = np.zeros(len(which))
    going = ry > 0
    for _ in range(MOST_PRODUCTS):
        h_W, h_b = model.times(p_W, p_b)
        h_W = h_W + l2[:, None, None] * p_W
        bend = _dot(p_W, p_b, h_W, h_b)
        going &= bend > 0
        length = np.where(going, ry / np.where(going, bend, 1), 0)
        promised += 0.5 * length * ry
        z_W, z_b = z_W + length[:, None, None] * p_W, z_b + length[:, None] * p_b
        r_W, r_b = r_W - length[:, None, None] * h_W, r_b - length[:, None] * h_b
        y_W, y_b = precondition(r_W, r_b)
        new = _dot(r_W, r_b, y_W, y_b)
        left = grams.left(new, r_W, l2)
        going &= (new > end) & (promised + left > enough)
        if not going.any():
            break
        ratio = np.where(going, new / np.where(ry > 0, ry, 1), 0)
        p_W, p_b = y_W + ratio[:, None, None] * p_W, y_b + ratio[:, None] * p_b
        ry = new
    # What CG left unsolved is promised, too.
    return z_W, z_b, promised + left


def _go(model: Model, which: Array, W: Array, b: Array, at: list[Value], z_W: Array, z_b: Array) -> Array:
    """Move W, b and ``at`` of the problems ``which`` along their steps, halved until the objective falls.

    Returns which of them found no better place, (p,) bool; those stay where they are.
    """
    waiting = np.arange(len(which))
    length = 1.0
    for _ in range(MOST_HALVINGS):
        at_p = which[waiting]
        new_W, new_b = W[at_p] + length * z_W[waiting], b[at_p] + length * z_b[waiting]
        found = model.values(at_p, new_W, new_b)
        good = np.zeros(len(waiting), bool)
        for i, (p, value) in enumerate(zip(at_p, found, strict=True)):
            slope = float((at[p].dW * z_W[waiting[i]]).sum() + at[p].db @ z_b[waiting[i]])
            slack = _NOISE * abs(at[p].value)
            if value.value <= at[p].value + 1e-4 * length * slope + slack:
                good[i] = True
                W[p], b[p], at[p] = new_W[i], new_b[i], value
        waiting = waiting[~good]
        if len(waiting) == 0:
            break
        length *= 0.5
    stuck = np.zeros(len(which), bool)
    stuck[waiting] = True
    return stuck


def _dot(a_W: Array, a_b: Array, b_W: Array, b_b: Array) -> Array:
    total: Array = np.einsum("pkd,pkd->p", a_W, b_W) + np.einsum("pk,pk->p", a_b, b_b)
    return total


class OneProblem:
    """A single problem as a :class:`Model`, by the fused kernels; its sample is a share of its rows."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.shape = (1, problem.k, problem.part.d)
        self.rows = problem.part.m
        self.l2 = np.array([problem.l2])
        self.order = np.random.default_rng(problem.seed).permutation(self.rows)
        self.share = 0.0

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:  # noqa: ARG002
        return [objective(self.problem, W[0], b[0])]

    def bend(self, which: Array, W: Array, b: Array, share: float) -> Array:  # noqa: ARG002
        if share != self.share:  # else they are where they are wanted
            sample = np.sort(self.order[: max(1, round(share * self.rows))])
            self.share, self.sample = share, self.problem.part.take(sample)
        self.curvature, mean = curvature(self.sample, self.problem.loss, W[0], b[0], self.problem.width)
        k = len(mean)
        # Between its kinks a hinge has no curvature, and nothing else holds the bias.
        self.hold = HOLD * float(np.trace(mean)) / k + LEAST_HOLD if self.problem.loss == "hinge" else 0.0
        return (mean + self.hold * np.eye(k))[None]

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        h_W, h_b = times_hessian(self.sample, self.problem.loss, self.curvature, V[0], v[0])
        return h_W[None], (h_b + self.hold * v[0])[None]

    @property
    def gram(self) -> Gram:
        rows = np.sort(self.order[: max(FIRST_ROWS, FIRST_PER_FEATURE * self.shape[2])])
        return Gram(gram(self.problem.part.take(rows)))


def _center(part: Part) -> Array:
    """About the mean of the scaled features, (d,)."""
    rows = np.ascontiguousarray(part.rows[:: max(1, part.m // FIRST_ROWS)])
    return np.asarray((mean_of(part.X, rows) - part.scaling.mean) * part.scaling.factor)


def centred(problem: Problem) -> tuple[Problem, Array]:
    """The problem with about centred features, and the shift (d,): its bias is the other's plus W shift.

    Then the bias and W hardly meet in the Hessian.
    """
    shift = _center(problem.part)
    return replace(problem, part=problem.part.shifted(shift)), shift


def newton(
    problem: Problem,
    gap: float = 1e-5,
    max_iterations: int = 2000,
    start: tuple[Array, Array] | None = None,
    resume: journal.State | None = None,
) -> Iterator[Iterate]:
    """Minimise a smooth objective to within ``gap`` of the optimum, relative to its value.

    Starts at W = 0, b = 0, or at ``start``; yields the start as step 0. The last iterate has ``converged``
    set when that is proven, or when the model promises no more; not when ``max_iterations`` or the end of
    float32 came first. Its ``gap`` is what is proven. ``resume``: a snapshot, whose iterate is yielded once
    more.
    """
    k, d = problem.k, problem.part.d
    W, b = start if start is not None else (np.zeros((k, d)), np.zeros(k))
    centre, shift = centred(problem)
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    begin = W[None], (b + W @ shift)[None]
    done = None if resume is None else unpack(resume)
    for state in newton_steps(OneProblem(centre), gap, max_iterations, *begin, resume=done):
        at, bound = state.at[0], float(state.gap[0])
        check_finite(at, state.step, "the features hold NaN or infinity, or are too large; scale them")
        W, b = state.W[0], state.b[0] - state.W[0] @ shift
        proven = bound if np.isfinite(bound) else None
        yield Iterate(state.step, W, b, at, bool(state.converged[0]), proven, partial(pack, state))
