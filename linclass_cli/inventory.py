"""What the cache folder holds: its datasets and feature files, listed or verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linclass_cli.data.manifest import damaged_members, dataset_folder, manifest_is_intact
from linclass_cli.data.own import damaged_files, imported_names, read_own
from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import LinclassError
from linclass_cli.store import list_features, open_features


def list_cache(cache: Path) -> list[dict[str, Any]]:
    """An entry a dataset and a feature file: kind, name, path, bytes; for features, what and how many."""
    entries: list[dict[str, Any]] = []
    for name in (*DATASETS, *imported_names(cache)):
        folder = dataset_folder(name, cache)
        if folder.is_dir():
            size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
            entries.append({"kind": "dataset", "name": name, "path": folder, "bytes": size})
    for path, header in list_features(cache):
        entry = {"kind": "features", "name": path.name, "path": path, "bytes": path.stat().st_size}
        if header:
            n, d = header["places"]["train/features"]["shape"]
            n_test = header["places"]["test/features"]["shape"][0]
            described = {"dataset": header["meta"]["dataset"]["name"], "feature": header["meta"]["feature"]}
            entry |= {**described, "n_train": n, "n_test": n_test, "d": d}
        entries.append(entry)
    return entries


def verify_cache(cache: Path) -> list[dict[str, Any]]:
    """:func:`list_cache` with ``intact`` and, where that is false, ``problem``: one line with the mend."""
    entries = list_cache(cache)
    for entry in entries:
        entry["problem"] = _problem(entry, cache)
        entry["intact"] = entry["problem"] is None
    return entries


def _problem(entry: dict[str, Any], cache: Path) -> str | None:
    if entry["kind"] == "dataset" and entry["name"] not in DATASETS:
        return _own_problem(entry, cache)
    if entry["kind"] == "dataset":
        spec = DATASETS[entry["name"]]
        damaged = [member.name for member in damaged_members(spec, cache)]
        if not damaged and manifest_is_intact(spec, cache):
            return None
        what = ", ".join(damaged) or "dataset.json"
        return (
            f"{entry['path']}: {what} is damaged or missing; `linclass download {spec.name}` fetches it again"
        )
    try:
        open_features(entry["path"])
    except LinclassError as error:
        return str(error)
    return None


def _own_problem(entry: dict[str, Any], cache: Path) -> str | None:
    try:
        about = read_own(entry["name"], cache)
    except LinclassError as error:
        return str(error)
    damaged = damaged_files(about, entry["path"])
    return f"{entry['path']}: {', '.join(damaged)} is damaged or missing; {about.mend}" if damaged else None
