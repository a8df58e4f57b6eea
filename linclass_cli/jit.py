"""Kernels: functions that Numba compiles once on a machine, and that are called as machine code ever after.

A kernel is compiled when it is first called with arguments of some types. What comes of that is kept
(`kernel_cache`), and later processes call it without Numba, which is loaded (`compiler`) only to compile.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from linclass_cli import kernel_cache
from linclass_cli.compilation import COMPILATION
from linclass_cli.machine_code import MachineCode, link
from linclass_cli.memory import leave_room

F = TypeVar("F", bound=Callable[..., Any])

_C, _F, _ALIGNED, _WRITEABLE = 0x1, 0x2, 0x100, 0x400  # NumPy's flags of an array
_A = np.ndarray
# Address space that a kernel takes, at the most: 1 MB and 71 MB were measured.
_TO_LINK, _TO_COMPILE = 16 << 20, 128 << 20

_preparing = threading.RLock()


def kernel(*, fast: bool = False, inner: bool = False) -> Callable[[F], F]:
    """Compile a function of arrays and scalars; cached on disk, without the interpreter's lock.

    Kernels are serial; `threads.in_chunks` runs them side by side. They return numbers and fill the arrays
    that they are given: one that returns an array is not cached.

    ``fast`` allows sums to be reordered (and so vectorised); it never assumes that numbers are finite.
    ``inner`` kernels are called by other kernels and compiled into them, not cached by themselves.
    """

    def make(function: F) -> F:
        if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
            return function
        return cast(F, Kernel(function, fast, inner))

    return make


class Kernel:
    """A function that is compiled for each combination of types that it is called with, all by position."""

    def __init__(self, function: Callable[..., Any], fast: bool, inner: bool) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.fast = fast
        self.inner = inner
        self.compiled: dict[Any, Callable[..., Any]] = {}
        self._seen: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        seen = tuple([(a.dtype, a.ndim, a.flags.num) if type(a) is _A else _look(a) for a in arguments])
        return (self._seen.get(seen) or self._prepare(seen, arguments))(*arguments)

    @property
    def _numba_type_(self) -> Any:
        """Numba asks this of a value that it does not know: here, of a kernel that another one calls."""
        return self._for_others._numba_type_

    @functools.cached_property
    def _for_others(self) -> Any:
        from linclass_cli.compiler import dispatcher

        return dispatcher(self.function, fast=self.fast, inner=True)

    def _prepare(self, seen: tuple[Any, ...], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """The function for arguments that look like these: from the cache, or compiled and kept there."""
        kinds = _kinds(seen)
        with _preparing:
            if kinds not in self.compiled:
                name = None if self.inner else kernel_cache.file_name(self.function, kinds)
                self.compiled[kinds] = (name and self._load(name)) or self._compile(name, arguments)
            self._seen[seen] = self.compiled[kinds]
            return self._seen[seen]

    def _load(self, name: str) -> Callable[..., Any] | None:
        code = kernel_cache.find(name)
        linked = code and self._link(code)
        if linked:
            COMPILATION.cached += 1
        return linked or None

    def _link(self, code: MachineCode) -> Callable[..., Any] | None:
        leave_room(_TO_LINK)
        try:
            return link(self.function, code)
        except (ImportError, AttributeError, KeyError, RuntimeError):  # Numba is not as we know it
            return None

    def _compile(self, name: str | None, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        if COMPILATION.begins is not None:
            COMPILATION.begins()
        leave_room(_TO_COMPILE)
        began = time.perf_counter()
        from linclass_cli.compiler import compile_for, dispatcher

        compiled, code = compile_for(dispatcher(self.function, fast=self.fast, inner=False), arguments)
        COMPILATION.compiled += 1
        COMPILATION.seconds += time.perf_counter() - began
        if not name or not code:
            return compiled
        kernel_cache.keep(name, code)
        # What Numba has at hand may call another copy of an inner kernel, which adds in another order than
        # the code that later processes load: the last bits would not be theirs.
        return self._link(code) or compiled


def _look(value: Any) -> Any:
    """What a call is told from others by: an array's type, dimensions and flags, another value's type.

    `Kernel.__call__` has it written out for arrays: calls of it would take longer than all the rest.
    """
    if isinstance(value, np.ndarray):
        return value.dtype, value.ndim, value.flags.num
    if isinstance(value, tuple):
        return type(value), *map(_look, value)
    return type(value)


def _kinds(seen: Any) -> Any:
    """What decides the machine code in what was seen, in words that are the same in every process."""
    if isinstance(seen, type):
        return f"{seen.__module__}.{seen.__qualname__}"
    if seen and isinstance(seen[0], np.dtype):
        dtype, ndim, flags = seen
        order = "C" if flags & _C else "F" if flags & _F else "A"
        return dtype.str, ndim, order, flags & _ALIGNED, flags & _WRITEABLE
    return tuple(map(_kinds, seen))
