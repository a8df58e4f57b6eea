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

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from linclass_cli.blocks import Sums, keep_blocks, sum_blocks
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
        self.order = np.random.default_rng(seed).permutation(n)

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:
        """The objectives of the problems ``which`` (p,) at W (p, k, d), b (p, k)."""
        weights = None if self.class_weights is None else self.class_weights[which]
        model = *self._for_tiles(which, W, b), self.holds[which], weights
        sums, counts, dV, dv = sum_blocks(self.part, _sum, self.loss, *model, coarse=True)
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
        sample = np.sort(self.order[: max(1, round(share * self.rows))])
        self.bent, self.sample = which, self.part.take(sample)
        weights = None if self.class_weights is None else self.class_weights[which]
        model = *self._for_tiles(which, W, b), self.holds[which], weights
        (sums, rows), self.Q = keep_blocks(self.sample, _bend, self.loss, *model, coarse=True)
        self.sampled = np.maximum(rows, 1)
        return np.asarray(sums / self.sampled[:, None, None])

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        """The products with the bent Hessians, without l2."""
        which = self.bent
        weights = None if self.class_weights is None else self.class_weights[which]
        model = *self._for_tiles(which, V, v), self.holds[which], weights
        dV, dv = sum_blocks(self.sample, _times, self.loss, *model, kept=self.Q, coarse=True)
        dW, db = self._from_tiles(which, dV, dv)
        return dW / self.sampled[:, None, None], db / self.sampled[:, None]

    @cached_property
    def gram(self) -> Gram:
        """About X'X / n, of features that are large in no row."""
        rows = np.sort(self.order[: max(FIRST_ROWS, FIRST_PER_FEATURE * self.shape[2])])
        part = self.part.take(rows)
        return Gram(gram(Part(part.X, part.rows, part.y, self.widest)))

    def _for_tiles(self, which: Array, W: Array, b: Array) -> tuple[Array, Array]:
        """Weights (p, k, d) and biases (p, k) that give the same scores on features as tiles have them."""
        V, v = W * self.stretch[which][:, None, :], b + (W * self.shift[which][:, None, :]).sum(axis=2)
        return V.astype(self.part.dtype), v.astype(self.part.dtype)

    def _from_tiles(self, which: Array, dV: Array, dv: Array) -> tuple[Array, Array]:
        """Gradients (p, k, d), (p, k) by those weights, as gradients by W and b."""
        return dV * self.stretch[which][:, None, :] + dv[:, :, None] * self.shift[which][:, None, :], dv


# What is done to a block: the weights V (p, k, d), v (p, k) of problems, as tiles want them; holds (p,), the
# fold that each holds out; weights (p, k) of classes, or None.


def _sum(
    part: Part, at: slice, _: None, loss: str, V: Array, v: Array, holds: Array, weights: Array | None
) -> Sums:
    """Sums of losses and of correct rows, (2, p): of rows trained on and held out; and of gradients."""
    p, k, _d = V.shape
    dV, dv, sums, counts = np.zeros(V.shape), np.zeros((p, k)), np.zeros((2, p)), np.zeros((2, p), np.int64)
    folds = _Folds(part, at, holds)
    into = [
        (np.zeros((n * k, _d), V.dtype), np.zeros(n * k), np.zeros(p), np.zeros(p, np.int64))
        for n in map(len, folds.train)
    ]
    for f, X, rows, y, _first in folds.pieces():
        order = np.concatenate([folds.train[f], folds.held[f]])
        data = X, rows, y, *_scaling(part), _rows(V[order]), _rows(v[order])
        own = kernel_weights(None if weights is None else weights[order], k, V.dtype)
        dW, db, losses, correct = into[f]
        sum_block(*data, k, len(folds.train[f]), LOSS_NUMBER[loss], 0.0, own, dW, db, losses, correct)
    for train, held, (dW, db, losses, correct) in zip(folds.train, folds.held, into, strict=True):
        dV[train] += dW.reshape(-1, k, _d)
        dv[train] += db.reshape(-1, k)
        for side, problems, of in ((0, train, slice(len(train))), (1, held, slice(len(train), None))):
            sums[side, problems] += losses[of]
            counts[side, problems] += correct[of]
    return sums, counts, dV, dv


def _bend(
    part: Part, at: slice, _: None, loss: str, V: Array, v: Array, holds: Array, weights: Array | None
) -> tuple[Array, Array, list[Array]]:
    """Sums of d2loss/dS2 (p, k, k), and of rows (p,); kept: each fold's curvatures."""
    p, k, _d = V.shape
    sums, rows_of = np.zeros((p, k, k)), np.zeros(p)
    folds = _Folds(part, at, holds)
    kept = [
        np.empty((len(train) * k, len(own)), V.dtype)
        for train, own in zip(folds.train, folds.own, strict=True)
    ]
    for f, X, rows, y, first in folds.pieces():
        data = X, rows, y, *_scaling(part), _rows(V[folds.train[f]]), _rows(v[folds.train[f]])
        curvature_block(*data, k, LOSS_NUMBER[loss], 0.0, kept[f], first)
    for train, own, Q in zip(folds.train, folds.own, kept, strict=True):
        for i, one in enumerate(train):
            of = None if weights is None else weights[one]
            sums[one] += sum_curvature(loss, Q[i * k : (i + 1) * k], part.y[own], of)
            rows_of[one] += len(own)
    return sums, rows_of, kept


def _times(
    part: Part,
    at: slice,
    kept: list[Array],
    loss: str,
    V: Array,
    v: Array,
    holds: Array,
    weights: Array | None,
) -> Sums:
    """Sums of products with the Hessians, (p, k, d) and (p, k)."""
    p, k, _d = V.shape
    dV, dv = np.zeros(V.shape), np.zeros((p, k))
    folds = _Folds(part, at, holds)
    into = [(np.zeros((n * k, _d), V.dtype), np.zeros(n * k)) for n in map(len, folds.train)]
    for f, X, rows, y, first in folds.pieces():
        train = folds.train[f]
        data = X, rows, y, *_scaling(part), _rows(V[train]), _rows(v[train])
        own = kernel_weights(None if weights is None else weights[train], k, V.dtype)
        hessian_block(*data, k, LOSS_NUMBER[loss], own, kept[f], first, *into[f])
    for train, (dW, db) in zip(folds.train, into, strict=True):
        dV[train] += dW.reshape(-1, k, _d)
        dv[train] += db.reshape(-1, k)
    return dV, dv


class _Folds:
    """The folds that a block has rows of: ``own``, their positions; and the problems, as positions in
    ``holds``, that ``train`` on each of them, and that have it ``held`` out.
    """

    def __init__(self, part: Part, at: slice, holds: Array) -> None:
        assert part.fold_of is not None
        of = part.fold_of[at]
        self.part, folds = part, np.unique(of)
        self.own = [at.start + np.flatnonzero(of == fold) for fold in folds]
        self.train = [np.flatnonzero(holds != fold) for fold in folds]
        self.held = [np.flatnonzero(holds == fold) for fold in folds]

    def pieces(self) -> Iterator[tuple[int, Array, Array, Array, int]]:
        """(which fold, X, rows of it, their labels, how many came before), as the kernels take them.

        From a file the rows of all folds are read together.
        """
        part = self.part
        wanted = [part.rows[own] for own in self.own]
        for f, X, rows, of in pieces(part.X, wanted, step_rows(part.d)):
            yield f, for_kernels(X), rows, part.y[self.own[f][of]], of.start


def _scaling(part: Part) -> tuple[Array, Array]:
    return part.scaling.mean.astype(part.dtype), part.scaling.factor.astype(part.dtype)


def _rows(stacked: Array) -> Array:
    """(p, k, …) as (p k, …)."""
    return stacked.reshape(-1, *stacked.shape[2:])
