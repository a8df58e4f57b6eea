"""The runs as a table: one flat row of facts a run, sorted, filtered, and compared."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linclass_cli.config import leaves
from linclass_cli.errors import InputError, LinclassError, did_you_mean
from linclass_cli.runs import Run, list_runs, load_run

_METRICS = ("loss", "solver", "l2", "val_accuracy", "test_accuracy")
_CONDITION = re.compile(r"([\w.-]+?)\s*(!=|>=|<=|=)\s*(.*)", re.DOTALL)


def load_runs(cache: Path, warn: Callable[[str], None]) -> list[Run]:
    """All runs whose record is intact, run2 before run10; ``warn`` hears of the others."""
    runs = []
    for name in list_runs(cache):
        try:
            runs.append(load_run(cache, name))
        except LinclassError as error:
            warn(f"warning: {error}")
    return runs


def row(run: Run) -> dict[str, Any]:
    """What ``runs list`` says of a run."""
    about = {"dataset": run.config["data"]["name"], "feature": run.config["feature"]["name"]}
    metrics = {key: run.metrics.get(key) for key in _METRICS}
    return {"run": run.id, "kind": run.kind, "created": run.created, **about, **metrics}


def dataset_and_feature(row: dict[str, Any]) -> str:
    """What a run is of, in one word each."""
    return f"{row['dataset']} {row['feature']}"


def facts(run: Run) -> dict[str, Any]:
    """What can be sorted and filtered by: a row's keys, metrics, settings by their dotted key or its end.

    l2 of a cross-validation is the one that was chosen.
    """
    settings = flat(run.config)
    found = {key.rpartition(".")[2]: value for key, value in settings.items()}
    found |= settings | run.metrics | row(run)
    # As the table is headed, too.
    found |= {"of": dataset_and_feature(found), "val": found["val_accuracy"], "test": found["test_accuracy"]}
    if run.kind == "cv":
        found["l2"] = run.metrics.get("chosen_l2", run.metrics.get("best_l2"))
    return found


def select(runs: list[Run], conditions: list[str], sort: str | None, reverse: bool) -> list[Run]:
    """The runs that meet all conditions ``KEY=VALUE`` (also !=, >=, <=; VALUE may have ``*``), sorted.

    Runs without the key stand last. Raises InputError for a condition or key that no run can be asked for.
    """
    known = {run.id: facts(run) for run in runs}
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        if not match:
            raise InputError(f"--filter {condition!r}: a condition is KEY=VALUE, or with !=, >= or <=")
        key, sign, wanted = match.groups()
        _check_key("--filter", key, known)
        runs = [run for run in runs if _holds(known[run.id].get(key), sign, wanted)]
    if sort is None:
        return runs[::-1] if reverse else runs
    _check_key("--sort", sort, known)
    having = [run for run in runs if known[run.id].get(sort) is not None]
    having.sort(key=lambda run: _order(known[run.id][sort]), reverse=reverse)
    return having + [run for run in runs if known[run.id].get(sort) is None]


def differences(runs: list[Run]) -> dict[str, dict[str, list[Any]]]:
    """What differs between runs in ``config``, ``metrics``, ``environment``: the values of each such key.

    A key that a run does not have is as good as one that is None.
    """
    found = {}
    for part in ("config", "metrics", "environment"):
        rows = [_settings(run) if part == "config" else flat(getattr(run, part)) for run in runs]
        keys = dict.fromkeys(key for one in rows for key in one)
        differing = [key for key in keys if any(one.get(key) != rows[0].get(key) for one in rows)]
        found[part] = {key: [one.get(key) for one in rows] for key in differing}
    return found


def _settings(run: Run) -> dict[str, Any]:
    """The run's settings; those that came after it was made, or that nobody set, at their defaults."""
    plain = {key: one.default for key, one in leaves() if "." in key and not one.only_for}
    defaults = {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
    return defaults | flat(run.config)


def flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Dictionaries in dictionaries as one, with dotted keys."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{before}{key}.") if isinstance(inner, dict) else {before + key: inner}
    return found


def _check_key(flag: str, key: str, known: dict[str, dict[str, Any]]) -> None:
    keys = list(dict.fromkeys(key for one in known.values() for key in one))
    if known and key not in keys:
        raise InputError(
            f"{flag} {key}: no run has that{did_you_mean(key, keys)}; `linclass runs show` lists keys"
        )


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before texts, run2 before run10."""
    if isinstance(value, int | float):
        return 0, value
    parts = re.split(r"(\d+)", str(value))
    return 1, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _holds(value: Any, sign: str, wanted: str) -> bool:
    if sign in (">=", "<="):
        number = _number(wanted)
        if number is None:
            raise InputError(f"--filter {sign}{wanted}: {sign} compares numbers")
        if not isinstance(value, int | float):
            return False
        return value >= number if sign == ">=" else value <= number
    return _equal(value, wanted) == (sign == "=")


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool) or value is None:
        return wanted.lower() == {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, int | float):
        return _number(wanted) == value
    return fnmatch.fnmatchcase(str(value), wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
