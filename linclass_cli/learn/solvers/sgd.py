"""Stochastic gradient descent in minibatches: the course's solver."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from linclass_cli.halves import for_kernels
from linclass_cli.jit import kernel
from linclass_cli.learn.journal import State
from linclass_cli.learn.lanes import dots, outers
from linclass_cli.learn.losses import LOSS_NUMBER, Array, loss_rows, weigh_rows
from linclass_cli.learn.objective import Problem, kernel_weights, objective
from linclass_cli.learn.solvers.iterate import Iterate, check_finite
from linclass_cli.learn.tiles import add_rows, load, look_ahead, room, roomy, tile_rows
from linclass_cli.read_ahead import shuffled


@kernel()
def _epoch(
    X: Array,
    order: Array,
    y: Array,
    mean: Array,
    factor: Array,
    batch: int,
    loss: int,
    l2: float,
    rate: float,
    momentum: float,
    class_weights: Array,
    W: Array,
    b: Array,
    step_W: Array,
    step_b: Array,
) -> None:
    """One pass in the given order: for each batch, step = momentum * step - rate * gradient; W += step.

    X (n, d), as `halves.for_kernels` gives it, order (m,) rows of X, y (m,) their labels in that order;
    class_weights (1, k), or (0, k) for none; W, step_W (k, d), b, step_b (k,) change in place. One thread:
    each batch needs the weights that the one before it left.
    """
    m = order.shape[0]
    k, d = W.shape
    R = tile_rows(d)
    T, S = room(R, d, W), np.empty((k, R), W.dtype)
    center, stretch = roomy(mean.reshape((1, d))), roomy(factor.reshape((1, d)))
    losses, labels, ahead = np.empty(R, np.float64), np.zeros(R, np.int64), np.zeros(R, np.int64)
    weights, dW = roomy(W), room(k, d, W)
    db = np.empty_like(b)
    shrink = W.dtype.type(l2)
    keep = W.dtype.type(momentum)
    for first in range(0, m, batch):
        last = min(first + batch, m)
        dW[:] = 0
        db[:] = 0
        for start in range(first, last, R):
            size = min(R, last - start)
            labels[:size] = y[start : start + size]
            load(X, order[start : start + size], center, stretch, T)
            dots(T, R, weights, b, S)
            loss_rows(loss, 0.0, S, labels, losses)
            if class_weights.shape[0] > 0:
                weigh_rows(S, labels, class_weights[0], losses)
            look_ahead(order, start + size, ahead)
            outers(S, T, size, dW, X, ahead)
            add_rows(S, size, db)
        scale = W.dtype.type(1.0 / (last - first))
        length = W.dtype.type(rate)
        for c in range(k):
            for j in range(d):
                step_W[c, j] = keep * step_W[c, j] - length * (scale * dW[c, j] + shrink * weights[c, j])
                weights[c, j] += step_W[c, j]
            step_b[c] = keep * step_b[c] - length * scale * db[c]
            b[c] += step_b[c]
    W[:] = weights[:, :d]


def sgd(
    problem: Problem,
    learning_rate: float = 1e-3,
    decay: float = 0.0,
    momentum: float = 0.0,
    batch_size: int = 100,
    epochs: int = 100,
    init_range: float = 1e-3,
    resume: State | None = None,
) -> Iterator[Iterate]:
    """``epochs`` passes in minibatches, the rows shuffled anew before each; yields once an epoch.

    W starts uniform in +- ``init_range``, b at 0; the rate of epoch e, counted from 0, is
    learning_rate / (1 + decay * e). The l2 term is part of every step, the bias is not penalised.
    ``resume``: a snapshot, whose iterate is yielded once more.
    """
    part, l2, number = problem.part, problem.l2, LOSS_NUMBER[problem.loss]
    dtype = part.dtype
    rng = np.random.default_rng(problem.seed)
    W = rng.uniform(-init_range, init_range, (problem.k, part.d)).astype(dtype)
    b = np.zeros(problem.k, dtype)
    step_W, step_b = np.zeros_like(W), np.zeros_like(b)
    mean, factor = part.scaling.mean.astype(dtype), part.scaling.factor.astype(dtype)
    weights = kernel_weights(part.class_weights, problem.k, dtype)
    epoch = 0
    if resume is not None:
        W, b, step_W, step_b = (resume.tensors[name].copy() for name in ("W", "b", "step_W", "step_b"))
        epoch, rng.bit_generator.state = resume.facts["epoch"], resume.facts["rng"]

    def iterate() -> Iterate:
        at = objective(problem, W, b)
        check_finite(at, epoch, f"SGD diverged; take a learning rate below {learning_rate}")
        return Iterate(epoch, W.copy(), b.copy(), at, snapshot=snapshot)

    def snapshot() -> State:
        tensors = {"W": W, "b": b, "step_W": step_W, "step_b": step_b}
        return State(tensors, {"epoch": epoch, "rng": rng.bit_generator.state})

    if epoch:
        yield iterate()
    while epoch < epochs:
        order = rng.permutation(part.m)
        rate = learning_rate / (1.0 + decay * epoch)
        y = part.y[order]
        for X, rows, at in shuffled(part.X, part.rows[order], batch_size):
            data = for_kernels(X), rows, y[at], mean, factor
            _epoch(*data, batch_size, number, l2, rate, momentum, weights, W, b, step_W, step_b)
        epoch += 1
        yield iterate()
