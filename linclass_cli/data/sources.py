"""What a path holds that can be imported: pictures by class, a list of pictures, or arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from linclass_cli.data.folders import Listing, list_folder
from linclass_cli.data.info import Advance
from linclass_cli.data.staging import Staged, Wish, stage_pictures
from linclass_cli.digest import digest
from linclass_cli.errors import InputError, MissingError

_VERSION = 1  # of how pictures are read: a change means that an import must be made anew


class Source(Protocol):
    """Something that rows can be read from."""

    def fingerprint(self, order: list[Any]) -> str:
        """What stands for the files' names, sizes and times, and the order they are imported with."""
        ...

    def stage(self, file: Path, wish: Wish, advance: Advance) -> Staged:
        """All rows, in ``file``. Raises InputError or MissingError for what cannot be used."""
        ...


class Pictures:
    """Picture files with their labels, from a folder or a list; ``what`` names it in messages."""

    def __init__(self, what: str, listing: Listing) -> None:
        self.what, self.listing = what, listing

    def fingerprint(self, order: list[Any]) -> str:
        files = [[one.origin, one.label, one.part, *_state(one.path)] for one in self.listing.items]
        return digest([_VERSION, order, files, self.listing.bad, self.listing.ignored])

    def stage(self, file: Path, wish: Wish, advance: Advance) -> Staged:
        return stage_pictures(self.listing, wish, file, self.what, advance)


def find_source(path: Path) -> Source:
    """What is at a path.

    Raises:
        MissingError: there is nothing.
        InputError: it is of no kind that can be imported.
    """
    if not path.exists():
        raise MissingError(f"there is no file or folder {path}; give the path of what is to be imported")
    if path.is_dir():
        return Pictures(str(path), list_folder(path))
    raise InputError(f"{path}: expected a folder of pictures by class")


def _state(path: Path) -> list[int]:
    """Size and time of change; what is not there has none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
