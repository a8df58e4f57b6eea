"""The one write path: a file is complete under its name, or it is not there.

Everything goes to a unique temporary name in the same folder, is flushed to the disk and renamed over the
target; then the folder is flushed. A kill at any moment leaves the old file, the new one, or nothing (and
perhaps a temporary file, whose name begins with a dot and ends in ``.tmp``).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linclass_cli.errors import LinclassError, ResourceError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ZEROS = 8 << 20  # bytes written at a time
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def disk_errors(path: Path, need: int | None = None) -> Iterator[None]:
    """Turn an ``OSError`` met while writing ``path`` into a one-line :class:`ResourceError`.

    ``need`` is the number of bytes that the file wants, where it is known.
    """
    try:
        yield
    except LinclassError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            wants = f" it needs {need / 1e6:.1f} MB;" if need else ""
            raise ResourceError(
                f"no space left to write {path}:{wants} free some, or choose another folder with --cache-dir"
            ) from error
        if error.errno in _DENIED:
            raise ResourceError(
                f"cannot write {path}: {(error.strerror or str(error)).lower()}; "
                "change its permissions, or choose another folder with --cache-dir"
            ) from error
        if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
            raise ResourceError(
                f"cannot write {path}: a file stands where a folder is needed, or the other way round; "
                "move it away, or choose another folder with --cache-dir"
            ) from error
        raise ResourceError(f"cannot write {path}: {error.strerror or error}") from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents; one that is there already is fine."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def temporary_name(path: Path) -> Path:
    """A name beside ``path`` that no other process has."""
    return path.with_name(f".{path.name[:80]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def flush(path: Path) -> None:
    """Push a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def replacing(path: Path, need: int | None = None) -> Iterator[Path]:
    """Yield a temporary name; when the block ends well, what was written there becomes ``path``.

    When the block raises, the temporary file is removed and ``path`` stays as it was.
    """
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        with disk_errors(path, need):
            yield temporary
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def allocate(path: Path, size: int) -> None:
    """Take ``size`` bytes of the disk for a file, created if need be; ``OSError`` where they are not there.

    Who writes through a memory map must: a full disk would end the process there.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if hasattr(os, "posix_fallocate"):
            if size:
                os.posix_fallocate(handle, 0, size)
        else:
            held = os.fstat(handle).st_size
            for start in range(held, size, _ZEROS):
                os.pwrite(handle, bytes(min(_ZEROS, size - start)), start)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with replacing(path, len(content)) as temporary, temporary.open("xb") as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON atomically; NaN and infinities are refused (``ValueError``)."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As :func:`replacing`, for a folder of files: all of them appear at once, under ``path``.

    ``path`` must not exist, or be an empty folder.
    """
    with scratch_folder(path) as temporary:
        yield temporary
        place_folder(temporary, path)


@contextlib.contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder under a temporary name beside ``path``; what is still there at the end is removed."""
    make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        with disk_errors(path):
            temporary.mkdir()
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def place_folder(temporary: Path, path: Path, over: bool = False) -> None:
    """Flush a folder's files, and give it the name ``path``.

    ``over``: a folder that has the name is removed. It steps aside first, so a kill in between leaves none of
    that name, never half of one.
    """
    with disk_errors(path):
        for file in temporary.iterdir():
            flush(file)
        flush(temporary)
        aside = temporary_name(path)
        if over and path.exists():
            path.replace(aside)
        temporary.replace(path)
        flush(path.parent)
    shutil.rmtree(aside, ignore_errors=True)
