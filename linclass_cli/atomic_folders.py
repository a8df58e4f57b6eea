"""As `atomic`, for folders of files: all of them appear at once, or none."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from linclass_cli.atomic import discard, flush, make_folder, new_folder, rename, step, temporary_name
from linclass_cli.disk_errors import disk_errors

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_MEANWHILE, _TRIES = {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}, 100
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As `atomic.replacing`, for a folder. ``path`` must not exist, or be an empty folder."""
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
            new_folder(temporary)
            yield temporary
    finally:
        discard(temporary)


def place_folder(temporary: Path, path: Path, over: bool = False) -> None:
    """Flush a folder's files, and give it the name ``path``.

    ``over``: what has the name gets the temporary one, at once where the system can do that. Elsewhere it
    steps aside first, so a kill in between leaves none of that name, never half of one.
    """
    with disk_errors(path):
        for file in temporary.iterdir():
            flush(file)
        flush(temporary)
        if over:
            _take_place(temporary, path)
        else:
            rename(temporary, path)
        flush(path.parent)


def _take_place(temporary: Path, path: Path) -> None:
    """Give a folder the name, whatever others put there, or take away, while this is going on."""
    for tries in range(_TRIES):
        try:
            if path.exists():
                _exchange(temporary, path)
            else:
                rename(temporary, path)
            return
        except OSError as error:
            if error.errno not in _MEANWHILE or tries == _TRIES - 1:
                raise


def leave_name(path: Path) -> None:
    """Remove a folder, in one step: a kill leaves it whole, or what is left of it under a temporary name."""
    with disk_errors(path):
        leaving = temporary_name(path)
        rename(path, leaving)
        try:
            flush(path.parent)
        except OSError:
            rename(leaving, path)
            raise
    discard(leaving)


def _exchange(one: Path, other: Path) -> None:
    """Give two folders the names of each other."""
    step("exchange", one, other)
    if _exchange_at_once(one, other):
        return
    aside = temporary_name(other)
    rename(other, aside)
    try:
        rename(one, other)
    except OSError:
        rename(aside, other)
        raise
    rename(aside, one)


def _exchange_at_once(one: Path, other: Path) -> bool:
    """Whether the system could; Python does not know the call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNSUPPORTED:
        return False
    raise OSError(error, os.strerror(error), str(other))
