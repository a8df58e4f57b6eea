"""How linclass compiles: the options of every kernel, and the counting of those that are compiled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

from linclass_cli.compilation import COMPILATION
from linclass_cli.kernel_cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])

# Reassociation and contraction let sums be vectorised. NaN and infinities keep their meaning: "nnan" and
# "ninf" are not among the flags.
_FASTMATH = {"reassoc", "contract", "nsz"}


def _spare_scipy() -> None:
    """Load Numba's array functions without scipy.linalg, a fifth of a second that no kernel here needs.

    Numba loads it only to learn that it is there. Whoever multiplies matrices in a kernel still gets it then.
    """
    from numba.np import linalg

    ask = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        from numba.np import arraymath

        arraymath.ensure_blas = ask  # type: ignore[attr-defined]
    finally:
        linalg.ensure_blas = ask


_spare_scipy()


class _Count(event.Listener):
    """Counts the kernels that Numba really compiles. Those that a kernel calls are part of it.

    Numba compiles under a lock of its own: one kernel at a time, whatever the number of threads.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.began = 0.0

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        self.depth += 1
        if self.depth == 1:
            if COMPILATION.begins is not None:
                COMPILATION.begins()
            self.began = time.perf_counter()

    def on_end(self, event: Any) -> None:  # noqa: ARG002
        self.depth -= 1
        if self.depth == 0:
            COMPILATION.compiled += 1
            COMPILATION.seconds += time.perf_counter() - self.began


event.register("numba:compile", _Count())


def kernel(*, fast: bool = False, inner: bool = False) -> Callable[[F], F]:
    """Compile a function of arrays and scalars; cached on disk, without the interpreter's lock.

    Kernels are serial; `threads.in_chunks` runs them side by side.

    ``fast`` allows sums to be reordered (and so vectorised); it never assumes that numbers are finite.
    ``inner`` kernels are called by other kernels and compiled into them, not cached by themselves: what LLVM
    makes of a sum, and so its last bit, must not depend on which kernel a machine happened to compile first.
    """

    def compile_lazily(function: F) -> F:
        options: dict[str, Any] = {"nogil": True}
        if fast:
            options["fastmath"] = _FASTMATH
        compiled = numba.njit(**options)(function)
        if not inner and hasattr(compiled, "_cache"):  # without NUMBA_DISABLE_JIT
            compiled._cache = KernelCache(function)
        return compiled  # type: ignore[no-any-return]

    return compile_lazily
