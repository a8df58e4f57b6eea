"""The problems of a cross-validation, folds x strengths, over the same X: read once, a tile serves them all.

A tile of R rows is loaded and scaled once, T (R, d). All problems' weights side by side are one matrix, so
their scores are one product, S = T W' (R, P k), at BLAS's speed; the row kernel zeroes the rows that a
problem holds out, after noting how it does on them; one more product, S' T, adds to all gradients. So the
curves of validation cost nothing more, and P problems far less than P passes.

Each fold has its own scaling (m_f, c_f), and T has the first one's (m, c). The difference is put into the
weights: ((x - m_f) c_f) W' + b = t (W c_f / c)' + b + W ((m - m_f) c_f), with t = (x - m) c.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from linclass_cli.jit import kernel
from linclass_cli.learn.gram import gram
from linclass_cli.learn.losses import (
    LOSS_NUMBER,
    Array,
    curvature_rows,
    loss_rows,
    mean_curvature,
    times_curvature,
)
from linclass_cli.learn.objective import Part, Value
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.solvers.newton import FIRST_ROWS
from linclass_cli.learn.tiles import PARTIAL_VALUES, load
from linclass_cli.threads import Spans, in_chunks

TILE_ROWS = 512
BLOCKS = 16


@kernel()
def fold_load(X: Array, rows: Array, mean: Array, factor: Array, T: Array) -> None:
    """`tiles.load`, to be called from here."""
    load(X, rows, mean, factor, T)


@kernel()
def fold_times(loss: int, Q: Array, S: Array, k: int) -> None:
    """`times_curvature` for P problems at once: Q and S (R, P k)."""
    rows = S.shape[0] * S.shape[1] // k
    times_curvature(loss, Q.reshape((rows, k)), S.reshape((rows, k)))


@kernel()
def fold_rows(
    loss: int,
    S: Array,
    y: Array,
    fold: Array,
    problems: Array,
    k: int,
    sums: Array,
    counts: Array,
) -> None:
    """The row kernels for P problems at once: S (R, P k) becomes dloss/dS, 0 where the row is held out.

    problems (P,): the fold that each holds out. sums (2, P) gets the losses of the rows that train and of
    those held out, counts (2, P) how many of them are correct.
    """
    R, P = S.shape[0], problems.shape[0]
    rows = S.reshape((R * P, k))
    labels = np.empty(R * P, np.int64)
    hits = np.empty(R * P, np.int64)
    losses = np.empty(R * P, np.float64)
    for i in range(R):
        for p in range(P):
            r = i * P + p
            labels[r] = y[i]
            best = 0
            for j in range(1, k):
                if rows[r, j] > rows[r, best]:
                    best = j
            hits[r] = best == y[i]
    loss_rows(loss, 0.0, rows, labels, losses)
    for i in range(R):
        for p in range(P):
            r = i * P + p
            held = 1 if fold[i] == problems[p] else 0
            sums[held, p] += losses[r]
            counts[held, p] += hits[r]
            if held:
                rows[r, :] = 0


@kernel()
def fold_curvature(loss: int, S: Array, y: Array, fold: Array, problems: Array, k: int) -> None:
    """`curvature_rows` for P problems at once, 0 for rows held out."""
    R, P = S.shape[0], problems.shape[0]
    rows = S.reshape((R * P, k))
    labels = np.empty(R * P, np.int64)
    for i in range(R):
        labels[i * P : (i + 1) * P] = y[i]
    curvature_rows(loss, 0.0, rows, labels)
    for i in range(R):
        for p in range(P):
            r = i * P + p
            if fold[i] == problems[p]:
                rows[r, :] = 0


class FoldProblems:
    """P problems as a `solvers.newton.Model`: problem p trains on the rows whose fold is not ``holds[p]``."""

    def __init__(
        self,
        X: Array,
        y: Array,
        fold_of: Array,
        holds: Array,
        scalings: list[Scaling],
        loss: str,
        l2: Array,
        k: int,
        seed: int,
    ) -> None:
        """X (n, d), y (n,), fold_of (n,); holds (P,), l2 (P,) and a scaling for each of the P problems."""
        n, d = X.shape
        self.shape, self.rows, self.l2 = (len(holds), k, d), n, np.asarray(l2, np.float64)
        self.X, self.y, self.fold_of, self.holds = X, y, fold_of, holds
        self.name, self.loss = loss, LOSS_NUMBER[loss]
        self.base = scalings[0]
        self.stretch = np.stack([s.factor / self.base.factor for s in scalings])
        self.shift = np.stack([(self.base.mean - s.mean) * s.factor for s in scalings])
        self.everything = np.arange(n)
        self.order = np.random.default_rng(seed).permutation(n)

    def values(self, which: Array, W: Array, b: Array) -> list[Value]:
        """The objectives of the problems ``which`` (p,) at W (p, k, d), b (p, k)."""
        p, k, _ = W.shape
        holds = self.holds[which]
        sums, counts = np.zeros((BLOCKS, 2, p)), np.zeros((BLOCKS, 2, p), np.int64)

        def each(t: int, _: slice, tile: Array, S: Array) -> None:
            fold_rows(self.loss, S, self.y[tile], self.fold_of[tile], holds, k, sums[t], counts[t])

        dW, db = self._pass(self.everything, which, W, b, each, True)
        held = np.array([np.count_nonzero(self.fold_of == fold) for fold in holds])
        rows = np.stack([self.rows - held, held])
        losses, shares = sums.sum(axis=0) / rows, counts.sum(axis=0) / rows
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
        self.bent, holds = which, self.holds[which]
        self.sample = np.sort(self.order[: max(1, round(share * self.rows))])
        self.Q = np.empty((len(self.sample), p * k), self.X.dtype)

        def each(_: int, at: slice, tile: Array, S: Array) -> None:
            fold_curvature(self.loss, S, self.y[tile], self.fold_of[tile], holds, k)
            self.Q[at] = S

        self._pass(self.sample, which, W, b, each, False)
        fold = self.fold_of[self.sample]
        self.sampled = np.array([max(1, np.count_nonzero(fold != f)) for f in holds])
        y, rows = self.y[self.sample], len(self.sample)
        means = [mean_curvature(self.name, self.Q[:, i * k : (i + 1) * k], y) for i in range(p)]
        return np.stack(means) * (rows / self.sampled)[:, None, None]

    def times(self, V: Array, v: Array) -> tuple[Array, Array]:
        """The products with the bent Hessians, without l2."""
        k = V.shape[1]

        def each(_: int, at: slice, __: Array, S: Array) -> None:
            fold_times(self.loss, self.Q[at], S, k)

        dW, db = self._pass(self.sample, self.bent, V, v, each, True)
        return dW / self.sampled[:, None, None], db / self.sampled[:, None]

    def gram(self) -> Array:
        """About X'X / n of the features as the first problem sees them."""
        rows = np.sort(self.order[: max(FIRST_ROWS, 4 * self.shape[2])])
        return gram(Part(self.X, rows, self.y[rows], self.base))

    def _pass(
        self,
        rows: Array,
        which: Array,
        W: Array,
        b: Array,
        each: Callable[[int, slice, Array, Array], None],
        with_gradient: bool,
    ) -> tuple[Array, Array]:
        """``each(block, positions, rows of X, S)`` turns scores into dloss/dS; the sums of S' x and of S."""
        dtype, (p, k, d) = self.X.dtype, W.shape
        stretch, shift = self.stretch[which][:, None, :], self.shift[which][:, None, :]
        V = (W * stretch).reshape(p * k, d).astype(dtype)
        v = (b + (W * shift).sum(axis=2)).reshape(p * k).astype(dtype)
        mean, factor = self.base.mean.astype(dtype), self.base.factor.astype(dtype)
        blocks = max(1, min(BLOCKS, len(rows) // TILE_ROWS, PARTIAL_VALUES // (p * k * d)))
        dV = np.zeros((blocks, p * k, d) if with_gradient else (blocks, 0, 0), dtype)
        dv = np.zeros((blocks, p * k))

        def work(spans: Spans) -> None:
            T, S = np.empty((TILE_ROWS, d), dtype), np.empty((TILE_ROWS, p * k), dtype)
            for t, _ in spans:
                last = len(rows) * (t + 1) // blocks
                for start in range(len(rows) * t // blocks, last, TILE_ROWS):
                    at = slice(start, min(start + TILE_ROWS, last))
                    size = at.stop - start
                    fold_load(self.X, rows[at], mean, factor, T)
                    np.matmul(T[:size], V.T, out=S[:size])
                    S[:size] += v
                    each(t, at, rows[at], S[:size])
                    if with_gradient:
                        dV[t] += S[:size].T @ T[:size]
                        dv[t] += S[:size].sum(axis=0, dtype=np.float64)

        in_chunks(work, blocks)
        if not with_gradient:
            return dV, dv
        db = dv.sum(axis=0).reshape(p, k)
        dW = dV.sum(axis=0, dtype=np.float64).reshape(p, k, d) * stretch + db[:, :, None] * shift
        return dW, db
