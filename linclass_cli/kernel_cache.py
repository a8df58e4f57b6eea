"""The folder of compiled kernels: a file for each function and signature, whatever befalls it no hindrance.

Numba's own cache notices an edit of the file that holds a kernel, but not of another file that the kernel
calls into. A damaged entry ends the program, with a traceback or a segmentation fault; so does a folder that
has become read-only; and its index is rewritten by every process, so that two that compile at the same time
can give one signature the code of another.

So linclass keeps its kernels itself. The name of the folder is a digest of all kernel sources and the
versions; the name of a file one of the kernel, its signature and the processor; behind the content stands its
sha256. What cannot be read is compiled again, what cannot be written lives for this process.

A kernel is machine code, and Numba keeps what belongs to it as a pickle, in its own cache as well as here: to
load one is to run it, like a module's .pyc. So only files are loaded that this user or root owns and not
everybody may write. Nothing else in linclass is ever unpickled: no dataset, feature file, run or model comes
this way.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import platform
import re
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from linclass_cli import __version__
from linclass_cli.atomic import write_bytes
from linclass_cli.compilation import COMPILATION
from linclass_cli.errors import ResourceError

UNUSED_SECONDS = 30 * 24 * 3600  # what other versions left is removed after this time without use

_DIGEST = 32  # bytes of sha256


@functools.cache
def kernel_folder() -> Path | None:
    """Where this version of linclass keeps its kernels on this machine; None without a home folder.

    ``NUMBA_CACHE_DIR``, where it is set, takes the place of ``linclass`` in the user's cache folder.
    """
    package = Path(__file__).parent
    sources = [*package.glob("learn/**/*.py"), *package.glob("features/**/*.py")]
    digest = hashlib.sha256()
    for source in sorted((*sources, package / "jit.py", Path(__file__))):
        digest.update(source.read_bytes())
    versions = (__version__, numba.__version__, llvmlite.__version__, platform.python_version())
    for part in (*versions, platform.machine()):
        digest.update(part.encode())
    try:
        base = Path(os.environ.get("NUMBA_CACHE_DIR") or _user_cache() / "linclass")
    except RuntimeError:
        return None
    return base.absolute() / f"kernels-{digest.hexdigest()[:16]}"


def _user_cache() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification wants relative paths to be ignored.
    return given if given.is_absolute() else Path("~/.cache").expanduser()


def remove_unused(base: Path) -> None:
    """Remove the kernels of other versions that nobody has used for a long time; where one may not: leave it.

    The time of a folder is when a process last took a kernel from it (`_note_use`), or added one.
    """
    with contextlib.suppress(OSError):
        for folder in base.iterdir():
            ours = re.fullmatch(r"kernels-[0-9a-f]{16}", folder.name) and not folder.is_symlink()
            if ours and time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _note_use(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(folder)


@functools.cache
def _source_digest(path: str) -> str:
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return ""


class KernelCache(_Cache):
    """What Numba asks for the compiled code of one function, and gives it to."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def cache_path(self) -> str | None:
        folder = kernel_folder()
        return None if folder is None else str(folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code for the signature; None where there is none, or a damaged one."""
        target_context.refresh()
        folder = kernel_folder()
        content = folder and _read_whole(folder / self._name(sig, target_context.codegen()))
        if not folder or not content:
            return None
        COMPILATION.cached += 1
        _note_use(folder)
        # Ours, by `_is_trusted`: whoever could change it could change the machine code in it as well.
        return CompileResult._rebuild(target_context, *pickle.loads(content))  # noqa: S301

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for the signature, if the disk lets us."""
        folder = kernel_folder()
        if folder is None:
            COMPILATION.lost = "there is no home folder"
            return
        if data.library.has_dynamic_globals:  # addresses of this process
            return
        content = dumps(data._reduce())
        if not os.path.isdir(folder):  # noqa: PTH112  # Path.is_dir raises where it may not look
            remove_unused(folder.parent)
        try:
            write_bytes(folder / self._name(sig, data.codegen), content + hashlib.sha256(content).digest())
        except ResourceError as error:
            why = getattr(error.__cause__, "strerror", None) or str(error)
            COMPILATION.lost = f"cannot write {folder}: {why.lower()}"

    def _name(self, sig: Any, codegen: Any) -> str:
        function = self._function
        key = (function.__module__, function.__qualname__, function.__code__.co_firstlineno, sig)
        source = _source_digest(function.__code__.co_filename)
        digest = hashlib.sha256(repr((key, source, codegen.magic_tuple())).encode())
        return f"{function.__name__}-{digest.hexdigest()[:32]}.kernel"

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...


def _read_whole(path: Path) -> bytes | None:
    """What was written, without its digest; None where it is not there, not readable, not ours or damaged."""
    try:
        with path.open("rb") as file:
            if not _is_trusted(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    return body if hashlib.sha256(body).digest() == digest else None


def _is_trusted(file: os.stat_result) -> bool:
    """Whether this user or root owns the file, and not everybody may write it."""
    return file.st_uid in (os.geteuid(), 0) and not file.st_mode & stat.S_IWOTH
