"""The objective, mean(loss) + l2/2 * ||W||^2 with the bias unpenalised, and its gradient, in one pass over X.

Its map to others, in one place: scikit-learn's and LIBLINEAR's ``C`` is 1 / (n * l2); the course's
``lambda * ||W||^2`` is l2 = 2 * lambda.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linclass_cli.learn.losses import LOSS_NUMBER, Array
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.tiles import count_blocks, sum_blocks


@dataclass(frozen=True)
class Part:
    """Some rows of the features, as a model sees them: nothing is copied.

    X float32 or float64 (n, d), all images of the store; rows int64 (m,), those of this part; y int64 (m,),
    their labels in 0 .. k-1; scaling, applied to each row on the way through the cache.
    """

    X: Array
    rows: Array
    y: Array
    scaling: Scaling

    @property
    def m(self) -> int:
        return int(self.rows.shape[0])

    @property
    def d(self) -> int:
        return int(self.X.shape[1])


@dataclass(frozen=True)
class Problem:
    """What a solver minimises: the objective of ``loss`` and ``l2`` on ``part``, with k classes.

    ``seed`` is for solvers that draw starts or orders.
    """

    part: Part
    loss: str
    l2: float
    k: int
    seed: int = 0


@dataclass(frozen=True)
class Value:
    """The objective at one (W, b): value, mean_loss, accuracy of the part; dW (k, d), db (k,), float64."""

    value: float
    mean_loss: float
    accuracy: float
    dW: Array
    db: Array

    @property
    def gradient_norm(self) -> float:
        """The largest absolute entry of the gradient."""
        return float(max(np.abs(self.dW).max(initial=0.0), np.abs(self.db).max(initial=0.0)))


def _pass(part: Part, loss: str, W: Array, b: Array, with_gradient: bool) -> tuple[Array, ...]:
    k, d = W.shape
    blocks = count_blocks(part.m, k, d)
    dtype = part.X.dtype
    dW = np.zeros((blocks, k, d) if with_gradient else (1, 1, 1), dtype)
    db = np.zeros((blocks, k) if with_gradient else (1, 1), dtype)
    losses = np.empty(blocks)
    correct = np.empty(blocks, np.int64)
    mean, factor = part.scaling.mean.astype(dtype), part.scaling.factor.astype(dtype)
    W, b = np.ascontiguousarray(W, dtype), np.ascontiguousarray(b, dtype)
    number = LOSS_NUMBER[loss]
    sum_blocks(part.X, part.rows, part.y, mean, factor, W, b, number, with_gradient, losses, correct, dW, db)
    return losses, correct, dW, db


def objective(problem: Problem, W: Array, b: Array) -> Value:
    """The objective and its gradient at W (k, d), b (k,), any float dtype; one pass over the part."""
    part, l2 = problem.part, problem.l2
    losses, correct, dW, db = _pass(part, problem.loss, W, b, True)
    W = np.asarray(W, np.float64)
    mean_loss = float(losses.sum()) / part.m
    return Value(
        value=mean_loss + 0.5 * l2 * float((W * W).sum()),
        mean_loss=mean_loss,
        accuracy=int(correct.sum()) / part.m,
        dW=dW.sum(axis=0, dtype=np.float64) / part.m + l2 * W,
        db=db.sum(axis=0, dtype=np.float64) / part.m,
    )


def evaluate(part: Part, loss: str, W: Array, b: Array) -> tuple[float, float]:
    """(mean loss without the l2 term, accuracy) of a model on a part; one pass, no gradient."""
    losses, correct, _, _ = _pass(part, loss, W, b, False)
    return float(losses.sum()) / part.m, int(correct.sum()) / part.m
