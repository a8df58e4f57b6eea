"""Weights of classes, ``balanced`` or from a file: a loss counts as often as the weight of its class says.

A file is JSON, an object of class names and weights, or CSV, a class and its weight a line. Classes that it
does not name have the weight 1.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.errors import InputError, MissingError, ResourceError, did_you_mean

Array = np.ndarray[Any, np.dtype[Any]]
BALANCED = "balanced"
MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Weighting:
    """``given``: the weight of each class, float64 (k,); None where they are to balance the training part."""

    given: Array | None

    @property
    def said(self) -> str | list[float]:
        """What was asked for, as a JSON-able value."""
        return BALANCED if self.given is None else list(self.given.tolist())

    def of(self, y: Array, k: int) -> Array:
        """The weights for a training part of labels y (m,), float64 (k,), all above 0.

        Balanced: m / (k * the class's images), as scikit-learn's: every class counts the same in all.
        """
        if self.given is not None:
            return self.given
        return len(y) / (k * np.maximum(np.bincount(y, minlength=k), 1))


def load_weighting(setting: str, classes: tuple[str, ...]) -> Weighting | None:
    """What ``--class-weight`` asks for; None where it is not given.

    Raises MissingError where the file is not there, InputError where it has no weights of these classes.
    """
    if not setting:
        return None
    if setting == BALANCED:
        return Weighting(None)
    path = Path(setting)
    if not path.is_file():
        raise MissingError(
            f"no file {path} of class weights{did_you_mean(setting, (BALANCED,))}; --class-weight is "
            f"{BALANCED}, or a JSON or CSV file"
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is over {MOST_BYTES >> 20} MiB: these are no weights of classes")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8: class weights are JSON or CSV") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    pairs = _from_csv(path, text) if path.suffix.lower() == ".csv" else _from_json(path, text)
    weights, named = np.ones(len(classes)), set()
    for name, weight in pairs:
        if name not in classes:
            known = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
            raise InputError(f"{path} names a class {name!r}{did_you_mean(name, classes)}; there are {known}")
        if name in named:
            raise InputError(f"{path} names the class {name} twice")
        named.add(name)
        weights[classes.index(name)] = _weight(path, name, weight)
    return Weighting(weights)


def _weight(path: Path, name: str, weight: Any) -> float:
    try:
        value = math.nan if isinstance(weight, bool) else float(weight)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 1e-6 <= value <= 1e6:
        raise InputError(f"{path} gives {name} the weight {weight!r}: allowed are numbers from 1e-6 to 1e6")
    return value


def _from_json(path: Path, text: str) -> list[tuple[str, Any]]:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {' '.join(str(error).split())}") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise InputError(f'{path} is no JSON object of classes and weights, as {{"cat": 2, "dog": 0.5}}')
    return pairs


def _from_csv(path: Path, text: str) -> list[tuple[str, Any]]:
    try:
        rows = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}") from error
    if rows and [cell.strip().lower() for cell in rows[0]] == ["class", "weight"]:
        rows = rows[1:]
    if not all(len(row) == 2 for row in rows):
        raise InputError(f"{path} wants two columns, class and weight")
    return [(name.strip(), weight.strip()) for name, weight in rows]
