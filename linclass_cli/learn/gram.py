"""The Gram matrix of the features, A = X'X / n, and the inverse of Hessians that are nearly made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.cholesky import factorise, solve
from linclass_cli.learn.footprint import MOST_EIGEN, MOST_FACTOR
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, scaled
from linclass_cli.learn.tiles import copied_rows
from linclass_cli.threads import Spans, in_chunks

_ROWS = 1024
_STRIPE = 512  # columns of A that one thread computes at a time
# Factors that are kept take at most so many bytes; each serves the strengths that are near to its own.
_FACTOR_BYTES = 2 << 30
_NEAR = 2.0
# What is added to A at least, as a share of its mean diagonal: float32 might find it indefinite.
_RIDGE = 1e-5


def gram(part: Part) -> Array:
    """X'X / m of the scaled features of a part: float64 (d, d); of more than MOST_EIGEN features float32.

    Only the diagonal, float64 (d,), of more than MOST_FACTOR features, and of more than MOST_EIGEN that have
    fewer rows: factors cost d³ / 3, which is hundreds of passes over so few.
    """
    if part.d <= MOST_EIGEN:
        X = scaled(part, slice(None))
        return np.asarray(X.T @ X, np.float64) / part.m
    rows = copied_rows(part.d, _ROWS)
    tiles = (scaled(part, slice(start, start + rows)) for start in range(0, part.m, rows))
    if part.d <= min(MOST_FACTOR, part.m):
        A = _lower(tiles, part.d)
        A /= np.float32(part.m)
        return A
    diagonal = np.zeros(part.d)
    for X in tiles:  # with so many features a copy of all rows would be as large as X
        diagonal += np.einsum("ij,ij->j", X, X)
    return diagonal / part.m


def _lower(tiles: Iterator[Array], d: int) -> Array:
    """The sum of X'X, float32 (d, d): its lower triangle; what is above it is not meant."""
    A = np.zeros((d, d), np.float32)
    for X in tiles:

        def work(spans: Spans, X: Array = X) -> None:
            for start, stop in spans:
                A[start:, start:stop] += X[:, start:].T @ X[:, start:stop]

        in_chunks(work, d, _STRIPE)
    return A


class Gram:
    """The features' A = X'X / n, ready to be inverted: as `gram` gives it, for its size.

    Raises InputError where A is not finite.
    """

    def __init__(self, A: Array) -> None:
        if not np.isfinite(A).all():
            raise InputError("the features hold NaN or infinity, or their squares overflow; scale them")
        self.vectors: Array | None = None
        self.lower: Array | None = None
        self._factors: dict[float, Array] = {}
        if A.ndim == 1:
            self.values = np.maximum(A, 1e-300)
        elif len(A) > MOST_EIGEN:
            self.lower = A
        else:
            values, self.vectors = np.linalg.eigh(A)
            self.values = np.maximum(values, 1e-7 * max(float(values[-1]), 1e-300))

    def _near(self, ratios: Array) -> Array:
        """The ratios (p,) that factors are made for: the nearest of few, even in their logarithms.

        They depend on what is asked for alone, and not on what was asked before: a fit that is gone on with
        takes the steps that it would have taken.
        """
        assert self.lower is not None
        most = _FACTOR_BYTES // self.lower.nbytes
        logs = np.log(ratios)
        if most < 2:
            # One for all, and seldom another: each costs d^3 / 3.
            logs, step = np.full_like(logs, logs.mean()), 4 * np.log(_NEAR)
        else:
            step = max(2 * np.log(_NEAR), np.ptp(logs) / most)
        return np.asarray(np.exp(np.round(logs / step) * step))

    def _factor(self, ratio: float) -> Array:
        """A Cholesky factor of A + ratio, float32."""
        assert self.lower is not None
        own = np.array(self.lower)
        own[np.diag_indices(len(own))] += np.float32(ratio)
        if not factorise(own):
            raise InputError("the features are too large, or too nearly alike, for newton; scale them")
        return own

    def _prepare(self, ratios: Array) -> None:
        """Have the factors for these ratios, and no others."""
        wanted = set(ratios.tolist())
        self._factors = {ratio: factor for ratio, factor in self._factors.items() if ratio in wanted}
        for ratio in sorted(wanted - set(self._factors)):
            self._factors[ratio] = self._factor(ratio)

    def _solve(self, ratio: float, r: Array) -> Array:
        """(A + ratio)^-1 r for r (k, d)."""
        return np.asarray(solve(self._factors[ratio], r.T).T, np.float64)

    def inverse(self, C: Array, l2: Array) -> Callable[[Array, Array], tuple[Array, Array]]:
        """(C (x) A + l2)^-1 for mean curvatures C (p, k, k), strengths (p,): of (p, k, d), (p, k)."""
        bends, turns = np.linalg.eigh(C)
        bends = np.maximum(bends, 1e-6)
        # A loss that does not change when the same is added to all scores has no curvature there, and a
        # gradient that is but rounding: steps have no part in that direction.
        free = np.abs(C.sum(axis=2)).max(axis=1) <= 1e-4 * np.abs(C).max(axis=(1, 2))
        mean = np.where(free, 1.0, 0.0)[:, None, None]
        back = turns.transpose(0, 2, 1)
        vectors = self.vectors
        if self.lower is None:
            scale = bends[:, :, None] * self.values + l2[:, None, None]
        else:
            least = _RIDGE * float(np.diagonal(self.lower).mean())
            ratios = self._near(np.maximum(l2 / bends.mean(axis=1), max(least, 1e-30)))
            self._prepare(ratios)

        def even(r: Array) -> Array:
            return np.asarray(r - mean * r.mean(axis=1, keepdims=True))

        def apply(r_W: Array, r_b: Array) -> tuple[Array, Array]:
            r_W = even(r_W)
            z_b = even(turns @ ((back @ even(r_b[:, :, None])) / bends[:, :, None]))[:, :, 0]
            if self.lower is not None:
                turned = (back @ r_W) / bends[:, :, None]
                solved = [self._solve(ratio, r) for ratio, r in zip(ratios.tolist(), turned, strict=True)]
                return even(turns @ np.stack(solved)), z_b
            if vectors is None:
                return even(turns @ ((back @ r_W) / scale)), z_b
            return even(turns @ ((back @ r_W @ vectors) / scale) @ vectors.T), z_b

        return apply

    def left(self, ry: Array, r_W: Array, l2: Array) -> Array:
        """What CG could still gain from residuals r, ry = r'M^-1 r: (p,).

        About ry / 2, doubled to be safe, where M is close to H; the diagonal is not, and there the bound of
        strong convexity holds, ||r||^2 / (2 l2).
        """
        if self.vectors is not None or self.lower is not None:
            return np.abs(ry)
        bound = (r_W**2).sum(axis=(1, 2)) / (2 * np.maximum(l2, 1e-300))
        return np.maximum(np.abs(ry), np.where(l2 > 0, bound, 0))
