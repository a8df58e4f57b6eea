"""How linclass compiles: the options of every kernel, and the folder its compiled kernels are kept in.

Numba's own cache notices an edit of the file that holds a kernel, but not of another file that the kernel
calls into; and an entry made for another processor or damaged on the disk can stop a program at its start.
So linclass keeps its kernels in a folder of its own whose name is a digest of all kernel sources, the
versions and the processor.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import config as numba_config
from numba.core.caching import IndexDataCacheFile

from linclass_cli import __version__

F = TypeVar("F", bound=Callable[..., Any])

# Reassociation and contraction let sums be vectorised. NaN and infinities keep their meaning: "nnan" and
# "ninf" are not among the flags.
_FASTMATH = {"reassoc", "contract", "nsz"}


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())  # RuntimeError: no home
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
    try:
        folder = _cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):
        # No home, or one that cannot be written: the kernels live for this process only.
        folder = Path(tempfile.mkdtemp(prefix="linclass-kernels-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    numba_config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]


_use_own_cache()


class _CheckedCacheFile(IndexDataCacheFile):
    """Numba's cache of one kernel, with a sha256 behind every file: what is damaged is compiled again.

    Numba would end with a traceback, or the process with a segmentation fault. Its readers stop before the
    digest, which they do not know of.
    """

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        buffer = io.BytesIO()
        yield buffer
        content = buffer.getvalue()
        with super()._open_for_write(filepath) as file:
            file.write(content + hashlib.sha256(content).digest())

    def _load_index(self) -> Any:
        return super()._load_index() if _is_whole(self._index_path) else {}  # type: ignore[no-untyped-call]

    def _load_data(self, name: str) -> Any:
        if not _is_whole(self._data_path(name)):  # type: ignore[no-untyped-call]
            raise OSError("damaged")  # as if it were not there
        return super()._load_data(name)  # type: ignore[no-untyped-call]

    def save(self, key: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full or read-only disk: the kernel lives for this process
            super().save(key, data)  # type: ignore[no-untyped-call]


def _is_whole(path: str) -> bool:
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    return len(content) > 32 and hashlib.sha256(content[:-32]).digest() == content[-32:]


def _check_cache_of(compiled: Any) -> None:
    file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if type(file) is IndexDataCacheFile:
        file.__class__ = _CheckedCacheFile


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
        compiled = numba.njit(**options)(function)
        _check_cache_of(compiled)
        return compiled  # type: ignore[no-any-return]

    return compile_lazily
