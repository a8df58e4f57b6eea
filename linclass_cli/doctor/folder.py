"""The cache folder: how much is in it, whether it can be used, and what in it is damaged or left over."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from linclass_cli.claims import runs_folder
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.doctor import Finding, Level
from linclass_cli.errors import IntegrityError, LinclassError, MissingError, ResourceError
from linclass_cli.inventory import list_cache
from linclass_cli.runs import list_runs, load_run
from linclass_cli.temporary import left_over

_LITTLE = 1 << 30  # bytes of free space below which CIFAR-10 and its features may not find room


def cache_folder(cache: Path) -> tuple[dict[str, Any], list[Finding]]:
    """What the folder holds, and how it is; files of features and images are not read as a whole."""
    facts: dict[str, Any] = {"path": str(cache), "exists": cache.is_dir()}
    there = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    findings: list[Finding] = []
    if os.path.lexists(cache) and not cache.is_dir():
        what = "a file, not a folder" if cache.exists() else "a link to a folder that is not there"
        return facts, [Finding("lacking", f"{cache} is {what}", "move it, or name another --cache-dir")]
    if os.access(there, os.R_OK | os.X_OK) and not os.access(there, os.W_OK):
        mend = "change its permissions, or name another --cache-dir"
        findings.append(Finding("lacking", f"{there} cannot be written", mend))
    facts["free_bytes"] = shutil.disk_usage(there).free
    if facts["free_bytes"] < _LITTLE:
        what = f"{facts['free_bytes'] / 1e6:.0f} MB are free for {cache}; CIFAR-10 and its features take 400"
        findings.append(Finding("warning", what, "free some, or name another --cache-dir"))
    unreadable = _unreadable(cache)
    if unreadable:
        first, more = unreadable[0], len(unreadable) - 1
        what = f"{first} cannot be read{f', nor can {more} more' if more else ''}"
        mend = f"`chmod -R u+rwX {first}`, if it is yours, or name another --cache-dir"
        findings.append(Finding("lacking", what, mend))
    if any(path.is_dir() for path in unreadable):
        return facts, findings  # what is in there would only be guessed at
    entries = list_cache(cache)
    runs = list_runs(cache)
    facts |= {
        "datasets": [entry["name"] for entry in entries if entry["kind"] == "dataset"],
        "features": sum(entry["kind"] == "features" for entry in entries),
        "runs": len(runs),
        "bytes": _size(cache),
        "left_over": _left_over(cache),
    }
    readable = [entry for entry in entries if entry["path"] not in unreadable]
    findings += _damage(cache, readable, runs)
    if facts["left_over"]:
        first, more = facts["left_over"][0], len(facts["left_over"]) - 1
        findings.append(
            Finding(
                "warning",
                f"processes that were killed have left {first}{f' and {more} more' if more else ''}",
                "`linclass cache clean --yes`",
            )
        )
    return facts, findings


def _damage(cache: Path, entries: list[dict[str, Any]], runs: list[str]) -> list[Finding]:
    """What a look at descriptions, headers, sizes and records tells."""
    found = []
    for entry in entries:
        if entry["kind"] == "features" and "d" not in entry:
            mend = "`linclass cache repair` computes it again; `linclass cache verify` reads every byte"
            found.append(Finding("damaged", f"{entry['path']}: its header or size is wrong", mend))
        elif entry["kind"] == "dataset":
            found += _complaint(lambda name=entry["name"]: describe_dataset(name, cache))
    for name in runs:
        found += _complaint(lambda name=name: load_run(cache, name))
    return found


def _complaint(look: Any) -> list[Finding]:
    try:
        look()
    except LinclassError as error:
        what, _, mend = str(error).partition("; ")
        kind: Level = "damaged" if isinstance(error, IntegrityError) else "lacking"
        if isinstance(error, MissingError):  # a download that was interrupted
            kind = "warning"
        if not isinstance(error, ResourceError):  # of what cannot be read, more has been said
            return [Finding(kind, what, mend or "see above")]
    return []


def _unreadable(cache: Path) -> list[Path]:
    """The folders that this user may not look into, and then the files that may not be read."""
    shut = [] if not cache.is_dir() or os.access(cache, os.R_OK | os.X_OK) else [cache]
    files = []
    for place, inner, names in os.walk(cache):
        shut += [Path(place) / name for name in inner if not os.access(Path(place) / name, os.R_OK | os.X_OK)]
        files += [Path(place) / name for name in names if not os.access(Path(place) / name, os.R_OK)]
    return sorted(shut) + sorted(files)


def _left_over(cache: Path) -> list[str]:
    """Temporary files and folders of processes that are no more."""
    places = [cache / part for part in ("datasets", "features", "runs")]
    places += [path for path in (cache / "datasets").glob("*") if path.is_dir()]
    places += [path for path in runs_folder(cache).glob("*") if path.is_dir()]
    return [str(path) for place in places for path in left_over(place)]


def _size(folder: Path) -> int:
    """Bytes of all files in the folder."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += (Path(place) / file).lstat().st_size
    return total
