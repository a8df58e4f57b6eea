"""The names of temporary files and folders, and whether the process that made one is gone.

``.NAME.PID-PLACE-START-RANDOM.tmp``: the name-to-be, the process, where its number means something (a digest
of machine, boot and namespace of processes), when it began (clock ticks after the boot) and a random part.
So a file that a killed process left can be told from one that a living process writes: on this machine, in
another container, or on another machine that shares the folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

UNTOUCHED_SECONDS = 24 * 3600  # after which even a stranger's file is given up

_LONGEST = 80  # bytes of the name-to-be; a file's name has at most 255 on most systems
_NAME = re.compile(
    r"\.(?P<name>.+)\.(?P<process>\d+)-(?P<place>[0-9a-f]{8})-(?P<start>[0-9a-f]+)-[0-9a-f]{8}\.tmp(\.json)?",
    re.DOTALL,
)


def make_name(path: Path) -> Path:
    """A name beside ``path`` that nobody else has."""
    process = os.getpid()
    name = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    tail = f"{process}-{_place()}-{_start(process) or 0:x}-{secrets.token_hex(4)}"
    return path.with_name(f".{name}.{tail}.tmp")


def real_path(path: Path) -> Path:
    """What the file is to become: the path up to its first temporary name, which is made a plain one."""
    for number, part in enumerate(path.parts):
        match = _NAME.fullmatch(part)
        if match:
            return Path(*path.parts[:number], match["name"])
    return path


def is_temporary(name: str) -> bool:
    """Whether the name is one that :func:`make_name` makes."""
    return _NAME.fullmatch(name) is not None


def why_left_over(path: Path) -> str:
    """Why a temporary file is nobody's any more; empty where it is somebody's, or no temporary file."""
    match = _NAME.fullmatch(path.name)
    if not match:
        return ""
    if match["place"] == _place():
        alive = _is_alive(int(match["process"]), int(match["start"], 16))
        return "" if alive else f"process {match['process']}, which wrote it, is gone"
    with contextlib.suppress(OSError):
        if time.time() - max(_times(path)) > UNTOUCHED_SECONDS:
            return "another machine or container wrote it, and nothing has changed in it for a day"
    return ""


def left_over(folder: Path) -> Iterator[Path]:
    """The temporary files and folders in a folder whose processes are gone."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and why_left_over(Path(entry.path)):
                yield Path(entry.path)


@functools.cache
def _place() -> str:
    """Where the numbers of processes are the same as here."""
    known = [os.uname().nodename]
    with contextlib.suppress(OSError):
        known.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(repr(known).encode()).hexdigest()[:8]


def _start(process: int) -> int | None:
    """When a process began, in clock ticks after the boot; None where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Behind the program's name, which may hold anything, the 20th of the numbers.
        return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19])
    return None


def _is_alive(process: int, start: int) -> bool:
    """Whether the process of that number is there, and is the one that began then."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's
    return _start(process) in (None, start)


def _times(path: Path) -> Iterator[float]:
    """When a file, or a folder or anything in it, was changed last."""
    yield path.lstat().st_mtime
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            yield from _times(inner)
