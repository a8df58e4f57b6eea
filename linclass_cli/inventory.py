"""What the cache folder holds: its datasets, feature files and runs, listed or verified."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from linclass_cli.claims import runs_folder
from linclass_cli.data.manifest import MANIFEST, damaged_members, dataset_folder, manifest_is_intact
from linclass_cli.data.own import ARRAYS, damaged_files, import_command, imported_names, read_own
from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import LinclassError, at_cache
from linclass_cli.feature_header import stored_dtype
from linclass_cli.runs import every_run, load_run
from linclass_cli.store import list_features, open_features


def list_cache(cache: Path) -> list[dict[str, Any]]:
    """An entry a dataset, feature file and run: kind, name, path, bytes; for features, what and how many.

    Unfinished downloads are none: a known dataset is there when its ``dataset.json`` is.
    """
    known = [name for name in DATASETS if (dataset_folder(name, cache) / MANIFEST).is_file()]
    own = sorted({*imported_names(cache), *_without_description(cache)})
    entries = [_folder("dataset", name, dataset_folder(name, cache)) for name in (*known, *own)]
    for path, header in list_features(cache):
        entry = {"kind": "features", "name": path.name, "path": path, "bytes": path.stat().st_size}
        if header:
            n, d = header["places"]["train/features"]["shape"]
            n_test = header["places"]["test/features"]["shape"][0]
            described = {"dataset": header["meta"]["dataset"]["name"], "feature": header["meta"]["feature"]}
            entry |= {**described, "n_train": n, "n_test": n_test, "d": d}
            entry["dtype"] = stored_dtype(header["meta"])
        entries.append(entry)
    return entries + [_folder("run", name, runs_folder(cache) / name) for name in every_run(cache)]


def _folder(kind: str, name: str, path: Path) -> dict[str, Any]:
    size = 0
    with contextlib.suppress(OSError):  # it is being removed, or may not be read: to read it will tell
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return {"kind": kind, "name": name, "path": path, "bytes": size}


def _without_description(cache: Path) -> list[str]:
    """The imported datasets of which only the arrays are left."""
    folder = cache / "datasets"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [
        name
        for name in names
        if name not in DATASETS
        and not name.startswith(".")
        and not (folder / name / MANIFEST).exists()
        and any((folder / name / file).is_file() for file in ARRAYS)
    ]


def verify_cache(cache: Path) -> list[dict[str, Any]]:
    """:func:`list_cache` with ``intact`` and, where that is false, ``problem``: one line with the mend."""
    entries = list_cache(cache)
    for entry in entries:
        entry["problem"] = problem_of(entry, cache)
        entry["intact"] = entry["problem"] is None
    return [entry for entry in entries if entry["path"].exists()]  # others may remove things meanwhile


def problem_of(entry: dict[str, Any], cache: Path) -> str | None:
    """What is damaged in it, and the command that mends it; every byte is read."""
    if entry["kind"] == "dataset" and entry["name"] not in DATASETS:
        return _own_problem(entry, cache)
    if entry["kind"] == "dataset":
        spec = DATASETS[entry["name"]]
        damaged = [member.name for member in damaged_members(spec, cache)]
        if not damaged and manifest_is_intact(spec, cache):
            return None
        what = ", ".join(damaged) or "dataset.json"
        return (
            f"{entry['path']}: {what} is damaged or missing; "
            f"`linclass download {spec.name}{at_cache(cache)}` fetches it again"
        )
    try:
        if entry["kind"] == "run":
            load_run(cache, entry["name"])
        else:
            open_features(entry["path"])
    except LinclassError as error:
        return str(error)
    return None


def _own_problem(entry: dict[str, Any], cache: Path) -> str | None:
    if not (entry["path"] / MANIFEST).exists():
        return (
            f"{entry['path']}: {MANIFEST} is missing; move the folder away, and "
            f"`{import_command('PATH', entry['name'], cache)}` imports the dataset again"
        )
    try:
        about = read_own(entry["name"], cache)
    except LinclassError as error:
        return str(error)
    damaged = damaged_files(about, entry["path"])
    return f"{entry['path']}: {', '.join(damaged)} is damaged or missing; {about.mend}" if damaged else None
