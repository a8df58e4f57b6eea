"""The objective, mean(loss) + l2/2 * ||W||^2 with the bias unpenalised, and its gradient, in one pass over X.

With weights of classes it is mean(weight of the class * loss) + l2/2 * ||W||^2: scikit-learn's class_weight,
with the same map of C; images are counted, not weighed, so that weights of 2 count as every image twice.

Its map to others, in one place: scikit-learn's and LIBLINEAR's ``C`` is 1 / (n * l2); the course's
``lambda * ||W||^2`` is l2 = 2 * lambda.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from linclass_cli.blocks import Kept, Pass, Rows, Sums, keep_blocks, sum_blocks
from linclass_cli.halves import for_kernels, work_dtype
from linclass_cli.learn.curvature import sum_curvature
from linclass_cli.learn.losses import LOSS_NUMBER, Array
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.tiles import (
    curvature_block,
    hessian_block,
    step_rows,
    sum_block,
    take_rows,
)
from linclass_cli.read_ahead import pieces
from linclass_cli.spread import AnyRows


@dataclass(frozen=True, eq=False)
class Part(Rows):
    """Some rows of the features, as a model sees them: nothing is copied.

    X float32, float64 or float16 (n, d), all images of the store; rows int64 (m,), ascending, those of this
    part; y int64 (m,), their labels in 0 .. k-1; scaling, applied to each row on the way through the cache;
    class_weights float64 (k,), by which each loss is multiplied, or None; fold_of int64 (m,), where the rows
    are dealt out to folds (folds.py).
    """

    y: Array
    scaling: Scaling
    class_weights: Array | None = None
    fold_of: Array | None = None

    def within(self, X: AnyRows | None, first: int, at: slice) -> Self:
        """The same of the rows at the positions ``at``, in an X that begins with the row ``first``."""
        fold_of = None if self.fold_of is None else self.fold_of[at]
        return replace(super().within(X, first, at), y=self.y[at], fold_of=fold_of)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the features are worked on in: float32, or float64."""
        return work_dtype(self.X)

    @property
    def m(self) -> int:
        return int(self.rows.shape[0])

    @property
    def d(self) -> int:
        return int(self.X.shape[1])

    def take(self, positions: Array) -> Part:
        """The part of the rows at these positions, int64."""
        fold_of = None if self.fold_of is None else self.fold_of[positions]
        return replace(self, rows=self.rows[positions], y=self.y[positions], fold_of=fold_of)

    def shifted(self, shift: Array) -> Part:
        """The part whose scaled features are those of this one minus ``shift`` (d,)."""
        scaling = Scaling(self.scaling.mean + shift / self.scaling.factor, self.scaling.factor)
        return replace(self, scaling=scaling)

    def masses(self, k: int) -> Array:
        """The sum of the weights of each class's rows, float64 (k,): without weights, their numbers."""
        counts = np.bincount(self.y, minlength=k).astype(np.float64)
        return counts if self.class_weights is None else counts * self.class_weights


@dataclass(frozen=True)
class Problem:
    """What a solver minimises: the objective of ``loss`` and ``l2`` on ``part``, with k classes.

    ``seed`` is for solvers that draw starts or orders; ``width`` > 0 smooths the hinge's kink (losses.py).
    """

    part: Part
    loss: str
    l2: float
    k: int
    seed: int = 0
    width: float = 0.0


@dataclass(frozen=True)
class Value:
    """The objective at one (W, b): value, mean_loss, accuracy of the part; dW (k, d), db (k,), float64.

    ``held``: (mean loss, accuracy) on the rows that the problem holds out, where one pass told both.
    """

    value: float
    mean_loss: float
    accuracy: float
    dW: Array
    db: Array
    held: tuple[float, float] | None = None

    @property
    def gradient_norm(self) -> float:
        """The largest absolute entry of the gradient."""
        return float(max(np.abs(self.dW).max(initial=0.0), np.abs(self.db).max(initial=0.0)))

    @property
    def gradient_size(self) -> float:
        """The gradient's Euclidean norm."""
        return float(np.sqrt((self.dW**2).sum() + (self.db**2).sum()))


def scaled(part: Part, at: slice, columns: slice = slice(None)) -> Array:
    """Some columns of some rows of the part as a model sees them, in the dtype that is worked in: a copy."""
    mean, factor = (_as(values[columns], part.dtype) for values in (part.scaling.mean, part.scaling.factor))
    return np.asarray((take_rows(part.X, part.rows[at], columns) - mean) * factor)


def objective(problem: Problem, W: Array, b: Array) -> Value:
    """The objective and its gradient at W (k, d), b (k,), any float dtype; one pass over the part."""
    part, l2 = problem.part, problem.l2
    losses, correct, dW, db = _pass(part, problem.loss, W, b, True, problem.width)
    W = np.asarray(W, np.float64)
    mean_loss = losses / part.m
    return Value(
        value=mean_loss + 0.5 * l2 * float((W * W).sum()),
        mean_loss=mean_loss,
        accuracy=correct / part.m,
        dW=dW / part.m + l2 * W,
        db=db / part.m,
    )


def penalised(at: Value, W: Array, l2: float) -> Value:
    """The value at W (k, d), float64, of an objective that has so much more of l2."""
    return replace(at, value=at.value + 0.5 * l2 * float((W * W).sum()), dW=at.dW + l2 * W)


def known(loss: float | None) -> float | None:
    """A loss of other rows as records have it: None where their scores are beyond the features' precision."""
    return loss if loss is not None and np.isfinite(loss) else None


def pack_values(values: list[Value], name: str = "") -> dict[str, Array]:
    """P values as arrays: dW (P, k, d), db (P, k) and ``numbers`` (P, 5), float64; see `unpack_values`.

    ``name`` stands before the names of the arrays.
    """
    numbers = [(at.value, at.mean_loss, at.accuracy, *(at.held or (np.nan, np.nan))) for at in values]
    dW, db = np.stack([at.dW for at in values]), np.stack([at.db for at in values])
    return {f"{name}dW": dW, f"{name}db": db, f"{name}numbers": np.array(numbers)}


def unpack_values(arrays: dict[str, Array], name: str = "") -> list[Value]:
    """The values again, bit for bit."""
    numbers, dW, db = (arrays[f"{name}{of}"] for of in ("numbers", "dW", "db"))
    return [
        Value(value, mean_loss, accuracy, dW[p], db[p], None if np.isnan(share) else (held, share))
        for p, (value, mean_loss, accuracy, held, share) in enumerate(numbers.tolist())
    ]


def evaluate(part: Part, loss: str, W: Array, b: Array) -> tuple[float, float]:
    """(mean loss without the l2 term, accuracy) of a model on a part; one pass, no gradient."""
    losses, correct, _, _ = _pass(part, loss, W, b, False)
    return losses / part.m, correct / part.m


def curvature(part: Part, loss: str, W: Array, b: Array, width: float = 0.0) -> tuple[Kept, Array]:
    """What products with the Hessian at (W, b) need, and the mean of d2loss/dS2, (k, k)."""
    (total,), Q = keep_blocks(part, Pass(_bend, (loss, _as(W, part.dtype), _as(b, part.dtype), width)))
    return Q, total / part.m


def _bend(part: Part, at: slice, _: None, loss: str, W: Array, b: Array, width: float) -> tuple[Array, Array]:
    """The sum of d2loss/dS2 over a block, (k, k), and its curvatures (k, rows of the block)."""
    Q = np.empty((len(W), at.stop - at.start), part.dtype)
    for X, rows, own in _pieces(part, at):
        scores = *_scaling(part), W, b, len(W)
        curvature_block(X, rows, part.y[own], *scores, LOSS_NUMBER[loss], width, Q, own.start - at.start)
    return sum_curvature(loss, Q, part.y[at], part.class_weights), Q


def times_hessian(part: Part, loss: str, Q: Kept, V: Array, v: Array) -> tuple[Array, Array]:
    """The Hessian of the mean loss (without l2) where Q was made, times (V (k, d), v (k,)); one pass."""
    dW, db = sum_blocks(part, Pass(_times, (loss, _as(V, part.dtype), _as(v, part.dtype))), Q)
    return dW / part.m, db / part.m


def _times(part: Part, at: slice, Q: Array, loss: str, V: Array, v: Array) -> Sums:
    k, d = V.shape
    dW, db = np.zeros((k, d), part.dtype), np.zeros(k)
    weights = kernel_weights(part.class_weights, k, part.dtype)
    for X, rows, own in _pieces(part, at):
        direction = *_scaling(part), V, v, k
        place = own.start - at.start
        hessian_block(X, rows, part.y[own], *direction, LOSS_NUMBER[loss], weights, Q, place, dW, db)
    return dW.astype(np.float64), db


def _pass(
    part: Part, loss: str, W: Array, b: Array, with_gradient: bool, width: float = 0.0
) -> tuple[float, int, Array, Array]:
    """The sums of the losses, of the correct rows, and of the gradient without l2."""
    work = Pass(_sum, (loss, _as(W, part.dtype), _as(b, part.dtype), int(with_gradient), width))
    losses, correct, dW, db = sum_blocks(part, work)
    return float(losses[0]), int(correct[0]), dW, db


def _sum(part: Part, at: slice, _: None, loss: str, W: Array, b: Array, trained: int, width: float) -> Sums:
    k, d = W.shape
    dW, db = np.zeros((trained * k, d), part.dtype), np.zeros(trained * k)
    losses, correct = np.zeros(1), np.zeros(1, np.int64)
    weights = kernel_weights(part.class_weights, k, part.dtype)
    for X, rows, own in _pieces(part, at):
        data = X, rows, part.y[own], *_scaling(part), W, b, k, trained, LOSS_NUMBER[loss], width
        sum_block(*data, weights, dW, db, losses, correct)
    return losses, correct, dW.astype(np.float64), db


def _pieces(part: Part, at: slice) -> Iterator[tuple[Array, Array, slice]]:
    """A block of the part, as kernels take it: features, rows of them, and which of the part they are."""
    for _, X, rows, own in pieces(part.X, [part.rows[at]], step_rows(part.d)):
        yield for_kernels(X), rows, slice(at.start + own.start, at.start + own.stop)


def _scaling(part: Part) -> tuple[Array, Array]:
    """mean and factor as the kernels take them."""
    mean, factor = (_as(values, part.dtype) for values in (part.scaling.mean, part.scaling.factor))
    return mean, factor


def kernel_weights(class_weights: Array | None, k: int, dtype: Any) -> Array:
    """Weights (k,) or (P, k) as the kernels take them, (P, k); (0, k) for None."""
    if class_weights is None:
        return np.empty((0, k), dtype)
    return _as(class_weights.reshape(-1, k), dtype)


def _as(values: Array, dtype: Any) -> Array:
    return np.ascontiguousarray(values, dtype)
