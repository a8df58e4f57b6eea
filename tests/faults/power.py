"""What a disk may hold after the power has gone: a command's steps, replayed without what was not flushed.

The rules are those that POSIX leaves to a file system, not those of a kind one: the bytes of a file are there
as of its last flush; a name (made, changed or removed) is certainly as it should be once its folder has been
flushed, and before that each change of a name may have reached the disk or not, in any order.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.forge import Tree

ROOT = 0
Entry = tuple[int, str]  # the number of a folder, and a name in it


@dataclass
class Change:
    """A change of names at a step: "link" gives ``entry`` to the file or folder of a number.

    ``certain``: the step that flushes its folder; None: there is none.
    """

    at: int
    what: str
    entry: Entry
    target: Entry | None = None
    number: int = -1
    certain: int | None = None


@dataclass
class Record:
    """What a command has done to a disk: changes of names, and the bytes of files as of each flush.

    Files and folders have numbers; ``names`` is what there was before the first step.
    """

    names: dict[Entry, int]
    bytes: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    folders: set[int] = field(default_factory=lambda: {ROOT})
    changes: list[Change] = field(default_factory=list)
    steps: int = 0


def record(before: Tree, folder: Path, steps: list[list[Any]], flushes: bool = True) -> Record:
    """From the steps of a command in a folder. Without ``flushes`` no file is flushed."""
    made = Record({}, steps=len(steps))
    now: dict[Entry, int] = made.names
    count = ROOT

    def find(path: Path) -> int | None:
        number: int | None = ROOT
        for part in path.parts:
            number = None if number is None else now.get((number, part))
        return number

    def entry(path: Path) -> Entry:
        parent = find(path.parent)
        assert parent is not None, path
        return parent, path.name

    def make(is_folder: bool) -> int:
        nonlocal count
        count += 1
        if is_folder:
            made.folders.add(count)
        return count

    for name, content in before.items():
        number = make(content is None)
        now[entry(Path(name))] = number
        if content is not None:
            made.bytes[number] = [(-1, content)]
    now = dict(made.names)

    def change(at: int, what: str, *entries: Entry, number: int = -1) -> None:
        made.changes.append(Change(at, what, *entries, number=number))
        apply(now, made.changes[-1])

    for at, (what, *given, content) in enumerate(steps):
        if not (folder / given[0]).is_relative_to(folder):
            continue
        path, target = ((folder / one).relative_to(folder) if one else None for one in given)
        there = find(path)
        if what in ("create", "allocate", "write", "folder") and there is None:
            change(at, "link", entry(path), number=make(what == "folder"))
        elif what in ("rename", "exchange"):
            change(at, what, entry(path), entry(target))
        elif what == "remove":
            for one in content:
                inner = (folder / one).relative_to(folder)
                if find(inner) is not None:
                    change(at, "unlink", entry(inner))
        elif what == "flush" and there in made.folders:
            for one in made.changes:
                if one.certain is None and one.entry[0] == there:
                    one.certain = at
        elif what == "flush" and flushes:
            made.bytes.setdefault(there, []).append((at, base64.b64decode(content)))
    return made


def apply(names: dict[Entry, int], change: Change) -> None:
    """Make a change of names; nothing where what it changes is not there."""
    if change.what == "link":
        names[change.entry] = change.number
    elif change.what == "unlink":
        names.pop(change.entry, None)
    elif change.what == "rename" and change.entry in names:
        names[change.target] = names.pop(change.entry)
    elif change.what == "exchange" and change.entry in names and change.target in names:
        names[change.entry], names[change.target] = names[change.target], names[change.entry]


def outage(record: Record, end: int, survives: Callable[[], bool] = lambda: False) -> Tree:
    """What is there when the power goes before step ``end``; of what is not certain, what ``survives``."""
    names = dict(record.names)
    for change in record.changes:
        certain = change.certain is not None and change.certain < end
        if change.at < end and (certain or survives()):
            apply(names, change)
    return dict(_walk(record, names, ROOT, Path(), end))


def outages(record: Record, seed: int) -> Iterator[Tree]:
    """The different states that the disk may be in when the power goes before a step, or behind the last.

    At each of them: with none of the changes of names that are not certain, with all, and with some.
    """
    rng = np.random.default_rng(seed)
    seen = set()
    for end in range(record.steps + 1):
        for share in (0.0, 1.0, 0.5, 0.5):
            state = outage(record, end, lambda share=share: rng.random() < share)
            key = frozenset(state.items())
            if key not in seen:
                seen.add(key)
                yield state


def _walk(
    record: Record, names: dict[Entry, int], folder: int, path: Path, end: int
) -> Iterator[tuple[str, bytes | None]]:
    for (parent, name), number in names.items():
        if parent == folder and number in record.folders:
            yield str(path / name), None
            yield from _walk(record, names, number, path / name, end)
        elif parent == folder:
            flushed = [content for at, content in record.bytes.get(number, []) if at < end]
            yield str(path / name), flushed[-1] if flushed else b""


def lay_out(state: Tree, folder: Path) -> None:
    """Write such a state into a new folder."""
    for name, content in sorted(state.items()):
        if content is None:
            (folder / name).mkdir(parents=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
