"""Files that are files: a FIFO would be waited for, a device never end, and neither is what anybody means.

``/dev/null`` ends at once, and is how people say that there is nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


class Irregular(OSError):
    """What is there is no regular file, or larger than any that is meant; ``strerror`` says which."""


def check_regular(path: Path | str) -> None:
    """Raise :class:`Irregular` unless a path leads to a regular file; ``OSError`` where it leads nowhere."""
    _check(path, os.stat(path))  # noqa: PTH116  # paths may be texts


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file to read. Raises :class:`Irregular` for anything else, and ``OSError``."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(path, os.fstat(handle))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path | str, most: int) -> bytes:
    """A regular file's bytes, ``most`` of them or fewer. Raises as :func:`open_regular`."""
    with open_regular(path) as file:
        # Room for what is there: read(most) would take room for as much as there may be.
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, most) + 1)
    if max(size, len(content)) > most:
        raise Irregular(errno.EFBIG, f"it is larger than {most:,} bytes", path)
    return content


def _check(path: Path | str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) and os.fspath(path) != os.devnull:
        raise Irregular(errno.EINVAL, "it is no regular file", path)
