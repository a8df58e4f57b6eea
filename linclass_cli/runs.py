"""The run record: a folder ``runs/<name>/`` that is there whole, or not at all.

    run.json            kind, config, environment, feature key, metrics, the sha256 of the other files and
                        of itself
    history.jsonl       one line a step (train) or a cell (cv)
    model.safetensors   weight (k, d), bias (k,) float32; mean, factor (d,) float64; classes, loss, key

A name is claimed before (`claims`): the finished record is renamed over the empty folder.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linclass_cli.atomic import remove, write_new
from linclass_cli.atomic_folders import leave_name, replacing_folder
from linclass_cli.claims import NAME, check_name, runs_folder
from linclass_cli.digest import digest
from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import IntegrityError, MissingError, ResourceError, at_cache, did_you_mean
from linclass_cli.record_check import check_record
from linclass_cli.regular import read_regular
from linclass_cli.seal import seal, unseal

if TYPE_CHECKING:
    from linclass_cli.model import Model

FORMAT = 2  # 1 had a digest of its values instead of its bytes, and is read as well
FILES = {"history.jsonl", "model.safetensors"}
_SUM = re.compile("[0-9a-f]{64}")
_LARGEST = {"run.json": 1 << 26, "history.jsonl": 1 << 30, "model.safetensors": 1 << 36}  # bytes


@dataclass(frozen=True)
class Outcome:
    """What a fit or a cross-validation hands to the record: metrics, the history's lines, the model."""

    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    model: Model


@dataclass(frozen=True)
class Run:
    """A record as it stands on the disk. kind: ``train`` or ``cv``."""

    id: str
    path: Path
    kind: str
    created: str
    config: dict[str, Any]
    environment: dict[str, Any]
    feature_key: str
    metrics: dict[str, Any]
    history: list[dict[str, Any]]


def save_run(
    cache: Path, name: str, kind: str, config: dict[str, Any], environment: dict[str, Any], outcome: Outcome
) -> Path:
    """Write the record of a claimed name; its folder. environment: where the outcome was made."""
    path = runs_folder(cache) / name
    files = record_files(outcome)
    record = {
        "format": FORMAT,
        "run": name,
        "kind": kind,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": config,
        "environment": environment,
        "feature_key": outcome.model.feature_key,
        "metrics": outcome.metrics,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    files["run.json"] = seal(record)
    with replacing_folder(path) as temporary:
        for file, content in files.items():
            write_new(temporary / file, content)
    return path


def record_files(outcome: Outcome) -> dict[str, bytes]:
    """The files of a record beside run.json: name → content."""
    from linclass_cli.model import dump_model

    lines = [json.dumps(line, separators=(",", ":"), allow_nan=False) for line in outcome.history]
    return {
        "history.jsonl": "".join(line + "\n" for line in lines).encode(),
        "model.safetensors": dump_model(outcome.model),
    }


def load_run(cache: Path, name: str) -> Run:
    """Read and verify a record. Raises MissingError, InputError for an impossible name, IntegrityError."""
    check_name(name)
    path = runs_folder(cache) / name
    record = _read_record(path, name, cache)
    _read_file(path, record, "model.safetensors")
    content = _read_file(path, record, "history.jsonl")
    try:
        history = parse_history(content, record)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path} is no record that linclass can use: {error}; {_drop(path)}") from error
    return run_of(record, path, history)


def run_of(record: dict[str, Any], path: Path, history: list[dict[str, Any]]) -> Run:
    """The run in the folder ``path``, whose run.json says ``record``."""
    return Run(
        id=path.name,
        path=path,
        kind=record["kind"],
        created=record["created"],
        config=record["config"],
        environment=record["environment"],
        feature_key=record["feature_key"],
        metrics=record["metrics"],
        history=history,
    )


def load_model(cache: Path, name: str) -> Model:
    """Read and verify the model of a run; raises as :func:`load_run`."""
    from linclass_cli.model import parse_model  # with numpy, which a list of runs does not wait for

    check_name(name)
    path = runs_folder(cache) / name
    content = _read_file(path, _read_record(path, name, cache), "model.safetensors")
    try:
        return parse_model(content, str(path / "model.safetensors"))
    except IntegrityError as error:
        raise IntegrityError(f"{error}; {_drop(path)}") from error


def list_runs(cache: Path) -> list[str]:
    """The names of the finished runs, run2 before run10."""
    folder = runs_folder(cache)
    names = [path.name for path in folder.iterdir() if _has_record(path)] if folder.is_dir() else []
    return sorted(
        (name for name in names if NAME.fullmatch(name)),
        key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)],
    )


def _has_record(path: Path) -> bool:
    try:
        return (path / "run.json").is_file()
    except OSError:  # a folder that may not be looked into: whoever reads the run says so
        return True


def every_run(cache: Path) -> list[str]:
    """As :func:`list_runs`, with those whose run.json is gone."""
    folder = runs_folder(cache)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    finished = list_runs(cache)
    damaged = {name for name in names if any((folder / name / file).is_file() for file in FILES)}
    return finished + sorted(name for name in damaged - set(finished) if NAME.fullmatch(name))


def find_run(cache: Path, name: str) -> Path:
    """The folder of a finished run, even a damaged one. Raises MissingError; InputError for no name."""
    check_name(name)
    path = runs_folder(cache) / name
    if not any((path / file).exists() for file in ("run.json", *FILES)):
        raise _missing(cache, name)
    return path


def remove_run(path: Path) -> None:
    """Remove a run's folder; a link to one goes alone."""
    if path.is_symlink():
        with disk_errors(path):
            remove(path)
    else:
        leave_name(path)


def _missing(cache: Path, name: str) -> MissingError:
    known = list_runs(cache)
    there = "; `linclass runs list` shows those that are" if known else "; `linclass train` makes one"
    return MissingError(f"no run {name} in {runs_folder(cache)}{did_you_mean(name, known)}{there}")


def _read_record(path: Path, name: str, cache: Path) -> dict[str, Any]:
    try:
        record = parse_record(read_regular(path / "run.json", _LARGEST["run.json"]))
    except (FileNotFoundError, NotADirectoryError):
        if name in every_run(cache):
            raise IntegrityError(f"{path / 'run.json'} is missing from the record; {_mend(path)}") from None
        raise _missing(cache, name) from None
    except OSError as error:
        raise ResourceError(f"cannot read {path / 'run.json'}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise IntegrityError(
            f"{path / 'run.json'} is damaged: it does not match its sha256; {_mend(path)}"
        ) from None
    return record


def parse_history(content: bytes, record: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of ``history.jsonl``. Raises ValueError or RecursionError where they, or the record, lie."""
    history = [json.loads(line) for line in content.decode().splitlines()]
    check_record(record, history)
    return history


def parse_record(content: bytes) -> dict[str, Any]:
    """What ``run.json`` says. Raises ValueError, or what else nonsense gives, where it is damaged."""
    try:
        record, made = unseal(content), FORMAT
    except ValueError:
        record, made = json.loads(content), 1
        if record.pop("digest") != digest(record):
            raise
    sums = record["files"]
    if record["format"] != made or set(sums) != FILES or not all(map(_SUM.fullmatch, sums.values())):
        raise ValueError("not a run's record")
    return record


def _read_file(path: Path, record: dict[str, Any], file: str) -> bytes:
    try:
        content = read_regular(path / file, _LARGEST[file])
    except FileNotFoundError:
        raise IntegrityError(f"{path / file} is missing from the record; {_mend(path)}") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path / file}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    wanted = record["files"][file]
    if found != wanted:
        raise IntegrityError(
            f"{path / file} is damaged: sha256 {wanted[:12]}… expected, {found[:12]}… found; {_mend(path)}"
        )
    return content


def _mend(path: Path) -> str:
    return f"`linclass cache repair {path.name}{at_cache(path.parent.parent)}` says whether it can be mended"


def _drop(path: Path) -> str:
    return f"`linclass runs remove {path.name}{at_cache(path.parent.parent)}` removes it"
