"""How far an objective can be from its optimum at most: proven, not estimated.

Smooth losses: the objective is convex, and l2-strongly so in W, so it is above its minimum by at most
||gradient||^2 / (2 l2) (Boyd and Vandenberghe 2004, section 9.1.2). The bias has no such term; its part of
the gradient is counted as if it had, which is too much as long as the loss bends by more than l2 in the bias.

Hinge: every point of its dual gives a lower bound. With shares a_ij in [0, 1] for j != y_i, G_ij = a_ij,
G_iy = -sum_j a_ij and sum_i G_i = 0 (the bias is free), the optimum is at least

    mean_i sum_j a_ij - l2/2 ||V||^2,    V = -G'X / (n l2)

(Weston and Watkins 1999). The derivatives of the smoothed hinge are such shares but for the sums, which are
zero only where the bias is best; `_balanced_shares` sees to that. With weights of classes, all of it is of
w_i a_ij.
"""

from __future__ import annotations

import numpy as np

from linclass_cli.learn.curvature import sum_curvature, sums_by_class
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, Value, scaled
from linclass_cli.learn.tiles import copied_rows
from linclass_cli.threads import Spans, in_chunks

TILE_ROWS = 1024
BALANCINGS, DAMPING, EVEN, TRACE = 12, 1e-2, 1e-6, 1e-4
BLOCKS = 16
# Kinks that are tried where a solver did not say how wide its own was.
_WIDTHS = (1.0, 0.25, 0.05)
# Distances are relative to the objective, or to this where the objective is smaller.
LEAST = 0.01


def relative(gap: float | None, objective: float) -> float | None:
    """A distance to the optimum as a share of the objective; None where there is no bound.

    Where rounding has put the lower bound above the objective, 0.
    """
    return None if gap is None or not np.isfinite(gap) else max(gap, 0.0) / max(abs(objective), LEAST)


def gap_bound(problem: Problem, at: Value, W: Array, b: Array) -> float | None:
    """The most that the objective ``at`` (W (k, d), b (k,)) can be above the optimum, if there is a bound."""
    if problem.l2 <= 0:
        return None
    if problem.loss != "hinge":
        return smooth_bound(at, problem.l2)
    lower = hinge_lower_bound(problem.part, problem.l2, W, b, *_WIDTHS)
    return at.value - lower if np.isfinite(lower) else None


def smooth_bound(at: Value, l2: float) -> float:
    """||gradient||^2 / (2 l2); infinite without l2."""
    return at.gradient_size**2 / (2 * l2) if l2 > 0 else np.inf


def hinge_lower_bound(part: Part, l2: float, W: Array, b: Array, *widths: float) -> float:
    """What the hinge's objective on the part cannot go below, from the shares at W (k, d), b (k,).

    The best of what kinks of these widths give; -inf where their shares are too far from balance. One pass
    over the part and one a width, in its own precision.
    """
    S = _scores(part, W)
    found = [_balanced_shares(S, part, b.astype(np.float64), width) for width in widths]
    return max((_dual(part, l2, shares) for shares in found if shares is not None), default=-np.inf)


def _dual(part: Part, l2: float, shares: Array) -> float:
    """The dual's value at balanced shares (k, m), 0 at the label; they become G."""
    if part.class_weights is not None:
        shares *= part.class_weights.astype(shares.dtype)[part.y]
    total = float(shares.sum(dtype=np.float64)) / part.m
    G = shares
    G[part.y, np.arange(part.m)] = -shares.sum(axis=0)
    sums = np.zeros((BLOCKS, G.shape[0], part.d), G.dtype)

    def work(spans: Spans) -> None:
        for t, _ in spans:
            for at in _tiles(part, t):
                sums[t] += G[:, at] @ scaled(part, at)

    in_chunks(work, BLOCKS)
    V = sums.sum(axis=0, dtype=np.float64) / (part.m * l2)
    return total - 0.5 * l2 * float((V * V).sum())


def _scores(part: Part, W: Array) -> Array:
    """Without the bias, (k, m)."""
    weights = W.astype(part.dtype)
    S = np.empty((W.shape[0], part.m), part.dtype)

    def work(spans: Spans) -> None:
        for t, _ in spans:
            for at in _tiles(part, t):
                S[:, at] = weights @ scaled(part, at).T

    in_chunks(work, BLOCKS)
    return S


def _balanced_shares(S: Array, part: Part, b: Array, width: float) -> Array | None:
    """Shares (k, m) at the scores S + b, 0 at the label, under which every class gives as much as it takes.

    Newton's method moves the bias until the classes are about even at these scores; `_balance` does the rest.
    """
    k, m = S.shape
    y, weights, rows = part.y, part.class_weights, np.arange(m)
    shares = _shares(S, y, b, width)
    db = _uneven(shares, part)
    for _ in range(BALANCINGS):
        if np.abs(db).max() <= EVEN * m:
            break
        bent = np.where((shares > 0) & (shares < 1), S.dtype.type(1 / width), S.dtype.type(0))
        bent[y, rows] = -bent.sum(axis=0)
        C = sum_curvature("hinge", bent, y, weights)
        step = np.linalg.solve(C + (DAMPING * np.trace(C) / k + 1e-9) * np.eye(k), db)
        for length in (1.0, 0.5, 0.25, 0.1):
            nearer = _shares(S, y, b - length * step, width)
            better = _uneven(nearer, part)
            if np.linalg.norm(better) < np.linalg.norm(db):
                break
        else:
            break
        b, shares, db = b - length * step, nearer, better
    counts = part.masses(k)
    factors = _balance(_flows(shares, part), counts)
    if factors is None:
        # A pair of classes may have nothing to take and no room to give: a trace of even flows makes both.
        even = 0.5 * counts[counts > 0].min() / np.where(counts > 0, counts, 1)
        shares += S.dtype.type(TRACE) * (even.astype(S.dtype)[y] - shares)
        shares[y, rows] = 0
        factors = _balance(_flows(shares, part), counts)
    if factors is None:
        return None
    less, more = factors
    shares *= (1 - less).T.astype(S.dtype)[:, y]
    shares += more.T.astype(S.dtype)[:, y] * (1 - shares)
    shares[y, rows] = 0
    return shares


def _shares(S: Array, y: Array, b: Array, width: float) -> Array:
    """The derivatives of the smoothed hinge in its margins, (k, m), 0 at the label."""
    rows = np.arange(len(y))
    a = S + b.astype(S.dtype)[:, None]
    a -= a[y, rows]
    a += 1
    a *= S.dtype.type(1 / width)
    a += S.dtype.type(0.5)
    np.clip(a, 0, 1, out=a)
    a[y, rows] = 0
    return np.asarray(a)


def _flows(shares: Array, part: Part) -> Array:
    """Sums of shares, by their weights: [c, j] is what class c gives to j."""
    flows = sums_by_class(shares, part.y)
    return flows if part.class_weights is None else flows * part.class_weights[:, None]


def _uneven(shares: Array, part: Part) -> Array:
    """What each class takes more than it gives, (k,)."""
    flows = _flows(shares, part)
    return np.asarray(flows.sum(axis=0) - flows.sum(axis=1))


def _balance(flows: Array, counts: Array) -> tuple[Array, Array] | None:
    """(less, more), (k, k) in [0, 1]: by how much flows, and what is left to 1, have to shrink to be even.

    What a class gives too much is taken from its flows to those that take too much; where that is not
    enough, those give more to it. counts (k,): the weight of each class's images. None where there is no way.
    """
    excess = flows.sum(axis=1) - flows.sum(axis=0)
    giving, taking = np.maximum(excess, 0), np.maximum(-excess, 0)
    if not excess.any():
        return np.zeros_like(flows), np.zeros_like(flows)
    wanted = np.outer(giving, taking) / taking.sum()
    taken = np.minimum(wanted, flows)
    added, left = (wanted - taken).T, counts[:, None] - flows
    if (added > left).any() or not np.isfinite(wanted).all():
        return None
    return taken / np.where(flows > 0, flows, 1), added / np.where(left > 0, left, 1)


def _tiles(part: Part, t: int) -> list[slice]:
    last, rows = part.m * (t + 1) // BLOCKS, copied_rows(part.d, TILE_ROWS)
    starts = range(part.m * t // BLOCKS, last, rows)
    return [slice(start, min(start + rows, last)) for start in starts]
