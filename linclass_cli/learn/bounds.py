"""How far an objective can be from its optimum at most: proven, not estimated.

Smooth losses: the objective is convex, and l2-strongly so in W, so it is above its minimum by at most
||gradient||^2 / (2 l2) (Boyd and Vandenberghe 2004, section 9.1.2). The bias has no such term; its part of the
gradient is counted as if it had, which is too much as long as the loss bends by more than l2 in the bias.

Hinge: every point of its dual gives a lower bound. With shares a_ij in [0, 1] for j != y_i, G_ij = a_ij,
G_iy = -sum_j a_ij and sum_i G_i = 0 (the bias is free), the optimum is at least

    mean_i sum_j a_ij - l2/2 ||V||^2,    V = -G'X / (n l2)

(Weston and Watkins 1999). The derivatives of the smoothed hinge are such shares but for the sums, which are
zero only at its own optimum; `_balance` makes up for the rest.
"""

from __future__ import annotations

import numpy as np

from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, Value, scaled
from linclass_cli.threads import Spans, in_chunks

TILE_ROWS = 1024
BLOCKS = 16
# Kinks that are tried where a solver did not say how wide its own was.
_WIDTHS = (1.0, 0.25, 0.05)
# Distances are relative to the objective, or to this where the objective is smaller.
LEAST = 0.01


def relative(gap: float | None, objective: float) -> float | None:
    """A distance to the optimum as a share of the objective; None where there is no bound."""
    return None if gap is None or not np.isfinite(gap) else gap / max(abs(objective), LEAST)


def gap_bound(problem: Problem, at: Value, W: Array, b: Array) -> float | None:
    """The most that the objective ``at`` (W (k, d), b (k,)) can be above the optimum; None without a bound."""
    if problem.l2 <= 0:
        return None
    if problem.loss != "hinge":
        return smooth_bound(at, problem.l2)
    lower = max(hinge_lower_bound(problem.part, problem.l2, W, b, width) for width in _WIDTHS)
    return at.value - lower if np.isfinite(lower) else None


def smooth_bound(at: Value, l2: float) -> float:
    """||gradient||^2 / (2 l2); infinite without l2."""
    return at.gradient_size**2 / (2 * l2) if l2 > 0 else np.inf


def hinge_lower_bound(part: Part, l2: float, W: Array, b: Array, width: float) -> float:
    """What the hinge's objective on the part cannot go below, from the shares at W (k, d), b (k,).

    -inf where the shares are too far from balance. Two passes over the part, in its own precision.
    """
    k = W.shape[0]
    shares, flows = _shares(part, W, b, width)
    factors = _balance(flows)
    if factors is None:
        return -np.inf
    G = shares
    G *= factors.astype(G.dtype)[part.y]
    total = float(G.sum(dtype=np.float64)) / part.m
    G[np.arange(part.m), part.y] = -G.sum(axis=1)
    sums = np.zeros((BLOCKS, k, part.d), G.dtype)

    def work(spans: Spans) -> None:
        for t, _ in spans:
            for at in _tiles(part.m, t):
                sums[t] += G[at].T @ scaled(part, at)

    in_chunks(work, BLOCKS)
    V = sums.sum(axis=0, dtype=np.float64) / (part.m * l2)
    return total - 0.5 * l2 * float((V * V).sum())


def _shares(part: Part, W: Array, b: Array, width: float) -> tuple[Array, Array]:
    """a (m, k), 0 at the label, and the flows between classes, float64 (k, k): [y, j] the sum of a_ij."""
    dtype, k = part.X.dtype, W.shape[0]
    weights, bias = W.astype(dtype), b.astype(dtype)
    shares, flows = np.empty((part.m, k), dtype), np.zeros((BLOCKS, k, k))

    def work(spans: Spans) -> None:
        for t, _ in spans:
            for at in _tiles(part.m, t):
                y = part.y[at]
                S = scaled(part, at) @ weights.T + bias
                of_label = S[np.arange(len(y)), y][:, None]
                a = np.clip((S - of_label + 1) / dtype.type(width) + dtype.type(0.5), 0, 1)
                a[np.arange(len(y)), y] = 0
                shares[at] = a
                onehot = np.zeros((len(y), k), dtype)
                onehot[np.arange(len(y)), y] = 1
                flows[t] += onehot.T @ a

    in_chunks(work, BLOCKS)
    return shares, flows.sum(axis=0)


def _balance(flows: Array) -> Array | None:
    """Factors (k, k) in [0, 1] after which every class gives as much as it takes; None where there are none.

    What a class gives too much is taken from its flows to those that take too little.
    """
    excess = flows.sum(axis=1) - flows.sum(axis=0)
    giving, taking = np.maximum(excess, 0), np.maximum(-excess, 0)
    if giving.sum() == 0:
        return np.ones_like(flows)
    # A row's flows shrink by what it gives too much, a column's by what it takes too much.
    less = np.outer(giving, taking) / taking.sum()
    if (less > flows).any() or not np.isfinite(less).all():
        return None
    return np.asarray(1 - less / np.where(flows > 0, flows, 1))


def _tiles(m: int, t: int) -> list[slice]:
    last = m * (t + 1) // BLOCKS
    starts = range(m * t // BLOCKS, last, TILE_ROWS)
    return [slice(start, min(start + TILE_ROWS, last)) for start in starts]

