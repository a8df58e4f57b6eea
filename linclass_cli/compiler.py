"""Numba: what compiles a kernel. Loaded only where there is one to compile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numba.extending
from numba.np import arrayobj

from linclass_cli.machine_code import MachineCode, helpers

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


def _shapes_differ(source: Any, target: Any) -> None:
    """A name for Numba alone, which compiles the function below for it. Python never calls it."""


@numba.extending.overload(_shapes_differ)
def _shapes_differ_compiled(source: Any, target: Any) -> Any:  # noqa: ARG001
    def refuse(source: Any, target: Any) -> None:  # noqa: ARG001
        raise ValueError("cannot assign an array of another shape")

    return refuse


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Let arrays that do not fit say so without their shapes.

    To write the shapes down, Numba compiles its strings: a quarter of all that there is to compile.
    """
    numbas = arrayobj.raise_with_shape_context
    arrayobj.raise_with_shape_context = _shapes_differ
    try:
        yield
    finally:
        arrayobj.raise_with_shape_context = numbas


def dispatcher(function: Callable[..., Any], *, fast: bool, inner: bool) -> Any:
    """What Numba makes of a function. ``inner``: only for other kernels, which need no way in from Python."""
    options: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True, "no_cpython_wrapper": inner}
    if fast:
        options["fastmath"] = _FASTMATH
    return numba.njit(**options)(function)


def compile_for(dispatcher: Any, arguments: tuple[Any, ...]) -> tuple[Callable[..., Any], MachineCode | None]:
    """The function for arguments of these types, and its machine code, where that can be kept."""
    signature = tuple(numba.typeof(argument) for argument in arguments)
    with _plain_errors():
        entry: Callable[..., Any] = dispatcher.compile(signature)
    result = dispatcher.overloads[signature]
    # Addresses of this process, and Python's objects: the types of arrays that are returned.
    if result.library.has_dynamic_globals or result.environment.consts:
        return entry, None
    content = result.library._get_compiled_object()
    called = tuple(name for name in helpers() if name.encode() + b"\0" in content)
    about = result.fndesc
    return entry, MachineCode(about.llvm_cpython_wrapper_name, about.env_name, called, content)
