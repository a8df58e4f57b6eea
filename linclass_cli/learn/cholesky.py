"""Cholesky factors of large matrices in float32, in place and in tiles, by all threads.

SciPy's LAPACK ends the process (a segmentation fault in `spotrf`, SciPy 1.17) at 34,316 columns, 4.7 GB, and
not at 24,000; and it has one thread here (`threads.use_threads`). Golub and Van Loan, Matrix Computations,
4th edition, section 4.2.9: the right-looking, blocked form. What is done with one tile does not depend on the
threads.
"""

from __future__ import annotations

import numpy as np

from linclass_cli.learn.losses import Array
from linclass_cli.threads import Spans, in_chunks

_BLOCK = 1024  # columns that are factorised at a time
_TILE = 512  # side of what is updated at a time: it stays in the cache


def factorise(A: Array) -> bool:
    """Make the lower triangle of A, float32 (d, d), that of L, with L L' = A; what is above is not meant.

    False where A is not positive definite; A is spoilt then.
    """
    from scipy.linalg.lapack import spotrf, strtrs

    d = len(A)
    for j in range(0, d, _BLOCK):
        end = min(j + _BLOCK, d)
        own, failed = spotrf(A[j:end, j:end], lower=1, clean=1)
        if failed:
            return False
        A[j:end, j:end] = own
        below = A[end:, j:end]

        def divide(spans: Spans, own: Array = own, below: Array = below) -> None:
            for start, stop in spans:
                below[start:stop] = strtrs(own, below[start:stop].T, lower=1)[0].T

        def update(spans: Spans, below: Array = below, end: int = end) -> None:
            for start, stop in spans:
                columns = below[start:stop].T
                for i in range(start, len(below), _TILE):
                    A[end + i : end + i + _TILE, end + start : end + stop] -= below[i : i + _TILE] @ columns

        if len(below):
            in_chunks(divide, len(below), _TILE)
            in_chunks(update, len(below), _TILE)
    return True


def solve(L: Array, r: Array) -> Array:
    """(L L')^-1 r, float32 (d, k), of a factor's lower triangle and r (d, k)."""
    from scipy.linalg.lapack import strtrs

    x = np.array(r, np.float32)
    d = len(L)
    starts = range(0, d, _BLOCK)
    for j in starts:
        end = min(j + _BLOCK, d)
        x[j:end] = strtrs(L[j:end, j:end], x[j:end] - L[j:end, :j] @ x[:j], lower=1)[0]
    for j in reversed(starts):
        end = min(j + _BLOCK, d)
        x[j:end] = strtrs(L[j:end, j:end], x[j:end] - L[end:, j:end].T @ x[end:], lower=1, trans=1)[0]
    return x
