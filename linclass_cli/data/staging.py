"""Everything that is imported, first as it comes: rows in one file, with a label and perhaps a part each.

The split can only be made when all rows are known. So they wait on the disk, not in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.folders import Item, Listing
from linclass_cli.data.imported import mapped, require_rows
from linclass_cli.data.info import Advance
from linclass_cli.data.pictures import Frame, Look, look_at, read_picture
from linclass_cli.errors import InputError, MissingError
from linclass_cli.threads import Spans, in_chunks

OWN_SIDE = 128  # pictures that all have one size keep it up to this
DEFAULT_SIDE = 64
_FEW = 5


@dataclass
class Staged:
    """Rows u8 (n, h, w, c) or f32 (n, d); of each its label, its part (empty: not known), what it is called.

    ``skipped``: (origin, reason); ``ignored``: files that are no pictures; ``fit``: how pictures were cut.
    """

    rows: NDArray[Any]
    labels: list[str]
    parts: list[str]
    origins: list[str]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    fit: str = "crop"


@dataclass(frozen=True)
class Wish:
    """What pictures are to become: (height, width) or None, and ``auto``, ``grey`` or ``rgb``."""

    size: tuple[int, int] | None = None
    fit: str = "crop"
    color: str = "auto"
    skip_bad: bool = False


def stage_pictures(listing: Listing, wish: Wish, file: Path, what: str, advance: Advance) -> Staged:
    """Bring the pictures of a listing to one size, in ``file``.

    Raises InputError (MissingError, where they are not there) for pictures that cannot be read, unless the
    wish is to skip them.
    """
    bad, ignored, missing = dict(listing.bad), list(listing.ignored), False
    looks: list[Look | None] = [None] * len(listing.items)
    known: dict[Look, Look] = {}  # most look alike: one of each is held

    def attempt(index: int, read: Callable[[Item], None]) -> None:
        nonlocal missing
        item = listing.items[index]
        try:
            read(item)
        except (InputError, MissingError) as error:
            if not item.sure and "no picture" in str(error):
                ignored.append(item.origin)
                return
            bad[item.origin] = str(error)
            missing = missing or isinstance(error, MissingError)

    def look(index: int) -> None:
        def read(item: Item) -> None:
            found = look_at(item.path)
            looks[index] = known.setdefault(found, found)

        attempt(index, read)

    def complain() -> None:
        if bad and not wish.skip_bad:
            raise (MissingError if missing else InputError)(_unreadable(bad, len(listing.items), what))

    _all(len(listing.items), look, "looking at the pictures", advance)
    seen = [index for index, one in enumerate(looks) if one is not None]
    if not seen:
        complain()
        raise InputError(f"{what}: none of its {len(listing.items)} files is a picture that can be read")
    frame = _frame([one for one in looks if one is not None], wish)
    require_rows(len(seen), math.prod(frame.shape))
    rows = mapped(file, (len(seen), *frame.shape), np.dtype(np.uint8))
    done = np.zeros(len(seen), np.bool_)

    def decode(place: int) -> None:
        def read(item: Item) -> None:
            rows[place] = read_picture(item.path, frame)
            done[place] = True

        attempt(seen[place], read)

    _all(len(seen), decode, "reading the pictures", advance)
    complain()
    for new, old in enumerate(np.flatnonzero(done)):  # close up the rows; most often none moves
        if new != old:
            rows[new] = rows[old]
    items = [listing.items[seen[place]] for place in np.flatnonzero(done)]
    lost = sorted(listing.classes - {item.label for item in items})
    if lost:
        raise InputError(
            f"{what}: no picture of class {lost[0]!r} can be read; mend one, or take the class out"
        )
    return Staged(
        rows[: len(items)],
        [item.label for item in items],
        [item.part for item in items],
        [item.origin for item in items],
        sorted(bad.items()),
        sorted(ignored),
        wish.fit,
    )


def _all(n: int, each: Callable[[int], None], what: str, advance: Advance) -> None:
    """Call ``each`` with 0 to n-1, in threads, and say how far it is."""
    lock, count = Lock(), 0

    def work(spans: Spans) -> None:
        nonlocal count
        for start, _ in spans:
            each(start)
            with lock:
                count += 1
                advance(what, count, n)

    in_chunks(work, n)


def _frame(looks: list[Look], wish: Wish) -> Frame:
    sizes = {(look.height, look.width) for look in looks}
    (height, width), *others = sorted(sizes)
    if wish.size is not None:
        height, width = wish.size
    elif others or max(height, width) > OWN_SIDE:
        height = width = DEFAULT_SIDE
    grey = wish.color == "grey" or (wish.color == "auto" and all(look.grey for look in looks))
    return Frame(height, width, 1 if grey else 3, wish.fit)


def _unreadable(bad: dict[str, str], n: int, what: str) -> str:
    named = ", ".join(f"{origin} ({reason})" for origin, reason in sorted(bad.items())[:_FEW])
    more = f" and {len(bad) - _FEW} more" if len(bad) > _FEW else ""
    return (
        f"{what}: {len(bad)} of {n} pictures cannot be read: {named}{more}; mend or remove them, or leave "
        "them out with --on-bad-image skip"
    )
