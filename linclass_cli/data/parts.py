"""The bytes of a transfer that is not done: ``<name>.part``, and ``<name>.part.json`` beside it.

The notes keep the address and its validator (ETag or Last-Modified), so that a later run goes on where this
one stopped. A part is what no other file here is: half, under a name of its own, and never used before its
sha256, or that of every member in it, has been compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from linclass_cli.atomic import make_folder, remove, step, temporary_name
from linclass_cli.disk_errors import disk_errors
from linclass_cli.locks import is_held
from linclass_cli.regular import read_regular


def notes_path(part: Path) -> Path:
    """Where the address and the validator of a part are kept."""
    return part.with_name(part.name + ".json")


def part_size(part: Path) -> int:
    """The bytes of a part that are there already; 0 without a part."""
    try:
        return part.stat().st_size
    except OSError:
        return 0


def remove_part(part: Path) -> None:
    """Remove a part and its notes, if they are there: the part last, for who removes parts finds it then."""
    for path in (notes_path(part), part):
        with disk_errors(path):
            remove(path)


def remove_unused_parts(folder: Path, pattern: str) -> None:
    """Remove the parts whose names match and that no process is writing."""
    for part in sorted(folder.glob(pattern)):
        with own_part(part) as own:
            if own == part:
                remove_part(part)


@contextlib.contextmanager
def own_part(part: Path) -> Iterator[Path]:
    """Yield ``part`` under an advisory lock, or a name of our own while another process writes ``part``.

    Where locks do not work (some network file systems), it is a name of our own, too.
    """
    make_folder(part.parent)
    with disk_errors(part):
        step("create", part)
        lock = part.open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the other process may have finished and removed the file between our opening and locking it
            mine = os.fstat(lock.fileno()).st_ino == part.stat().st_ino and is_held(part)
        except OSError:
            mine = False
        if mine:
            try:
                yield part
            finally:
                if part_size(part) == 0:
                    remove_part(part)
            return
        own = temporary_name(part)
        try:
            yield own
        finally:
            remove_part(own)


def open_part(part: Path) -> BinaryIO:
    """Open a part to write on; one that is not there is created."""
    step("create", part)
    return part.open("r+b" if part.exists() else "xb")


def start_over(part: Path) -> None:
    """Empty the part (not remove it: its lock must stay) and forget where it came from."""
    with disk_errors(part):
        if part.exists():
            step("write", part)
            os.truncate(part, 0)
        remove(notes_path(part))


def read_notes(part: Path) -> dict[str, str]:
    """The notes beside a part; empty when there are none that can be read."""
    try:
        notes = json.loads(read_regular(notes_path(part), 100_000))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(notes, dict):
        return {}
    return {key: text for key, text in notes.items() if isinstance(text, str)}


def resumes_elsewhere(part: Path, address: str) -> bool:
    """Whether there are bytes of a part that did not come from this address."""
    return part_size(part) > 0 and read_notes(part).get("address") != address
