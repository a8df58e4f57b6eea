"""Damaged datasets: known ones are fetched again; in small files of imported ones a flipped bit is found."""

from __future__ import annotations

import json
import re
from pathlib import Path

from linclass_cli.data.fetch import download
from linclass_cli.data.info import MANIFEST, dataset_folder
from linclass_cli.data.own import (
    Description,
    damaged_files,
    import_command,
    parse_description,
    read_own,
)
from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import IntegrityError
from linclass_cli.mending.bits import mend_bit
from linclass_cli.mending.plan import Act, Wish, matches

_SOURCE = re.compile(rb'"source": ("(?:[^"\\]|\\.)*")')


def plan(name: str, cache: Path, wish: Wish) -> tuple[str, Act | None]:
    """What will be done, and what does it; None where nothing can."""
    if name not in DATASETS and not (dataset_folder(name, cache) / MANIFEST).is_file():
        return (
            "nothing: without dataset.json neither the classes nor the checksums are known",
            None,
        )
    if name not in DATASETS:
        return "look for a flipped bit, which a digest would prove", lambda: _mend_own(name, cache)
    where = wish.source or "its official addresses"

    def fetch() -> str:
        with wish.bar(f"download {name}", "bytes") as advance:
            download(name, cache, wish.source, lambda what, done, n: advance(done, n, phase=what))
        return f"downloaded from {where}, and verified"

    return f"download what is damaged from {where}", fetch


def _mend_own(name: str, cache: Path) -> str:
    folder = dataset_folder(name, cache)
    mended = []
    if not _is_description((folder / MANIFEST).read_bytes()):
        if not mend_bit(folder / MANIFEST, _is_description):
            raise IntegrityError(_lost_description(folder, name, cache))
        mended.append(MANIFEST)
    about = read_own(name, cache)
    lost: list[str] = []
    for file in damaged_files(about, folder):
        found = mend_bit(folder / file, matches(about.members[file][1]))
        (mended if found else lost).append(file)
    if lost:
        raise IntegrityError(_lost_files(folder, lost, about))
    return f"a flipped bit was found in {', '.join(mended)}; the sha256 matches again"


def _is_description(content: bytes) -> bool:
    try:
        parse_description(content)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return False
    return True


def _lost_description(folder: Path, name: str, cache: Path) -> str:
    """With the place that the dataset was imported from, where that can still be read."""
    found = _SOURCE.search((folder / MANIFEST).read_bytes())
    try:
        source = str(json.loads(found[1])) if found else "PATH"
    except ValueError:
        source = "PATH"
    return (
        f"{folder / MANIFEST} cannot be made again: only what was imported holds it; "
        f"`{import_command(source, name, cache)}` imports it again"
    )


def _lost_files(folder: Path, lost: list[str], about: Description) -> str:
    there = "" if Path(about.source).exists() else ", which is not there now"
    return (
        f"{folder}: {', '.join(lost)} cannot be made again: only what was imported holds it, "
        f"{about.source}{there}; {about.mend}"
    )
