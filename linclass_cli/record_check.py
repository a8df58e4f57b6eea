"""What a run's record must be, for all that read it: whoever made one with matching digests may still lie.

Only what is relied on is looked at: a record may hold more. All raise ValueError, in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Holds = Callable[[Any], bool]


def check_record(record: dict[str, Any], history: list[Any]) -> None:
    """Raise ValueError unless run.json's object and history.jsonl's lines are those of a run."""
    _check_values(record)
    _check_values(history)
    _check("run.json", record, _RECORD)
    config, metrics, train = record["config"], record["metrics"], record["kind"] == "train"
    _check("config", config, {"seed": _is_count, "data": _is_table, "feature": _is_table})
    if not all(map(_is_table, (value for key, value in config.items() if key != "seed"))):
        raise ValueError("a section of config is no table")
    for section in ("data", "feature"):
        _check(section, config[section], {"name": _is_text})
    _check("metrics", metrics, _METRICS | (_TRAIN if train else _CV))
    for line in history:
        if not _is_table(line):
            raise ValueError("a line of its history is no object")
        _check("a line of its history", {"curve": None, **line}, _STEP if train else _CELL)
    if train and metrics["best_step"] not in {line["iteration"] for line in history}:
        raise ValueError("its history lacks the step that was kept")
    if not train:
        _check_strengths(metrics)


def _check_strengths(metrics: dict[str, Any]) -> None:
    l2 = metrics["l2"]
    if not l2 or not len(l2) == len(metrics["mean_accuracy"]) == len(metrics["std_error"]):
        raise ValueError("its accuracies are not those of its strengths")
    if metrics["best_l2"] not in l2 or metrics["one_se_l2"] not in l2:
        raise ValueError("its choice is none of its strengths")


def _check(what: str, table: dict[str, Any], wanted: Mapping[str, Holds]) -> None:
    for key, holds in wanted.items():
        if key not in table or not holds(table[key]):
            raise ValueError(f"{key} of {what} is {'impossible' if key in table else 'missing'}")


def _check_values(value: Any) -> None:
    """Every number in a value is finite, and none of thousands of digits."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_values(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("it holds a number that is too large")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _or_none(holds: Holds) -> Holds:
    return lambda value: value is None or holds(value)


def _list_of(holds: Holds) -> Holds:
    return lambda value: isinstance(value, list) and all(map(holds, value))


_RECORD: dict[str, Holds] = {
    "kind": lambda value: value in ("train", "cv"),
    "created": _is_text,
    "config": _is_table,
    "environment": _is_table,
    "feature_key": _is_text,
    "metrics": _is_table,
}
_METRICS: dict[str, Holds] = {
    "loss": _is_text,
    "solver": _is_text,
    "n_train": _is_count,
    "n_test": _is_count,
    "train_accuracy": _is_share,
    "test_accuracy": _is_share,
    "seconds": _is_positive,
}
_TRAIN: dict[str, Holds] = {
    "l2": _is_positive,
    "n_val": _is_count,
    "val_accuracy": _or_none(_is_share),
    "best_step": _is_count,
}
_CV: dict[str, Holds] = {
    "folds": _is_count,
    "l2": _list_of(_is_positive),
    "mean_accuracy": _list_of(_is_share),
    "std_error": _list_of(_is_share),
    "best_l2": _is_number,
    "one_se_l2": _is_number,
}
_STEP: dict[str, Holds] = {
    "iteration": _is_count,
    "seconds": _is_positive,
    "train_loss": _is_number,
    "train_accuracy": _is_share,
    "val_loss": _or_none(_is_number),
    "val_accuracy": _or_none(_is_share),
}
_CELL: dict[str, Holds] = {
    "l2": _is_positive,
    "fold": _or_none(_is_count),
    "curve": _or_none(_list_of(_is_share)),
}
