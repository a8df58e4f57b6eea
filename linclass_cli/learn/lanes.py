"""What every pass does with a tile, in the processor's vector registers: LLVM is told, not left to find out.

A product of matrices is fast where each value that is loaded is used several times before the next one, so
several sums have to stay in registers at once. Compilers make that of no loop that one can write in Python.
So for kernels these three are written in LLVM's own vectors (`lanes_llvm`; of 64 bytes where there is
AVX-512, else 32), and Numba compiles them into the kernels that call them. What stands here is what they
mean. They run at about the speed of BLAS, on tiles that never leave the cache.

    scale    one image at a time, a vector of its features after the other, the last one masked
    dots     four images x a few classes at a time. One step along d loads a vector of each image and of each
             class, and adds all their products to as many sums; at the end the lanes of a sum are added.
    outers   a vector of features x a dozen classes at a time. One step along the images loads one vector of
             features and adds it, times the image's score, to the sum of each class; sums start as the
             gradient's values and end as them. Each step asks memory for a vector of the next tile, so that
             it is there when it is wanted: a sixth of a pass was waiting for it.

Rows of T, W, dW, mean and factor start on cache lines and are padded with zeros to whole ones (`tiles.room`).
Arrays are C-contiguous; X alone has rows of any length. Its values are floats as all others, or the bits of
float16, as uint16: ``scale`` makes float32 of them on the way.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from linclass_cli.learn.losses import Array

F = TypeVar("F", bound=Callable[..., Any])

IMAGES = 4  # of a step of dots


class _InVectors:
    """A function that only kernels call: Numba, which asks for its type, is given the one in vectors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__name__

    @functools.cached_property
    def _numba_type_(self) -> Any:
        from numba.core.registry import cpu_target

        from linclass_cli.learn import lanes_llvm

        cpu_target.typing_context.refresh()  # it may have been there before lanes_llvm
        return cpu_target.typing_context.resolve_value_type(getattr(lanes_llvm, self.name))


def _in_vectors(function: F) -> F:
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return function
    return cast(F, _InVectors(function))


@_in_vectors
def scale(X: Array, rows: Array, mean: Array, factor: Array, T: Array) -> None:
    """T[i, :d] = (X[rows[i]] - mean) * factor; X (n, d), rows (m,), mean and factor (1, d), T (R, d)."""
    d = X.shape[1]
    X = X.view(np.float16) if X.dtype == np.uint16 else X
    T[: len(rows), :d] = (X[rows] - mean[0, :d]) * factor[0, :d]


@_in_vectors
def dots(T: Array, m: int, W: Array, b: Array, S: Array) -> None:
    """S[:, :m] = W T[:m]' + b, m rounded up to a multiple of IMAGES; T (R, d), W (k, d), b (k,), S (k, R)."""
    m = -(-m // IMAGES) * IMAGES
    S[:, :m] = W @ T[:m].T + b[:, None]


@_in_vectors
def outers(S: Array, T: Array, m: int, dW: Array, X: Array, ahead: Array) -> None:  # noqa: ARG001
    """dW += S[:, :m] T[:m]; S (k, R), T (R, d), dW (k, d). ``ahead`` (R,): rows of X that come next."""
    dW += S[:, :m] @ T[:m]
