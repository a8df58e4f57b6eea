"""The Gram matrix of the features, A = X'X / n, and the inverse of Hessians that are nearly made of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, scaled

# Beyond this many features the eigendecomposition costs more than it saves; the diagonal has to do.
MOST_EIGEN = 2048
_ROWS = 1024


def gram(part: Part) -> Array:
    """X'X / m of the scaled features of a part, float64 (d, d); beyond MOST_EIGEN features its diagonal."""
    if part.d <= MOST_EIGEN:
        X = scaled(part, slice(None))
        return np.asarray(X.T @ X, np.float64) / part.m
    diagonal = np.zeros(part.d)
    for start in range(0, part.m, _ROWS):  # with so many features a copy of all rows would be as large as X
        X = scaled(part, slice(start, start + _ROWS))
        diagonal += np.einsum("ij,ij->j", X, X)
    return diagonal / part.m


class Gram:
    """The eigendecomposition of the features' A = X'X / n (its diagonal, where A is large).

    Raises InputError where A is not finite.
    """

    def __init__(self, A: Array) -> None:
        if not np.isfinite(A).all():
            raise InputError("the features hold NaN or infinity, or their squares overflow; scale them")
        self.vectors: Array | None = None
        if A.ndim == 2:
            values, self.vectors = np.linalg.eigh(A)
            self.values = np.maximum(values, 1e-7 * max(float(values[-1]), 1e-300))
        else:
            self.values = np.maximum(A, 1e-300)

    def inverse(self, C: Array, l2: Array) -> Callable[[Array, Array], tuple[Array, Array]]:
        """(C (x) A + l2)^-1 for mean curvatures C (p, k, k), strengths (p,): of (p, k, d), (p, k)."""
        bends, turns = np.linalg.eigh(C)
        bends = np.maximum(bends, 1e-6)
        # A loss that does not change when the same is added to all scores has no curvature there, and a
        # gradient that is but rounding: steps have no part in that direction.
        free = np.abs(C.sum(axis=2)).max(axis=1) <= 1e-4 * np.abs(C).max(axis=(1, 2))
        mean = np.where(free, 1.0, 0.0)[:, None, None]
        back = turns.transpose(0, 2, 1)
        scale = bends[:, :, None] * self.values + l2[:, None, None]
        vectors = self.vectors

        def even(r: Array) -> Array:
            return np.asarray(r - mean * r.mean(axis=1, keepdims=True))

        def apply(r_W: Array, r_b: Array) -> tuple[Array, Array]:
            r_W = even(r_W)
            z_b = even(turns @ ((back @ even(r_b[:, :, None])) / bends[:, :, None]))[:, :, 0]
            if vectors is None:
                return even(turns @ ((back @ r_W) / scale)), z_b
            return even(turns @ ((back @ r_W @ vectors) / scale) @ vectors.T), z_b

        return apply

    def left(self, ry: Array, r_W: Array, l2: Array) -> Array:
        """What CG could still gain from residuals r, ry = r'M^-1 r: (p,).

        About ry / 2, doubled to be safe, where M is close to H; the diagonal is not, and there the bound of
        strong convexity holds, ||r||^2 / (2 l2).
        """
        if self.vectors is not None:
            return np.abs(ry)
        bound = (r_W**2).sum(axis=(1, 2)) / (2 * np.maximum(l2, 1e-300))
        return np.maximum(np.abs(ry), np.where(l2 > 0, bound, 0))
