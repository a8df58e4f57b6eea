"""The problems of a cross-validation, folds x strengths, over the same X: read once, a tile serves them all.

The weights of all problems stand one below the other, so their scores are one product, and their gradients
another (tiles.py). Rows go fold by fold, so that a block of them belongs to one fold: the problems that train
on it come first, those that hold it out are only valued. So the curves of validation cost half a product, and
products with the Hessian leave out what is held out.

Each fold has its own scaling (m_f, c_f), and a tile has one for all (m, c). The difference is put into the
weights: ((x - m_f) c_f) W' + b = t (W c_f / c)' + b + W ((m - m_f) c_f), with t = (x - m) c. A feature's m
and c are those of the fold that sees it narrowest: beside the mean of a fold that trains on an outlier, the
values of one that does not would be lost to rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from linclass_cli.halves import for_kernels, work_dtype
from linclass_cli.learn.curvature import mean_curvature
from linclass_cli.learn.gram import Gram, gram
from linclass_cli.learn.losses import LOSS_NUMBER, Array
from linclass_cli.learn.objective import Part, Value, kernel_weights
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.solvers.newton import FIRST_PER_FEATURE, FIRST_ROWS
from linclass_cli.learn.tiles import count_blocks, curvature_block, hessian_block, step_rows, sum_block
from linclass_cli.on_disk import OnDisk
from linclass_cli.read_ahead import pieces
from linclass_cli.threads import Spans, in_chunks


def narrowest(scalings: list[Scaling]) -> Scaling:
    """Each feature's mean and factor from the scaling whose factor for it is the largest."""
    return _pick(scalings, np.argmax)


def _pick(scalings: list[Scaling], which: Callable[..., Array]) -> Scaling:
    factors = np.stack([s.factor for s in scalings])
    at = which(factors, axis=0), np.arange(factors.shape[1])
    return Scaling(np.stack([s.mean for s in scalings])[at], factors[at])


Block = tuple[Array, Array, Array]


@dataclass(frozen=True)
class _Piece:
    """Some of a block's rows: ``rows`` of X; ``of``: which of all they are; ``first``: the first's place."""

    X: Array
    rows: Array
    of: Array
    first: int


Each = Generator[None, _Piece | None, None]


class FoldProblems:
    """P problems as a `solvers.newton.Model`: problem p trains on the rows whose fold is not ``holds[p]``."""

    def __init__(
        self,
        X: Array | OnDisk,
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
        self.X, self.y, self.fold_of, self.holds = X, y, fold_of, holds
        self.at = np.arange(n) if rows is None else rows
        self.dtype = work_dtype(X)
        self.name, self.loss = loss, LOSS_NUMBER[loss]
        self.class_weights = class_weights
        self.base, self.widest = narrowest(scalings), _pick(scalings, np.argmin)
        self.stretch = np.stack([s.factor / self.base.factor for s in scalings])
        self.shift = np.stack([(self.base.mean - s.mean) * s.factor for s in scalings])
        self.mean, self.factor = self.base.mean.astype(self.dtype), self.base.factor.astype(self.dtype)
        self.order = np.random.default_rng(seed).permutation(n)

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:
        """The objectives of the problems ``which`` (p,) at W (p, k, d), b (p, k)."""
        p, k, d = W.shape
        V, v = self._for_tiles(which, W, b)
        blocks = self._blocks(np.arange(self.rows), which)
        dV, dv = np.zeros((len(blocks), p, k, d), V.dtype), np.zeros((len(blocks), p, k))
        sums, counts = np.zeros((len(blocks), 2, p)), np.zeros((len(blocks), 2, p), np.int64)

        def each(t: int, _: Array, train: Array, held: Array) -> Each:
            order, trained = np.concatenate([train, held]), len(train)
            dW, db = np.zeros((trained * k, d), V.dtype), np.zeros(trained * k)
            losses, correct = np.zeros(p), np.zeros(p, np.int64)
            scores = _rows(V[order]), _rows(v[order])
            weights = self._weights(which[order])
            while (piece := (yield)) is not None:
                data = *self._data(piece), *scores
                sum_block(*data, k, trained, self.loss, 0.0, weights, dW, db, losses, correct)
            dV[t, train], dv[t, train] = dW.reshape(-1, k, d), db.reshape(-1, k)
            for part, (first, last) in enumerate(((0, trained), (trained, p))):
                sums[t, part, order[first:last]] = losses[first:last]
                counts[t, part, order[first:last]] = correct[first:last]

        self._do(blocks, each)
        held = np.array([np.count_nonzero(self.fold_of == fold) for fold in self.holds[which]])
        rows = np.stack([self.rows - held, held])
        losses, shares = sums.sum(axis=0) / rows, counts.sum(axis=0) / rows
        dW, db = self._from_tiles(which, dV, dv)
        l2 = self.l2[which]
        dW = dW / rows[0][:, None, None] + l2[:, None, None] * W
        db = db / rows[0][:, None]
        value = losses[0] + 0.5 * l2 * (W * W).sum(axis=(1, 2))
        held_out = [(float(losses[1, i]), float(shares[1, i])) for i in range(p)]
        return [
            Value(float(value[i]), float(losses[0, i]), float(shares[0, i]), dW[i], db[i], held_out[i])
            for i in range(p)
        ]

    def bend(self, which: Array, W: Array, b: Array, share: float) -> Array:
        """Keep the curvatures on a share of the rows; their means over each problem's own, (p, k, k)."""
        p, k, _ = W.shape
        V, v = self._for_tiles(which, W, b)
        sample = np.sort(self.order[: max(1, round(share * self.rows))])
        self.bent, self.blocks = which, self._blocks(sample, which)
        self.Q: list[Array] = [np.empty((0, 0))] * len(self.blocks)
        sums, rows_of = np.zeros((len(self.blocks), p, k, k)), np.zeros((len(self.blocks), p))

        def each(t: int, rows: Array, train: Array, _: Array) -> Each:
            Q = np.empty((len(train) * k, len(rows)), V.dtype)
            scores = _rows(V[train]), _rows(v[train])
            while (piece := (yield)) is not None:
                curvature_block(*self._data(piece), *scores, k, self.loss, 0.0, Q, piece.first)
            self.Q[t] = Q
            for i, one in enumerate(train):
                own = None if self.class_weights is None else self.class_weights[which[one]]
                mean = mean_curvature(self.name, Q[i * k : (i + 1) * k], self.y[rows], own)
                sums[t, one], rows_of[t, one] = len(rows) * mean, len(rows)

        self._do(self.blocks, each)
        self.sampled = np.maximum(rows_of.sum(axis=0), 1)
        return np.asarray(sums.sum(axis=0) / self.sampled[:, None, None])

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        """The products with the bent Hessians, without l2."""
        p, k, d = V.shape
        W, b = self._for_tiles(self.bent, V, v)
        dV, dv = np.zeros((len(self.blocks), p, k, d), W.dtype), np.zeros((len(self.blocks), p, k))

        def each(t: int, _: Array, train: Array, __: Array) -> Each:
            dW, db = np.zeros((len(train) * k, d), W.dtype), np.zeros(len(train) * k)
            direction, weights = (_rows(W[train]), _rows(b[train])), self._weights(self.bent[train])
            while (piece := (yield)) is not None:
                data = *self._data(piece), *direction
                hessian_block(*data, k, self.loss, weights, self.Q[t], piece.first, dW, db)
            dV[t, train], dv[t, train] = dW.reshape(-1, k, d), db.reshape(-1, k)

        self._do(self.blocks, each)
        dW, db = self._from_tiles(self.bent, dV, dv)
        return dW / self.sampled[:, None, None], db / self.sampled[:, None]

    @cached_property
    def gram(self) -> Gram:
        """About X'X / n, of features that are large in no row."""
        rows = np.sort(self.order[: max(FIRST_ROWS, FIRST_PER_FEATURE * self.shape[2])])
        return Gram(gram(Part(self.X, self.at[rows], self.y[rows], self.widest)))

    def _data(self, piece: _Piece) -> tuple[Array, Array, Array, Array, Array]:
        """Features, the rows of them, their labels, mean and factor as the kernels take them."""
        return for_kernels(piece.X), piece.rows, self.y[piece.of], self.mean, self.factor

    def _do(self, blocks: list[Block], each: Callable[[int, Array, Array, Array], Each]) -> None:
        """``each(number, rows, train, held)`` for every block, in threads; it is sent the block's pieces.

        Blocks that lie in the same part of a file, one of each fold, are read together.
        """
        apart = len(blocks)
        if isinstance(self.X, OnDisk):
            apart //= len({int(self.fold_of[rows[0]]) for rows, _, _ in blocks if len(rows)})

        def work(spans: Spans) -> None:
            for first, _ in spans:
                own = range(first, len(blocks), apart)
                begun = [each(t, *blocks[t]) for t in own]
                for one in begun:
                    next(one)
                wanted = [blocks[t][0] for t in own]
                step = step_rows(self.shape[2])
                for i, X, rows, at in pieces(self.X, [self.at[rows] for rows in wanted], step):
                    begun[i].send(_Piece(X, rows, wanted[i][at], at.start))
                for one in begun:
                    with contextlib.suppress(StopIteration):
                        one.send(None)

        in_chunks(work, apart)

    def _weights(self, problems: Array) -> Array:
        """The class weights of some problems as the kernels take them."""
        own = None if self.class_weights is None else self.class_weights[problems]
        return kernel_weights(own, self.shape[1], self.dtype)

    def _for_tiles(self, which: Array, W: Array, b: Array) -> tuple[Array, Array]:
        """Weights (p, k, d) and biases (p, k) that give the same scores on features as tiles have them."""
        V, v = W * self.stretch[which][:, None, :], b + (W * self.shift[which][:, None, :]).sum(axis=2)
        return V.astype(self.dtype), v.astype(self.dtype)

    def _from_tiles(self, which: Array, dV: Array, dv: Array) -> tuple[Array, Array]:
        """The sums of blocks' gradients (t, p, k, d), (t, p, k) by those weights, as gradients by W and b."""
        db = dv.sum(axis=0)
        dW = dV.sum(axis=0, dtype=np.float64) * self.stretch[which][:, None, :]
        return dW + db[:, :, None] * self.shift[which][:, None, :], db

    def _blocks(self, rows: Array, which: Array) -> list[Block]:
        """Rows in blocks of one fold: (rows, problems that train on them, problems that hold them out).

        Problems are positions in ``which``. What is cut depends on shapes and folds alone.
        """
        _, k, d = self.shape
        folds = np.flatnonzero(np.bincount(self.fold_of[rows]))
        cuts = max(1, count_blocks(len(rows), len(which) * k, d) // len(folds))
        blocks = []
        for fold in folds:
            holding = self.holds[which] == fold
            for part in np.array_split(rows[self.fold_of[rows] == fold], cuts):
                blocks.append((part, np.flatnonzero(~holding), np.flatnonzero(holding)))
        return blocks


def _rows(stacked: Array) -> Array:
    """(p, k, …) as (p k, …)."""
    return stacked.reshape(-1, *stacked.shape[2:])
