"""The problems of a cross-validation, folds x strengths, over the same X: read once, a tile serves them all.

The weights of all problems stand one below the other, so their scores are one product, and their gradients
another (tiles.py). A block's rows go fold by fold: the problems that train on a fold come first, those that
hold it out are only valued. So the curves of validation cost half a product, and products with the Hessian
leave out what is held out.

Each fold has its own scaling (m_f, c_f), and a tile has one for all (m, c). The difference is put into the
weights: ((x - m_f) c_f) W' + b = t (W c_f / c)' + b + W ((m - m_f) c_f), with t = (x - m) c. A feature's m
and c are those of the fold that sees it narrowest: beside the mean of a fold that trains on an outlier, the
values of one that does not would be lost to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from linclass_cli.blocks import Pass, Sums, keep_blocks, sum_blocks
from linclass_cli.halves import for_kernels
from linclass_cli.learn.curvature import sum_curvature
from linclass_cli.learn.gram import Gram, gram
from linclass_cli.learn.losses import LOSS_NUMBER, Array
from linclass_cli.learn.objective import Part, Value, kernel_weights
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.solvers.newton import FIRST_PER_FEATURE, FIRST_ROWS
from linclass_cli.learn.tiles import curvature_block, hessian_block, step_rows, sum_block
from linclass_cli.read_ahead import pieces
from linclass_cli.spread import AnyRows

_LEAST_ROWS = 4096  # of a block: each of its folds has its own sums


def narrowest(scalings: list[Scaling]) -> Scaling:
    """Each feature's mean and factor from the scaling whose factor for it is the largest."""
    return _pick(scalings, np.argmax)


def _pick(scalings: list[Scaling], which: Callable[..., Array]) -> Scaling:
    factors = np.stack([s.factor for s in scalings])
    at = which(factors, axis=0), np.arange(factors.shape[1])
    return Scaling(np.stack([s.mean for s in scalings])[at], factors[at])


class FoldProblems:
    """P problems as a `solvers.newton.Model`: problem p trains on the rows whose fold is not ``holds[p]``."""

    def __init__(
        self,
        X: AnyRows,
        y: Array,
        fold_of: Array,
        holds: Array,
        scalings: list[Scaling],
        loss: str,
        l2: Array,
        k: int,
        seed: int,
        class_weights: Array | None = None,
        rows: Array | None = None,
    ) -> None:
        """X (n, d), y (n,), fold_of (n,); holds (P,), l2 (P,) and a scaling for each of the P problems.

        class_weights (P, k): each problem's, or None. rows int64 (n,), ascending: which ones of a larger X
        they are.
        """
        n, d = len(y), X.shape[1]
        self.shape, self.rows, self.l2 = (len(holds), k, d), n, np.asarray(l2, np.float64)
        self.loss, self.holds, self.class_weights = loss, holds, class_weights
        self.base, self.widest = narrowest(scalings), _pick(scalings, np.argmin)
        self.stretch = np.stack([s.factor / self.base.factor for s in scalings])
        self.shift = np.stack([(self.base.mean - s.mean) * s.factor for s in scalings])
        at = np.arange(n) if rows is None else rows
        self.part = Part(X, at, y, self.base, fold_of=fold_of)
        self.folds = int(fold_of.max(initial=0)) + 1
        self.share = 0.0
        self.order = np.random.default_rng(seed).permutation(n)

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:
        """The objectives of the problems ``which`` (p,) at W (p, k, d), b (p, k)."""
        work = self._pass(_sum, _whole_sum, which, W, b)
        sums, counts, dV, dv = sum_blocks(self.part, work, least=_LEAST_ROWS)
        held = np.array([np.count_nonzero(self.part.fold_of == fold) for fold in self.holds[which]])
        rows = np.stack([self.rows - held, held])
        losses, shares = sums / rows, counts / rows
        dW, db = self._from_tiles(which, dV, dv)
        l2 = self.l2[which]
        dW = dW / rows[0][:, None, None] + l2[:, None, None] * W
        db = db / rows[0][:, None]
        value = losses[0] + 0.5 * l2 * (W * W).sum(axis=(1, 2))
        held_out = [(float(losses[1, i]), float(shares[1, i])) for i in range(len(which))]
        return [
            Value(float(value[i]), float(losses[0, i]), float(shares[0, i]), dW[i], db[i], held_out[i])
            for i in range(len(which))
        ]

    def bend(self, which: Array, W: Array, b: Array, share: float) -> Array:
        """Keep the curvatures on a share of the rows; their means over each problem's own, (p, k, k)."""
        if share != self.share:  # else they are where they are wanted
            sample = np.sort(self.order[: max(1, round(share * self.rows))])
            self.share, self.sample = share, self.part.take(sample)
        self.bent = which
        work = self._pass(_bend, _whole_bend, which, W, b)
        (sums, rows), self.Q = keep_blocks(self.sample, work, least=_LEAST_ROWS)
        self.sampled = np.maximum(rows, 1)
        return np.asarray(sums / self.sampled[:, None, None])

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        """The products with the bent Hessians, without l2."""
        work = self._pass(_times, _whole_times, self.bent, V, v)
        dV, dv = sum_blocks(self.sample, work, self.Q, _LEAST_ROWS)
        dW, db = self._from_tiles(self.bent, dV, dv)
        return dW / self.sampled[:, None, None], db / self.sampled[:, None]

    @cached_property
    def gram(self) -> Gram:
        """About X'X / n, of features that are large in no row."""
        rows = np.sort(self.order[: max(FIRST_ROWS, FIRST_PER_FEATURE * self.shape[2])])
        part = self.part.take(rows)
        return Gram(gram(Part(part.X, part.rows, part.y, self.widest)))

    def _pass(
        self, block: Callable[..., Any], whole: Callable[..., Any], which: Array, W: Array, b: Array
    ) -> Pass:
        """What is done to the blocks, a fold of a block at a time, for the problems ``which`` at W, b."""
        weights = None if self.class_weights is None else self.class_weights[which]
        args = self.loss, *self._for_tiles(which, W, b), self.holds[which], weights
        return Pass(block, args, parts=self.folds, whole=whole)

    def _for_tiles(self, which: Array, W: Array, b: Array) -> tuple[Array, Array]:
        """Weights (p, k, d) and biases (p, k) that give the same scores on features as tiles have them."""
        V, v = W * self.stretch[which][:, None, :], b + (W * self.shift[which][:, None, :]).sum(axis=2)
        return V.astype(self.part.dtype), v.astype(self.part.dtype)

    def _from_tiles(self, which: Array, dV: Array, dv: Array) -> tuple[Array, Array]:
        """Gradients (p, k, d), (p, k) by those weights, as gradients by W and b."""
        return dV * self.stretch[which][:, None, :] + dv[:, :, None] * self.shift[which][:, None, :], dv


# What is done to some folds' rows of a block (blocks.Pass): the weights V (p, k, d), v (p, k) of problems, as
# tiles want them; holds (p,), the fold that each holds out; weights (p, k) of classes, or None. And how the
# folds of a block are put together.

_Args = tuple[str, Array, Array, Array, Array | None]


def _sum(part: Part, at: slice, _: None, which: Sequence[int], *args: Any) -> list[Any]:
    """Of each fold the sums of gradients of those that train on it; losses, and correct rows, of all."""
    loss, V, v, holds, weights = args
    p, k, d = V.shape
    folds = _Folds(part, at, holds, which)
    found = [
        (np.zeros((len(train) * k, d), V.dtype), np.zeros(len(train) * k), np.zeros(p), np.zeros(p, np.int64))
        for train in folds.train
    ]
    models = [(_rows(V[order]), _rows(v[order])) for order in folds.orders]
    for f, X, rows, y, _first in folds.pieces():
        own = kernel_weights(None if weights is None else weights[folds.orders[f]], k, V.dtype)
        data = X, rows, y, *folds.scaling, *models[f], k, len(folds.train[f]), LOSS_NUMBER[loss], 0.0, own
        sum_block(*data, *found[f])
    return found


def _whole_sum(_: Part, args: _Args, found: list[Any]) -> Sums:
    """Sums of losses and of correct rows, (2, p): of rows trained on and held out; and of gradients."""
    V, holds = args[1], args[3]
    p, k, _d = V.shape
    dV, dv, sums, counts = np.zeros(V.shape), np.zeros((p, k)), np.zeros((2, p)), np.zeros((2, p), np.int64)
    for fold, (dW, db, losses, correct) in enumerate(found):
        train, held = _sides(holds, fold)
        _add(train, dW, db, dV, dv)
        for i, one in enumerate([*train, *held]):
            side = int(i >= len(train))
            sums[side, one] += losses[i]
            counts[side, one] += correct[i]
    return sums, counts, dV, dv


def _bend(part: Part, at: slice, _: None, which: Sequence[int], *args: Any) -> list[Any]:
    """Of each fold the sums of d2loss/dS2 of those that train on it, its rows, and the curvatures."""
    loss, V, v, holds, weights = args
    k = V.shape[1]
    folds = _Folds(part, at, holds, which)
    sizes = zip(folds.train, folds.own, strict=True)
    kept = [np.empty((len(train) * k, len(own)), V.dtype) for train, own in sizes]
    models = [(_rows(V[train]), _rows(v[train])) for train in folds.train]
    for f, X, rows, y, first in folds.pieces():
        curvature_block(X, rows, y, *folds.scaling, *models[f], k, LOSS_NUMBER[loss], 0.0, kept[f], first)
    found = []
    for train, own, Q in zip(folds.train, folds.own, kept, strict=True):
        sums = [
            sum_curvature(
                loss, Q[i * k : (i + 1) * k], part.y[own], None if weights is None else weights[one]
            )
            for i, one in enumerate(train)
        ]
        found.append((sums, len(own), Q))
    return found


def _whole_bend(_: Part, args: _Args, found: list[Any]) -> tuple[Array, Array, list[Array]]:
    """Sums of d2loss/dS2 (p, k, k), and of rows (p,); kept: each fold's curvatures."""
    p, k, _d = args[1].shape
    sums, rows_of = np.zeros((p, k, k)), np.zeros(p)
    for fold, (bent, rows, _Q) in enumerate(found):
        for one, own in zip(_sides(args[3], fold)[0], bent, strict=True):
            sums[one] += own
            rows_of[one] += rows
    return sums, rows_of, [Q for *_, Q in found]


def _times(part: Part, at: slice, kept: list[Array], which: Sequence[int], *args: Any) -> list[Any]:
    """Of each fold the sums of the products with the Hessians of those that train on it."""
    loss, V, v, holds, weights = args
    _p, k, d = V.shape
    folds = _Folds(part, at, holds, which)
    found = [(np.zeros((len(train) * k, d), V.dtype), np.zeros(len(train) * k)) for train in folds.train]
    models = [(_rows(V[train]), _rows(v[train])) for train in folds.train]
    for f, X, rows, y, first in folds.pieces():
        own = kernel_weights(None if weights is None else weights[folds.train[f]], k, V.dtype)
        data = X, rows, y, *folds.scaling, *models[f], k, LOSS_NUMBER[loss], own
        hessian_block(*data, kept[which[f]], first, *found[f])
    return found


def _whole_times(_: Part, args: _Args, found: list[Any]) -> Sums:
    """Sums of products with the Hessians, (p, k, d) and (p, k)."""
    V, holds = args[1], args[3]
    dV, dv = np.zeros(V.shape), np.zeros(V.shape[:2])
    for fold, (dW, db) in enumerate(found):
        _add(_sides(holds, fold)[0], dW, db, dV, dv)
    return dV, dv


def _sides(holds: Array, fold: int) -> tuple[list[int], list[int]]:
    """The problems that train on a fold, and those that hold it out."""
    held = holds.tolist()
    return [i for i, one in enumerate(held) if one != fold], [i for i, one in enumerate(held) if one == fold]


def _add(train: list[int], dW: Array, db: Array, dV: Array, dv: Array) -> None:
    """Add a fold's sums of gradients (p k, d), (p k,), to those of the problems that train on it."""
    k = dv.shape[1]
    for i, one in enumerate(train):
        dV[one] += dW[i * k : (i + 1) * k]
        dv[one] += db[i * k : (i + 1) * k]


class _Folds:
    """Some folds of a block: ``own``, the positions of their rows; the problems that ``train`` on each of
    them; and ``orders``: those, and then the ones that have it held out.
    """

    def __init__(self, part: Part, at: slice, holds: Array, which: Sequence[int]) -> None:
        assert part.fold_of is not None
        of = part.fold_of[at]
        self.part = part
        self.scaling = part.scaling.mean.astype(part.dtype), part.scaling.factor.astype(part.dtype)
        self.own = [at.start + np.flatnonzero(of == fold) for fold in which]
        sides = [_sides(holds, fold) for fold in which]
        self.train = [train for train, _ in sides]
        self.orders = [[*train, *held] for train, held in sides]

    def pieces(self) -> Iterator[tuple[int, Array, Array, Array, int]]:
        """(which fold, X, rows of it, their labels, how many came before), as the kernels take them.

        From a file the rows of all folds are read together.
        """
        part = self.part
        wanted = [part.rows[own] for own in self.own]
        for f, X, rows, of in pieces(part.X, wanted, step_rows(part.d)):
            yield f, for_kernels(X), rows, part.y[self.own[f][of]], of.start


def _rows(stacked: Array) -> Array:
    """(p, k, …) as (p k, …)."""
    return stacked.reshape(-1, *stacked.shape[2:])
