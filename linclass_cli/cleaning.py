"""What can go from the cache folder without a loss: found first, shown, and removed only when asked to.

- temporary files and folders that a killed process left behind (`temporary` tells whose they were), and
  its lock files;
- what an extraction that was stopped has finished: `extract` would go on from there;
- what a fit that was stopped has done, where nobody has gone on with it for 30 days;
- feature files that are damaged, or whose dataset is gone or another by now: `extract` makes them again;
- parts of downloads whose dataset is there.

Datasets and runs are never touched, nor is a file that linclass has not named.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from linclass_cli.atomic import discard, remove
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import IntegrityError, LinclassError, MissingError
from linclass_cli.locks import is_held, lock_path, remove_unheld
from linclass_cli.partial import blocks
from linclass_cli.store import list_features, open_features
from linclass_cli.temporary import is_temporary, why_left_over
from linclass_cli.unfinished import left_long_ago

_FEATURES = re.compile(r".+-[0-9a-f]{12}\.h5")
_LOCK = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9._+-]*\.lock")
_PARTIAL = re.compile(r"\.(.+-[0-9a-f]{12}\.h5)\.partial")
_PART = re.compile(r"(.+?)-[^/]*\.part(\.json)?")


@dataclass(frozen=True)
class Rubbish:
    """Something that can go; ``stamp`` tells if it has changed since it was found.

    kind: temporary, lock, extraction, fit, download or features.
    """

    kind: str
    path: Path
    bytes: int
    why: str
    stamp: tuple[int, int]


def find_rubbish(cache: Path) -> list[Rubbish]:
    """What can go. Reads every byte of the feature files; removes nothing."""
    return [*find_leftovers(cache), *_features(cache)]


def find_leftovers(cache: Path) -> list[Rubbish]:
    """What commands that were stopped have left."""
    return [*_temporaries(cache), *_locks(cache), *_partial(cache), *_fits(cache), *_parts(cache)]


def remove_rubbish(found: Rubbish) -> bool:
    """Remove it, unless it has changed since it was found. Raises ResourceError where that is forbidden."""
    with disk_errors(found.path), contextlib.suppress(FileNotFoundError):
        if _stamp(found.path) != found.stamp:
            return False
        if found.kind == "lock":
            return remove_unheld(found.path)
        if found.kind == "extraction":
            discard(found.path)  # which may go on just now
        else:
            remove(found.path)
        return True
    return False


def _temporaries(cache: Path) -> Iterator[Rubbish]:
    for place in ("datasets", "features", "runs"):
        for folder, folders, files in os.walk(cache / place):
            for name in sorted([*folders, *files]):
                why = why_left_over(Path(folder) / name)
                if why:
                    yield from _rubbish("temporary", Path(folder) / name, why)
            folders[:] = [name for name in folders if not is_temporary(name)]


def _locks(cache: Path) -> Iterator[Rubbish]:
    for place in ("datasets", "features"):
        for path in _inside(cache / place):
            if _LOCK.fullmatch(path.name) and not is_held(path):
                yield from _rubbish("lock", path, "the process that held it is gone")


def _partial(cache: Path) -> Iterator[Rubbish]:
    for path in _inside(cache / "features"):
        match = _PARTIAL.fullmatch(path.name)
        if not match or is_held(lock_path(path.with_name(match[1]))):
            continue
        rows = sum(stop - start for _, start, stop, _ in blocks(path))
        there = path.with_name(match[1]).is_file()
        after = "which is there now" if there else "which would go on from there"
        yield from _rubbish("extraction", path, f"{rows:,} finished images of an extraction, {after}")


def _fits(cache: Path) -> Iterator[Rubbish]:
    for path, days in left_long_ago(cache):
        yield from _rubbish("fit", path, f"a fit that was stopped {days} days ago, and could still go on")


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _parts(cache: Path) -> Iterator[Rubbish]:
    folder = cache / "datasets" / ".downloads"
    for path in _inside(folder):
        match = _PART.fullmatch(path.name)
        with contextlib.suppress(LinclassError):
            if match and describe_dataset(match[1], cache):
                yield from _rubbish("download", path, f"{match[1]} is there")


def _features(cache: Path) -> Iterator[Rubbish]:
    for path, header in list_features(cache):
        if not _FEATURES.fullmatch(path.name):
            continue
        try:
            open_features(path)
        except IntegrityError:
            yield from _rubbish("features", path, "it is damaged")
            continue
        except LinclassError:
            continue
        dataset = header["meta"]["dataset"] if header else {}
        try:
            if describe_dataset(dataset["name"], cache).digest != dataset["digest"]:
                yield from _rubbish(
                    "features", path, f"its dataset, {dataset['name']}, is another one by now"
                )
        except MissingError:
            yield from _rubbish("features", path, f"its dataset, {dataset['name']}, is gone")
        except (LinclassError, KeyError, TypeError):
            continue


def _rubbish(kind: str, path: Path, why: str) -> Iterator[Rubbish]:
    with contextlib.suppress(FileNotFoundError):  # another process cleans, too
        yield Rubbish(kind, path, _size(path), why, _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    about = path.lstat()
    return about.st_ino, about.st_mtime_ns


def _size(path: Path) -> int:
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(_size(inner) for inner in path.iterdir())
