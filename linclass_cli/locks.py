"""Locks between processes: who comes second waits, and finds the work done.

A lock saves work and nothing else. Where locks do nothing or are refused (some network file systems),
everybody does the work, under temporary names of their own, and whoever renames last has the file: the same
one. So nothing may rely on a lock for what it writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from linclass_cli.atomic import discard, make_folder, remove, step
from linclass_cli.disk_errors import disk_errors

_AGAIN = 0.1  # seconds between two looks; a wait in the kernel might not hear an interrupt that comes first


def lock_path(path: Path) -> Path:
    """The lock file of whoever makes a file or folder: beside it."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def holding(path: Path, waiting: Callable[[str], None]) -> Iterator[bool]:
    """Hold the lock file ``path`` in the block. Yields False, at once, where locks do not work.

    ``waiting(who)`` is called once where another process has it: "process 4711 on its-host". The kernel drops
    the lock of a process that dies. The file goes with its holder; whoever waited for it notices that it is
    no longer the one of that name, and asks for the one that is.
    """
    make_folder(path.parent)
    handle = _take(path, waiting)
    try:
        yield handle is not None
    finally:
        discard(path)  # before the lock is given up: nobody else can have come to hold it
        if handle is not None:
            os.close(handle)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file; never where locks do not work."""
    with _asked(path) as held:
        return held is True


def remove_unheld(path: Path) -> bool:
    """Remove a lock file that a dead process has left; whether it could be."""
    with _asked(path) as held:
        if held is False:
            remove(path)
        return held is False


@contextlib.contextmanager
def _asked(path: Path) -> Iterator[bool | None]:
    """Whether another process holds the lock file; None where nobody can tell. In the block we hold it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held: bool | None = False if _has_the_name(handle, path) else None
        except BlockingIOError:
            held = True
        except OSError:
            held = None
        yield held
    finally:
        os.close(handle)


def _take(path: Path, waiting: Callable[[str], None]) -> int | None:
    """The handle of the file, locked; None where locks do not work."""
    said = False
    while True:
        with disk_errors(path):
            step("create", path)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        kept = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _has_the_name(handle, path):
                if not is_held(path):  # asked a second time, as if by another: the lock locks nothing
                    return None
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
                kept = True
                return handle
        except BlockingIOError:
            if not said:
                waiting(os.pread(handle, 200, 0).decode(errors="replace") or "another process")
                said = True
            time.sleep(_AGAIN)
        except OSError:
            return None
        finally:
            if not kept:
                os.close(handle)


def _has_the_name(handle: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
