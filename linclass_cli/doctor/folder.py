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
from linclass_cli.errors import IntegrityError, LinclassError, MissingError
from linclass_cli.inventory import list_cache
from linclass_cli.runs import list_runs, load_run
from linclass_cli.temporary import left_over

_LITTLE = 1 << 30  # bytes of free space below which CIFAR-10 and its features may not find room


def cache_folder(cache: Path) -> tuple[dict[str, Any], list[Finding]]:
    """What the folder holds, and how it is; files of features and images are not read as a whole."""
    facts: dict[str, Any] = {"path": str(cache), "exists": cache.is_dir()}
    there = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    findings: list[Finding] = []
    if cache.exists() and not cache.is_dir():
        mend = "move it, or name another --cache-dir"
        findings.append(Finding("lacking", f"{cache} is a file, not a folder", mend))
        return facts, findings
    if not os.access(there, os.W_OK | os.X_OK):
        mend = "change its permissions, or name another --cache-dir"
        findings.append(Finding("lacking", f"{there} cannot be written", mend))
    facts["free_bytes"] = shutil.disk_usage(there).free
    if facts["free_bytes"] < _LITTLE:
        what = f"{facts['free_bytes'] / 1e6:.0f} MB are free for {cache}; CIFAR-10 and its features take 400"
        findings.append(Finding("warning", what, "free some, or name another --cache-dir"))
    entries = list_cache(cache)
    runs = list_runs(cache)
    facts |= {
        "datasets": [entry["name"] for entry in entries if entry["kind"] == "dataset"],
        "features": sum(entry["kind"] == "features" for entry in entries),
        "runs": len(runs),
        "bytes": _size(cache),
        "left_over": _left_over(cache),
    }
    findings += _damage(cache, entries, runs)
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
        return [Finding(kind, what, mend or "see above")]
    return []


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
