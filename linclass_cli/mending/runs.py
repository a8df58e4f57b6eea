"""Damaged runs: a flipped bit is found, and the model is trained again, if that gives the very same one.

The sha256 in run.json tells: only a model that has it takes the place of the damaged one. The history holds
times, so no second fit gives its bytes; where the model came out the same, and the record's numbers agree,
the history of that fit is taken, run.json says so, and the damaged one is kept beside it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from linclass_cli import __version__
from linclass_cli.atomic import write_bytes
from linclass_cli.claims import runs_folder
from linclass_cli.config import Config
from linclass_cli.environment import environment
from linclass_cli.errors import InputError, IntegrityError, at_cache
from linclass_cli.extract import obtain_features
from linclass_cli.mending.bits import mend_bit
from linclass_cli.mending.plan import Act, Wish, matches
from linclass_cli.runs import FILES, Outcome, Run, parse_record, record_files, run_of
from linclass_cli.scoring import run_config
from linclass_cli.seal import seal, unseal
from linclass_cli.show.progress import follow
from linclass_cli.threads import use_threads

RECORD, HISTORY, MODEL = "run.json", "history.jsonl", "model.safetensors"


def plan(name: str, cache: Path, wish: Wish) -> tuple[str, Act | None]:
    """What will be done, and what does it; None where run.json, which everything hangs on, is gone."""
    path = runs_folder(cache) / name
    if not (path / RECORD).is_file():
        return "nothing: without run.json neither the settings nor the checksums of the rest are known", None
    again = ", or train it again" if wish.retrain else ""
    return f"look for a flipped bit, which a digest would prove{again}", lambda: _mend(path, cache, wish)


def _mend(path: Path, cache: Path, wish: Wish) -> str:
    mended = []
    if _parse((path / RECORD).read_bytes()) is None:
        if not mend_bit(path / RECORD, _is_sealed):
            raise IntegrityError(
                f"{path / RECORD} cannot be made again: nothing else holds the settings and the numbers; "
                f"`linclass runs remove {path.name}{at_cache(cache)}` removes the run"
            )
        mended.append(RECORD)
    record = parse_record((path / RECORD).read_bytes())
    lost: list[str] = []
    for file in damaged_files(path, record):
        (mended if mend_bit(path / file, matches(record["files"][file])) else lost).append(file)
    said = [f"a flipped bit was found in {', '.join(mended)}; the sha256 matches again"] if mended else []
    if lost and not wish.retrain:
        raise IntegrityError(
            f"{path}: {', '.join(lost)} can only be made again by the same fit: "
            f"`linclass cache repair {path.name} --retrain{at_cache(cache)}`"
        )
    if lost:
        said.append(_retrain(path, record, lost, cache, wish))
    return "; ".join(said)


def damaged_files(path: Path, record: dict[str, Any]) -> list[str]:
    """The files of a run that do not match what run.json says of them, or are not there."""

    def sound(file: str) -> bool:
        try:
            return matches(record["files"][file])((path / file).read_bytes())
        except OSError:
            return False

    return [file for file in sorted(FILES) if not sound(file)]


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        return parse_record(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_sealed(content: bytes) -> bool:
    try:
        return bool(unseal(content))
    except ValueError:
        return False


def _retrain(path: Path, record: dict[str, Any], lost: list[str], cache: Path, wish: Wish) -> str:
    """Fit again, and put what is proven to be the same in its place."""
    run = run_of(record, path, [])
    with use_threads(wish.threads) as threads:
        outcome = _fit(run, cache, wish)
        here = environment(threads)
    files = record_files(outcome)
    if not matches(record["files"][MODEL])(files[MODEL]):
        others = [key for key in here if key != "threads" and here[key] != run.environment.get(key)]
        why = ", ".join(f"{key} {run.environment.get(key)} then, {here[key]} now" for key in others)
        raise IntegrityError(
            f"{path}: the same fit gave another model than the record's"
            f"{f' ({why})' if others else ''}; all is left as it was; "
            f"`linclass runs remove {path.name}{at_cache(cache)}` removes the run"
        )
    if MODEL in lost:
        write_bytes(path / MODEL, files[MODEL])
    if HISTORY not in lost:
        return "trained again: the model has the recorded sha256"
    if not _agree(run.metrics, json.loads(json.dumps(outcome.metrics))):
        raise IntegrityError(
            f"{path}: the same fit gave the recorded model, but other numbers than run.json has: {HISTORY} "
            f"is left as it was; `linclass runs remove {path.name}{at_cache(cache)}` removes the run"
        )
    _replace_history(path, record, files[HISTORY])
    return "trained again: the model has the recorded sha256; the history's times are of the new fit"


def _fit(run: Run, cache: Path, wish: Wish) -> Outcome:
    config = run_config(run, str(cache))
    with wish.bar(f"extract {config.feature.name}", "images") as advance:
        plan, features = obtain_features(config, advance, wish.notice)
    if features.key != run.feature_key:
        raise InputError(f"{run.path}: its features, or their dataset, are other ones by now")
    done = 0
    with wish.bar(f"train {run.id} again", "steps") as advance:

        def count(_: Any) -> None:
            nonlocal done
            done += 1
            advance(done)

        outcome = follow(_start(run.kind, config)(features, plan.info.classes, config), count)
    return replace(outcome, model=replace(outcome.model, learned=features.learned))


def _start(kind: str, config: Config) -> Callable[..., Generator[Any, None, Outcome]]:
    from linclass_cli.learn.crossval import cross_validate
    from linclass_cli.learn.fit import train
    from linclass_cli.learn.nested import nested_cross_validate

    if kind == "train":
        return train
    return nested_cross_validate if config.cv.nested else cross_validate


def _agree(then: Any, now: Any) -> bool:
    """Whether a fit found what another did, whose numbers may be rounded in another way; times aside."""
    if isinstance(then, dict):
        return all(key in now and _agree(then[key], now[key]) for key in then if key != "seconds")
    if isinstance(then, list):
        return len(then) == len(now) and all(map(_agree, then, now))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=1e-6)
    return bool(then == now)


def _replace_history(path: Path, record: dict[str, Any], history: bytes) -> None:
    aside = path / f"{HISTORY}.damaged"
    if (path / HISTORY).is_file() and not aside.exists():
        write_bytes(aside, (path / HISTORY).read_bytes())
    write_bytes(path / HISTORY, history)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    note = f"{HISTORY} is of the same fit, made again on {today} by linclass {__version__}; so are its times"
    files = {**record["files"], HISTORY: hashlib.sha256(history).hexdigest()}
    write_bytes(path / RECORD, seal({**record, "format": 2, "files": files, "repaired": note}))
