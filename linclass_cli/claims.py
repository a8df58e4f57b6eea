"""The names of runs: where they are kept, what may be one, and that no two processes ever have the same."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from linclass_cli.atomic import make_folder, new_folder, remove_if_empty
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import InputError
from linclass_cli.names import check_portable
from linclass_cli.temporary import UNTOUCHED_SECONDS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def runs_folder(cache: Path) -> Path:
    return cache / "runs"


def check_name(name: str) -> None:
    """Raise InputError for a name that could not be a folder's everywhere, or would reach outside."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name[:40]!r} is no name for a run: 1 to 100 letters, digits, dots, dashes and underscores, "
            "the first a letter or digit"
        )


@contextlib.contextmanager
def claim(cache: Path, name: str | None) -> Iterator[str]:
    """Reserve a run's name, ``run1``, ``run2``, … when none is given, until the block ends.

    Two processes never hold the same name. When the block ends without a record under the name, the name is
    free again. Raises InputError when the given name is taken.
    """
    folder = runs_folder(cache)
    make_folder(folder)
    _free_abandoned(folder)
    made = True
    if name is None:
        claimed = _claim_next(folder)
    else:
        check_name(name)
        check_portable(name, "run")
        claimed = name
        with disk_errors(folder / name):
            try:
                new_folder(folder / name)
            except FileExistsError:
                made = False
    lock = _own(folder / claimed, made)
    if lock is None:
        raise InputError(
            f"a run named {claimed} is there already, or under way ({folder / claimed}); "
            "choose another --name, or leave it out for the next free one"
        )
    try:
        yield claimed
    finally:
        os.close(lock)
        remove_if_empty(folder / claimed)  # it is not, once the record is there


def _own(path: Path, made: bool = False) -> int | None:
    """Lock an empty folder that nobody else has; None where somebody has, or a record is there.

    A process that was killed leaves an empty folder without a lock: the next to ask for the name gets it.
    Where locks are refused, a dead owner cannot be told from a living one: only who has ``made`` the folder
    may go on.
    """
    handle = None
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, BlockingIOError) or not made:
                raise
        # Between opening and locking a finished record may have taken the folder's place.
        same = path.stat().st_ino == os.fstat(handle).st_ino
        if same and not any(path.iterdir()):
            return handle
    if handle is not None:
        os.close(handle)
    return None


def _free_abandoned(folder: Path) -> None:
    """Remove what killed processes have claimed: empty folders without a lock.

    Not those of today: where locks do not work, a living process may have them.
    """
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if (path / "run.json").exists() or time.time() - path.stat().st_mtime < UNTOUCHED_SECONDS:
                continue
            lock = _own(path)
            if lock is not None:
                remove_if_empty(path)
                os.close(lock)


def _claim_next(folder: Path) -> str:
    taken = (re.fullmatch(r"run(\d{1,15})", path.name) for path in folder.iterdir())
    number = 1 + max((int(match[1]) for match in taken if match), default=0)
    while True:
        with disk_errors(folder):
            try:
                new_folder(folder / f"run{number}")
            except FileExistsError:
                number += 1
            else:
                return f"run{number}"
