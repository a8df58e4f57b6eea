"""How linclass compiles: the options of every kernel, and the folder its compiled kernels are kept in.

Numba's own cache notices an edit of the file that holds a kernel, but not of another file that the kernel
calls into; and an entry made for another processor or damaged on the disk can stop a program at its start.
So linclass keeps its kernels in a folder of its own whose name is a digest of all kernel sources, the
versions and the processor.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import config as numba_config

from linclass_cli import __version__

F = TypeVar("F", bound=Callable[..., Any])

# Reassociation and contraction let sums be vectorised. NaN and infinities keep their meaning: "nnan" and
# "ninf" are not among the flags.
_FASTMATH = {"reassoc", "contract", "nsz"}


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted((*package.glob("learn/**/*.py"), *package.glob("features/*.py"), Path(__file__))):
        digest.update(source.read_bytes())
    for part in (__version__, numba.__version__, platform.python_version(), platform.machine()):
        digest.update(part.encode())
    return base / "linclass" / f"kernels-{digest.hexdigest()[:16]}"


def _use_own_cache() -> None:
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    folder = _cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        # A home that cannot be written: the kernels live for this process only.
        folder = Path(tempfile.mkdtemp(prefix="linclass-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    numba_config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


_use_own_cache()


def kernel(*, fast: bool = False, inner: bool = False) -> Callable[[F], F]:
    """Compile a function of arrays and scalars; cached on disk, without the interpreter's lock.

    Kernels are serial; `threads.in_chunks` runs them side by side.

    ``fast`` allows sums to be reordered (and so vectorised); it never assumes that numbers are finite.
    ``inner`` kernels are called by other kernels and compiled into them, not cached by themselves: what LLVM
    makes of a sum, and so its last bit, must not depend on which kernel a machine happened to compile first.
    """

    def compile_lazily(function: F) -> F:
        options: dict[str, Any] = {"cache": not inner, "nogil": True}
        if fast:
            options["fastmath"] = _FASTMATH
        return numba.njit(**options)(function)  # type: ignore[no-any-return]

    return compile_lazily
