"""Objectives in float64, by plain numpy, and their optimum: what every solution is judged by.

The objective is linclass's, mean(loss) + l2/2 ||W||², the bias unpenalised. W (k, d), b (k,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.data import Array, load
from benchmarks.workers import Prepared

_ROWS = 8192


def losses(loss: str, S: Array, y: Array, width: float = 0.0) -> tuple[Array, Array]:
    """Of scores S float64 (m, k) and labels y (m,): losses (m,), and dloss/dS (m, k).

    ``width``: the kink of the hinge becomes a parabola as wide, below it.
    """
    at = np.arange(len(y))
    if loss == "softmax":
        S = S - S.max(axis=1, keepdims=True)
        E = np.exp(S)
        total = E.sum(axis=1)
        G = E / total[:, None]
        G[at, y] -= 1
        return np.log(total) - S[at, y], G
    if loss in ("hinge", "crammer-singer"):
        excess = S - S[at, y][:, None] + 1
        excess[at, y] = 0
        if loss == "crammer-singer":
            return np.maximum(excess.max(axis=1), 0), np.zeros_like(S)
        z = np.maximum(excess, 0)
        G = np.minimum(z / width, 1) if width else (z > 0).astype(np.float64)
        if width:
            z = np.where(z < width, z * z / (2 * width), z - width / 2)
        G[at, y] = -G.sum(axis=1)
        return z.sum(axis=1), G
    if loss == "squared-hinge":
        t = -np.ones_like(S)
        t[at, y] = 1
        short = np.maximum(1 - t * S, 0)
        return (short**2).sum(axis=1), -2 * t * short
    if loss == "ridge":
        G = S.copy()
        G[at, y] -= 1
        return 0.5 * (G**2).sum(axis=1), G
    raise ValueError(f"unknown loss {loss}")


def value_and_gradient(
    X: Array, y: Array, loss: str, l2: float, W: Array, b: Array, width: float = 0.0
) -> tuple[float, Array, Array]:
    """The objective at (W, b), dW (k, d) and db (k,), all in float64."""
    W, b = np.asarray(W, np.float64), np.asarray(b, np.float64)
    total, dW, db = 0.0, np.zeros_like(W), np.zeros_like(b)
    for start in range(0, len(y), _ROWS):
        x = X[start : start + _ROWS].astype(np.float64)
        some, G = losses(loss, x @ W.T + b, y[start : start + _ROWS], width)
        total += float(some.sum())
        dW += G.T @ x
        db += G.sum(axis=0)
    m = len(y)
    return total / m + 0.5 * l2 * float((W * W).sum()), dW / m + l2 * W, db / m


def objective(X: Array, y: Array, loss: str, l2: float, W: Array, b: Array) -> float:
    """The objective at (W, b), in float64."""
    return value_and_gradient(X, y, loss, l2, W, b)[0]


def accuracy(X: Array, y: Array, W: Array, b: Array) -> float:
    """The share of rows whose largest score is at their label."""
    return float((np.argmax(X @ np.asarray(W, X.dtype).T + np.asarray(b, X.dtype), axis=1) == y).mean())


def optimum(X: Array, y: Array, loss: str, l2: float, k: int) -> dict[str, Any]:
    """The least objective (k classes), without linclass: ridge by its normal equations, else float64 L-BFGS
    in whitened features, where the Hessian is nearly round.

    ``bound``: how far the value can be above the least one: ||gradient||² / (2 l2), by strong convexity in W,
    the bias being at its optimum. The hinge is rounded off over ever smaller widths; rounded it is below the
    hinge, so its own least value bounds the hinge's.
    """
    if loss == "ridge":
        W, b = _ridge(X, y, l2, k)
        f, dW, db = value_and_gradient(X, y, loss, l2, W, b)
        return {"objective": f, "bound": _bound(dW, db, l2)}
    start: tuple[Array, Array] | None = None
    for width in (0.1, 0.01, 1e-3, 3e-4) if loss == "hinge" else (0.0,):
        start, f, bound = _descend(X, y, loss, l2, k, start, width)
    value = objective(X, y, loss, l2, *start) if start is not None else f
    return {"objective": value, "bound": value - f + bound}


def optimum_entry(folder: str, loss: str, l2: float) -> Prepared:
    """:func:`optimum` in a worker."""
    data = load(folder)
    return Prepared(lambda: optimum(data.X, data.y, loss, l2, data.k))


def _descend(
    X: Array, y: Array, loss: str, l2: float, k: int, start: tuple[Array, Array] | None, width: float
) -> tuple[tuple[Array, Array], float, float]:
    """(W, b), value, bound; the unknowns are V of W = V C, with C'C = (X'X/n + 4 l2)^-1."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import minimize

    d = X.shape[1]
    x = X.astype(np.float64)
    L = np.linalg.cholesky(x.T @ x / len(y) + max(4 * l2, 1e-9) * np.eye(d))
    C = solve_triangular(L, np.eye(d), lower=True)
    del x

    def flat(theta: Array) -> tuple[float, Array]:
        W = theta[: k * d].reshape(k, d) @ C
        f, dW, db = value_and_gradient(X, y, loss, l2, W, theta[k * d :], width)
        return f, np.concatenate([(dW @ C.T).ravel(), db])

    W, b = start if start is not None else (np.zeros((k, d)), np.zeros(k))
    theta = np.concatenate([(W @ L).ravel(), b])
    options = {"maxiter": 500, "maxfun": 600, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-8}
    theta = minimize(flat, theta, jac=True, method="L-BFGS-B", options=options).x
    W, b = theta[: k * d].reshape(k, d) @ C, theta[k * d :]
    f, dW, db = value_and_gradient(X, y, loss, l2, W, b, width)
    return (W, b), f, _bound(dW, db, l2)


def _bound(dW: Array, db: Array, l2: float) -> float:
    return float((dW**2).sum() + (db**2).sum()) / (2 * l2)


def _ridge(X: Array, y: Array, l2: float, k: int) -> tuple[Array, Array]:
    x = X.astype(np.float64)
    mean, share = x.mean(axis=0), np.bincount(y, minlength=k) / len(y)
    targets = np.eye(k)[y]
    A = x.T @ x / len(y) - np.outer(mean, mean)
    B = x.T @ targets / len(y) - np.outer(mean, share)
    W = np.linalg.solve(A + l2 * np.eye(X.shape[1]), B).T
    return W, share - W @ mean
