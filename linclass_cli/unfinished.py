"""What a fit that lasts has done so far, on the disk: where it stops, the next one with its key goes on.

A folder ``runs/.unfinished/<key>``, the key a digest of all that decides the result:

    history.jsonl        a line a step or a cell, [part, line]; only ever appended to
    state.safetensors    where the computation goes on behind the last line that counts

The state says how many bytes of the history count, and their sha256: what a killed process has appended
behind them, whole or torn, is cut off. The state has a digest of its own. What does not match is not used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from linclass_cli.atomic import append, discard, make_folder, remove, remove_if_empty, write_bytes
from linclass_cli.claims import runs_folder
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import IntegrityError, LinclassError
from linclass_cli.learn.journal import Journal, Snapshot, State
from linclass_cli.safetensors import dump, parse
from linclass_cli.signals import FINISHED

FORMAT = 1
SECONDS = 2.0  # of work at least between two states: fits that are shorter write nothing
SHARE = 0.05  # of the time, at most, goes into writing
DAYS = 30  # after which what nobody has gone on with may be removed
HISTORY, STATE = "history.jsonl", "state.safetensors"


def unfinished_folder(cache: Path) -> Path:
    """Where all unfinished fits of a cache folder are."""
    return runs_folder(cache) / ".unfinished"


def left_long_ago(cache: Path) -> Iterator[tuple[Path, int]]:
    """The folders of fits that nobody has gone on with for 30 days, and for how many."""
    folder = unfinished_folder(cache)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with suppress(OSError, ValueError):
            days = (time.time() - max(file.stat().st_mtime for file in path.iterdir())) / (24 * 3600)
            if days > DAYS:
                yield path, int(days)


@contextmanager
def kept_journal(
    cache: Path, key: Callable[[], str], unit: str, resume: bool, notice: Callable[[str], None]
) -> Iterator[Kept]:
    """The journal of a fit, with what an earlier process has left; call its ``finish`` when all is done.

    ``key()`` is asked for where there may be something, or something is kept. unit: "steps" or "fits".
    Without ``resume``, what was left is removed.
    """
    journal = Kept(unfinished_folder(cache), key, unit, notice)
    try:
        if journal.root.is_dir():
            journal.take_up(resume)
        yield journal
    finally:
        journal.close()


def fit_key(kind: str, config: dict[str, Any], feature_key: str, files: dict[str, Any]) -> str:
    """The key of a fit. config: its record; files: what those hold that it names.

    The same numbers to the last bit come only from the same code on the same processor.
    """
    from linclass_cli.digest import digest
    from linclass_cli.environment import numerics

    what = {"format": FORMAT, "kind": kind, "config": config, "features": feature_key, "files": files}
    return digest({**what, "numerics": numerics()})[:16]


class Kept(Journal):
    """A journal in a folder, which one process has at a time: another one with the same fit keeps nothing."""

    def __init__(self, root: Path, key: Callable[[], str], unit: str, notice: Callable[[str], None]) -> None:
        self.root, self.unit = root, unit
        self.count = 0  # of the lines that are on the disk
        self._kept = False  # whether a state is
        self._key, self._notice = key, notice
        self._lines: list[tuple[str, dict[str, Any]]] = []
        self._state: tuple[str, State] | None = None
        self._handle: int | None = None
        self._lost = False
        self._size, self._sha256 = 0, hashlib.sha256()
        self._waiting: list[str] = []
        self._began = time.monotonic()
        self._due = self._began + SECONDS

    def lines(self, part: str = "") -> list[dict[str, Any]]:
        return [line for name, line in self._lines if name == part]

    def state(self, part: str = "") -> State | None:
        return self._state[1] if self._state and self._state[0] == part else None

    def keep(self, line: dict[str, Any] | None, snapshot: Snapshot | None, part: str = "") -> None:
        if self._lost:
            return
        if line is not None:
            self._waiting.append(json.dumps([part, line], separators=(",", ":")) + "\n")
        if snapshot is None or time.monotonic() < self._due:
            return
        try:
            if self._own():
                self._write(snapshot(), part)
        except LinclassError as error:
            self._lost = True
            self._notice(f"note: an interrupt would lose this fit: {error}")

    def take_up(self, resume: bool) -> None:
        """Take up what is there, or remove it."""
        if not self.folder.is_dir():
            return
        try:
            if not self._own():
                self._notice("another process is at this very fit: an interrupt would lose this one")
                return
            if resume and (self.folder / STATE).exists():
                self._read()
                done = f": {self.count:,} {self.unit} are done" if self.count else ""
                self._notice(f"going on where a fit stopped{done} (--no-resume starts afresh)")
                return
        except (LinclassError, OSError) as error:
            self._notice(f"starting afresh, what a fit has left here cannot be used: {error}")
        self._clear()

    def left(self) -> str:
        """What an interrupt leaves, in words."""
        if not self._kept:
            return FINISHED
        done = f"{self.count:,} {self.unit} are kept" if self.count else "what was begun is kept"
        return f"{done}; the same command goes on from there"

    def finish(self) -> None:
        """All is done: nothing is left."""
        if self._handle is not None:
            self._clear()
            discard(self.folder)
        remove_if_empty(self.root)  # which a fit may have left that was killed just before it made its own
        self.count, self._kept = 0, False

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    @cached_property
    def folder(self) -> Path:
        return self.root / self._key()

    def _own(self) -> bool:
        """Have the folder, made if need be; False, from then on, where another process has it."""
        if self._handle is None:
            make_folder(self.folder)
            with disk_errors(self.folder):
                handle = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                self._lost = True
                return False
            except OSError:
                pass  # no locks here: two that write the same history spoil it, which its digest notices
            self._handle = handle
        return True

    def _write(self, state: State, part: str) -> None:
        began = time.monotonic()
        content = "".join(self._waiting).encode()
        append(self.folder / HISTORY, self._size, content)
        sha256 = self._sha256.copy()
        sha256.update(content)
        size, count = self._size + len(content), self.count + len(self._waiting)
        about = {
            "part": part,
            "lines": count,
            "bytes": size,
            "sha256": sha256.hexdigest(),
            "seconds": self.seconds + began - self._began,
            "facts": state.facts,
        }
        write_bytes(self.folder / STATE, _seal(state.tensors, about))
        self._size, self._sha256, self.count, self._waiting = size, sha256, count, []
        self._kept = True
        now = time.monotonic()
        self._due = now + max(SECONDS, (now - began) / SHARE)

    def _read(self) -> None:
        path = self.folder / STATE
        tensors, about = _unseal(path.read_bytes(), str(path))
        content = (self.folder / HISTORY).read_bytes()[: about["bytes"]]
        sha256 = hashlib.sha256(content)
        if sha256.hexdigest() != about["sha256"]:
            raise IntegrityError(f"{self.folder / HISTORY} is damaged: its sha256 is another")
        self._lines = [(part, line) for part, line in map(json.loads, content.splitlines())]
        self._state = about["part"], State(tensors, about["facts"])
        self._size, self._sha256, self.count = about["bytes"], sha256, about["lines"]
        self.seconds, self._kept = about["seconds"], True

    def _clear(self) -> None:
        with suppress(OSError):
            remove(self.folder / STATE)  # first: a history alone is nothing that is gone on with
            remove(self.folder / HISTORY)


def _seal(tensors: dict[str, Any], about: dict[str, Any]) -> bytes:
    """A safetensors file with a digest of all that it holds."""
    metadata = {"about": json.dumps(about)}
    return dump(tensors, {**metadata, "digest": hashlib.sha256(dump(tensors, metadata)).hexdigest()})


def _unseal(content: bytes, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, metadata = parse(content, what)
    digest = metadata.pop("digest", "")
    if hashlib.sha256(dump(tensors, metadata)).hexdigest() != digest:
        raise IntegrityError(f"{what} is damaged: its digest does not match")
    # Copies: in a file they are not aligned, and cannot be written to.
    return {name: tensor.copy() for name, tensor in tensors.items()}, json.loads(metadata["about"])
