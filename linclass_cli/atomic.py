"""The one write path: a file is complete under its name, or it is not there.

Everything goes to a unique temporary name in the same folder, is flushed to the disk and renamed over the
target; then the folder is flushed. A kill or a power cut at any moment leaves the old file, the new one, or
nothing, and perhaps a temporary file (`temporary` names them), which the next process that writes into the
folder removes.

Every change of the disk is announced by `step`, so that tests can end the program, or fail, at each of them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import InputError
from linclass_cli.temporary import left_over, make_name

_ZEROS = 8 << 20  # bytes written at a time
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

# Called with the kind of step, the path, and where that goes in a rename or an exchange; for tests.
observers: list[Callable[[str, Path, Path | None], None]] = []


def step(what: str, path: Path, target: Path | None = None) -> None:
    """Announce a change of the disk that is about to be made.

    ``what``: create, allocate, write, flush, rename, exchange, folder or remove.
    """
    for observer in observers:
        observer(what, path, target)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, durably; one that is there already is fine."""
    with disk_errors(path):
        if path.is_dir():
            return
        if path.parent != path:
            make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            new_folder(path)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        flush(path.parent)


def new_folder(path: Path) -> None:
    """Create a folder; ``FileExistsError`` where there is one: of several processes one makes it."""
    step("folder", path)
    path.mkdir()


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that no other process has; what dead ones left in the folder is removed."""
    _sweep(path.parent.absolute())
    return make_name(path)


@functools.cache
def _sweep(folder: Path) -> None:
    """Once a process and folder."""
    for path in left_over(folder):
        discard(path)


def flush(path: Path) -> None:
    """Push a file, or a folder's list of names, to the disk."""
    step("flush", path)
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # one that may be written and not read
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot flush a folder: names are durable there, or not, without us.
        if not (error.errno in _UNSUPPORTED and stat.S_ISDIR(os.fstat(handle).st_mode)):
            raise
    finally:
        os.close(handle)


def rename(path: Path, target: Path) -> None:
    """Give a file or folder another name, in the place of what had it."""
    step("rename", path, target)
    path.replace(target)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; what is not there is fine. Raises ``OSError``."""
    step("remove", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """As :func:`remove`, as far as that is possible: what stays is for the next to sweep."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            step("remove", path)
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            remove(path)


def remove_if_empty(path: Path) -> None:
    """Remove a folder in which there is nothing."""
    with contextlib.suppress(OSError):
        if not any(path.iterdir()):
            step("remove", path)
            path.rmdir()


@contextlib.contextmanager
def replacing(path: Path, need: int | None = None) -> Iterator[Path]:
    """Yield a temporary name; when the block ends well, what was written there becomes ``path``.

    When the block raises, the temporary file is removed and ``path`` stays as it was. Raises InputError where
    ``path`` is a device or a pipe.
    """
    make_folder(path.parent)
    with disk_errors(path, need):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file but a device or a pipe, which cannot be replaced")
    temporary = temporary_name(path)
    try:
        with disk_errors(path, need):
            yield temporary
            flush(temporary)
            rename(temporary, path)
            flush(path.parent)
    finally:
        discard(temporary)


def allocate(path: Path, size: int) -> None:
    """Take ``size`` bytes of the disk for a file, created if need be. Raises ResourceError.

    Who writes through a memory map must: a full disk would end the process there.
    """
    with disk_errors(path, size):
        step("allocate", path)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _allocate(handle, size)
        finally:
            os.close(handle)


def _allocate(handle: int, size: int) -> None:
    held = os.fstat(handle).st_size
    if size <= held:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    for start in range(held, size, _ZEROS):
        block = bytes(min(_ZEROS, size - start))
        if os.pwrite(handle, block, start) < len(block):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def new_file(path: Path, size: int = 0) -> Iterator[Callable[[bytes | memoryview], None]]:
    """Create a file, which must not exist, and yield what writes to it; ``size``: bytes to take before."""
    step("create", path)
    with path.open("xb") as file:
        if size:
            step("allocate", path)
            _allocate(file.fileno(), size)

        def write(content: bytes | memoryview) -> None:
            step("write", path)
            file.write(content)

        yield write
        file.truncate()


@contextlib.contextmanager
def filling(path: Path) -> Iterator[Callable[[Any, int], None]]:
    """Yield ``write(content, at)``, which fills a file that has its length already, and no name."""
    with path.open("r+b", buffering=0) as file:

        def write(content: Any, at: int) -> None:
            left = memoryview(content).cast("B")
            while len(left):
                done = os.pwrite(file.fileno(), left, at)
                left, at = left[done:], at + done

        yield write


def append(path: Path, at: int, content: bytes) -> None:
    """Write behind the first ``at`` bytes of a file, created if need be, and flush it; what was there goes.

    A kill leaves some of the content: whoever reads the file knows how much of it counts.
    """
    make_folder(path.parent)
    with disk_errors(path, len(content)):
        step("write", path)
        with path.open("r+b" if path.exists() else "xb") as file:
            file.truncate(at)
            file.seek(at)
            file.write(content)
        flush(path)


def write_new(path: Path, content: bytes) -> None:
    """Write a file into a folder that has only a temporary name yet."""
    with disk_errors(path, len(content)), new_file(path, len(content)) as write:
        write(content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path, len(content)) as temporary, new_file(temporary, len(content)) as write:
        write(content)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically; NaN and infinities are refused (``ValueError``)."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())
