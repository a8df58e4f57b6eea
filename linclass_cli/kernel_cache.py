"""The folder of compiled kernels: a file for each function and signature, whatever befalls it no hindrance.

Numba's own cache notices an edit of the file that holds a kernel, but not of another file that the kernel
calls into. A damaged entry ends the program, with a traceback or a segmentation fault; so does a folder that
has become read-only; and its index is rewritten by every process, so that two that compile at the same time
can give one signature the code of another.

So linclass keeps its kernels itself. The name of the folder is a digest of all kernel sources and the
versions; the name of a file one of the kernel, the types of its arguments and the processor; behind the
content stands its sha256. What cannot be read is compiled again, what cannot be written lives for this
process.

A kernel is machine code: to load one is to run it, like a module's .pyc. So only files are loaded that this
user or root owns and not everybody may write.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite

from linclass_cli import __version__
from linclass_cli.atomic import discard, write_bytes
from linclass_cli.compilation import COMPILATION
from linclass_cli.errors import ResourceError
from linclass_cli.machine_code import MachineCode, numba_folder, processor

UNUSED_SECONDS = 30 * 24 * 3600  # what other versions left is removed after this time without use

_DIGEST = 32  # bytes of sha256
_MAKERS = ("jit", "compiler", "machine_code", "kernel_cache")  # modules that decide what is in a file


@functools.cache
def kernel_folder() -> Path | None:
    """Where this version of linclass keeps its kernels on this machine; None without a home folder.

    ``NUMBA_CACHE_DIR``, where it is set, takes the place of ``linclass`` in the user's cache folder.
    """
    package = Path(__file__).parent
    sources = [*package.glob("learn/**/*.py"), *package.glob("features/**/*.py")]
    digest = hashlib.sha256()
    for source in sorted((*sources, *(package / f"{name}.py" for name in _MAKERS))):
        digest.update(source.read_bytes())
    digest.update((numba_folder() / "_version.py").read_bytes())
    settings = (f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith("NUMBA_"))
    versions = (__version__, llvmlite.__version__, platform.python_version(), platform.machine())
    for part in (*versions, *(text for text in settings if not text.startswith("NUMBA_CACHE_DIR="))):
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
                discard(folder)


@functools.cache
def _note_use(folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(folder)


@functools.cache
def _source_digest(path: str) -> str:
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return ""


def file_name(function: Callable[..., Any], kinds: Any) -> str:
    """The name of the file that holds the function's code for arguments of these kinds on this processor."""
    place = (function.__module__, function.__qualname__, function.__code__.co_firstlineno)
    source = _source_digest(function.__code__.co_filename)
    digest = hashlib.sha256(repr((place, source, kinds, processor())).encode())
    return f"{function.__name__}-{digest.hexdigest()[:32]}.kernel"


def find(name: str) -> MachineCode | None:
    """The code in the file; None where there is none, or a damaged one."""
    folder = kernel_folder()
    written = folder and _read_whole(folder / name)
    if not folder or not written:
        return None
    _note_use(folder)
    return MachineCode.from_bytes(written)


def keep(name: str, code: MachineCode) -> None:
    """Keep the code in the file, if the disk lets us."""
    folder = kernel_folder()
    if folder is None:
        COMPILATION.lost = "there is no home folder"
        return
    content = code.to_bytes()
    if not os.path.isdir(folder):  # noqa: PTH112  # Path.is_dir raises where it may not look
        remove_unused(folder.parent)
    try:
        write_bytes(folder / name, content + hashlib.sha256(content).digest())
    except ResourceError as error:
        why = getattr(error.__cause__, "strerror", None) or str(error)
        COMPILATION.lost = f"cannot write {folder}: {why.lower()}"


def _read_whole(path: Path) -> bytes | None:
    """What was written, without its digest; None where it is not there, not readable, not ours or damaged."""
    try:
        with path.open("rb") as file:
            if not is_trusted(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    body, digest = content[:-_DIGEST], content[-_DIGEST:]
    return body if hashlib.sha256(body).digest() == digest else None


def is_trusted(file: os.stat_result) -> bool:
    """Whether this user or root owns the file, and not everybody may write it."""
    return file.st_uid in (os.geteuid(), 0) and not file.st_mode & stat.S_IWOTH
