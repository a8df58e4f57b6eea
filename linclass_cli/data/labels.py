"""What classes are called: text for people, whatever a folder, a list or an array calls them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.info import MOST_CLASSES
from linclass_cli.errors import InputError
from linclass_cli.visible import LONGEST_NAME, visible

_WHOLE = re.compile(r"-?[0-9]+")


def shown(text: str | bytes) -> str:
    """The text as NFC, what no terminal should be sent written as backslash escapes."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return visible(unicodedata.normalize("NFC", text))


def class_name(text: str | bytes, where: str) -> str:
    """The name of a class. Raises InputError where nothing is left of it, or too much."""
    name = shown(text).strip()
    if not name:
        raise InputError(f"{where}: the label is empty; give every row a label")
    if len(name) > LONGEST_NAME:
        raise InputError(f"{where}: a label of {len(name)} characters; at most {LONGEST_NAME} can be shown")
    return name


def number_classes(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct names in order, and the number of each row's: i64 (n,).

    Names that are all whole numbers are ordered as numbers, others as text. Raises InputError for more
    classes than a model could have.
    """
    distinct = set(names)
    if len(distinct) > MOST_CLASSES:
        raise InputError(f"{len(distinct):,} different labels: these are no classes")
    whole = all(_WHOLE.fullmatch(name) for name in distinct)
    classes = tuple(sorted(distinct, key=lambda name: (int(name), name) if whole else (0, name)))
    number = {name: index for index, name in enumerate(classes)}
    return classes, np.fromiter((number[name] for name in names), np.int64, len(names))


def label_texts(labels: NDArray[Any], where: str) -> list[str]:
    """The labels of an array (n,) or (n, 1) of whole numbers, texts, bytes or booleans, as names of classes.

    Raises InputError for other shapes and kinds.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(f"{where}: expected one label a row, found an array of shape {labels.shape}")
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels) & (labels == np.round(labels)) & (np.abs(labels) < 2**53)
        if not whole.all():
            first = int(np.flatnonzero(~whole)[0])
            raise InputError(
                f"{where}: labels are whole numbers or texts, and row {first} has {labels[first]}"
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iub":
        distinct, places = np.unique(labels, return_inverse=True)
        if labels.dtype.kind == "b":
            distinct = distinct.astype(np.int64)
        texts = [str(int(value)) for value in distinct]
        return [texts[place] for place in places]
    if labels.dtype.kind not in "USO" or not all(isinstance(one, str | bytes) for one in labels.tolist()):
        raise InputError(f"{where}: labels are whole numbers or texts, not {labels.dtype}")
    known: dict[str | bytes, str] = {}
    for row, label in enumerate(labels.tolist()):
        if label not in known:
            known[label] = class_name(label, f"{where}, row {row}")
    return [known[label] for label in labels.tolist()]
