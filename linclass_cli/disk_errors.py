"""What the system says when a file cannot be written, as one line with the way out."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from linclass_cli.errors import LinclassError, ResourceError
from linclass_cli.temporary import real_path

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_ELSEWHERE = "choose another place by --cache-dir or --out"


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
        if error.errno == errno.ENOMEM:
            raise MemoryError from error
        raise ResourceError(_explain(error, real_path(path), need)) from error


def _explain(error: OSError, path: Path, need: int | None) -> str:
    wants = f" it needs {need / 1e6:.1f} MB;" if need else ""
    if error.errno in _FULL:
        return f"no space left to write {path}:{wants} free some, or {_ELSEWHERE}"
    if error.errno == errno.EFBIG:
        return f"{path} is larger than a file may be here:{wants} `ulimit -f` shows and raises the limit"
    if error.errno in _DENIED:
        why = (error.strerror or str(error)).lower()
        return f"cannot write {path}: {why}; change its permissions, or {_ELSEWHERE}"
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}:
        return (
            f"cannot write {path}: a file stands where a folder is needed, or the other way round; "
            f"move it away, or {_ELSEWHERE}"
        )
    return f"cannot write {path}: {error.strerror or error}"
