"""Which of a file's arrays are rows and which are their labels, and the rows of all parts as one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.arrays import Stored
from linclass_cli.data.folders import PARTS
from linclass_cli.data.imported import mapped, require_rows
from linclass_cli.data.info import MAX_SIDE, MOST_CLASSES, MOST_VALUES, Advance
from linclass_cli.data.labels import class_name, label_texts, shown
from linclass_cli.data.pictures import Frame, fit_pixels
from linclass_cli.data.staging import Staged, Wish
from linclass_cli.errors import InputError
from linclass_cli.memory import require
from linclass_cli.threads import Spans, in_chunks

_LONGEST = 1 << 14  # bytes of a label in an array of texts
# What arrays are called, in the order in which their words are looked for: "label_names" are names.
ROLES = {
    "names": {"names", "classes"},
    "split": {"split", "part", "set", "subset"},
    "labels": {"labels", "label", "y", "targets", "target", "class"},
    "rows": {
        *("x", "features", "feature", "embeddings", "embedding", "emb", "vectors", "vector"),
        *("images", "image", "data", "inputs"),
    },
}
_PART_NAMES = {**PARTS, "t10k": "test"}
_PART_AT_AN_END = re.compile(r"^(x|y)(train|test|val|valid)$|^(train|test|val|valid)(x|y)$")


@dataclass(frozen=True)
class Table:
    """Rows with their labels; ``part`` is empty where nothing says it, ``split`` says it row by row."""

    part: str
    rows: Stored
    labels: Stored
    split: Stored | None = None
    names: Stored | None = None


def find_tables(
    arrays: dict[str, Stored], where: str, rows_key: str | None = None, labels_key: str | None = None
) -> list[Table]:
    """The tables that a file's arrays make: ``X`` and ``y``, or ``x_train``, ``y_train``, ``x_test``, ….

    Raises InputError where that is not clear.
    """
    found: dict[tuple[str, str], tuple[str, Stored]] = {}
    for key, array in arrays.items():
        part, role = role_of(key, rows_key, labels_key)
        if not role:
            continue
        if (part, role) in found:
            raise InputError(
                f"{where}: both {found[part, role][0]} and {key} may be the {role}; "
                "name one with --rows-key or --labels-key"
            )
        found[part, role] = (key, array)
    if not any(role == "rows" for _, role in found) and not rows_key:
        found = _only_pair(arrays, {key for key, _ in found.values()}) | found
    parts = [part for part in ("train", "val", "test", "") if (part, "rows") in found]
    tables = []
    for part in parts:
        if (part, "labels") not in found:
            break
        split, names = found.get((part, "split")), found.get((part, "names")) or found.get(("", "names"))
        tables.append(
            Table(
                part,
                found[part, "rows"][1],
                found[part, "labels"][1],
                split and split[1],
                names and names[1],
            )
        )
    if not tables or len(tables) < len(parts):
        raise InputError(
            f"{where}: expected rows and labels, as X and y (or x_train, y_train, x_test, y_test), found "
            f"{'; '.join(shown(str(one)) for one in list(arrays.values())[:8]) or 'nothing'}: "
            "name them with --rows-key and --labels-key, or give the labels with --labels FILE"
        )
    return tables


def role_of(key: str, rows_key: str | None, labels_key: str | None) -> tuple[str, str]:
    """The part (train, test, val or empty) and the role (rows, labels, split, names or empty) of a name."""
    for wanted, role in ((rows_key, "rows"), (labels_key, "labels")):
        if key == wanted:
            return "", role
    words = [word for word in re.split(r"[^a-z0-9]+", key.lower()) if word]
    glued = _PART_AT_AN_END.match(words[0]) if len(words) == 1 else None
    if glued:
        words = [word for word in glued.groups() if word]
    part = next((_PART_NAMES[word] for word in words if word in _PART_NAMES), "")
    rest = {word for word in words if word not in _PART_NAMES}
    for role, known in ROLES.items():
        given = {"rows": rows_key, "labels": labels_key}.get(role)
        if given:
            # The user's word counts instead of ours, beside that of a part: emb for train/emb and test/emb.
            if rest and rest == set(re.split(r"[^a-z0-9]+", given.lower())):
                return part, role
        elif rest & known:
            return part, role
    return "", ""


def _only_pair(arrays: dict[str, Stored], taken: set[str]) -> dict[tuple[str, str], tuple[str, Stored]]:
    """The one array of numbers in rows, and the one list of the same length, whatever they are called."""
    rows = [key for key, one in arrays.items() if len(one.shape) > 1 and one.kind.kind in "fiub"]
    if len(rows) != 1:
        return {}
    n = arrays[rows[0]].shape[0]
    lists = [key for key, one in arrays.items() if one.shape == (n,) and key not in taken]
    found = {("", "rows"): (rows[0], arrays[rows[0]])}
    return found | ({("", "labels"): (lists[0], arrays[lists[0]])} if len(lists) == 1 else {})


def stage_tables(tables: list[Table], wish: Wish, file: Path, advance: Advance) -> Staged:
    """The rows of all tables in ``file``: images u8 where they are (n, h, w[, c]) of bytes, else vectors f32.

    Raises InputError for shapes and values that cannot be used: NaN, infinities, labels that do not match.
    """
    labels: list[str] = []
    parts: list[str] = []
    for table in tables:
        _check_lengths(table)
    for table in tables:
        labels += _labels(table)
        parts += _parts(table)
    first = tables[0].rows
    for table in tables[1:]:
        if table.rows.shape[1:] != first.shape[1:]:
            raise InputError(f"{table.rows}: its rows have another shape than those of {first}")
    images = first.kind == np.uint8 and len(first.shape) in (3, 4)
    take, shape, kind = _images(first, wish) if images else _vectors(first)
    require_rows(len(labels), math.prod(shape) * kind.itemsize)
    rows, start = mapped(file, (len(labels), *shape), kind), 0
    for table in tables:
        begin = start
        for block in table.rows.blocks():
            if start + len(block) > len(labels):
                raise InputError(f"{table.rows}: it has more rows than it claims")
            take(block, rows[start : start + len(block)], table.rows.where, start - begin)
            start += len(block)
            advance("reading the rows", start, len(labels))
    if start < len(labels):
        raise InputError(f"{tables[-1].rows}: it has fewer rows than it claims")
    return Staged(rows, labels, parts, [], fit=wish.fit)


def _check_lengths(table: Table) -> None:
    """Raise InputError unless there is a label, and perhaps a part, for every row; before any is read."""
    rows, labels = table.rows, table.labels
    n = rows.shape[0] if rows.shape else 0
    if n == 0 and rows.shape:
        raise InputError(f"{rows}: expected rows and a label for each, found no rows")
    if math.prod(labels.shape[1:]) != 1 or not labels.shape:
        raise InputError(f"{labels.where}: expected one label a row, found an array of shape {labels.shape}")
    if labels.shape[0] != n:
        raise InputError(
            f"{labels.where}: {labels.shape[0]:,} labels for {n:,} rows of {rows}; every row wants one"
        )
    if table.split is not None and table.split.shape[:1] != (n,):
        raise InputError(f"{table.split}: expected train, test or val for each of {n:,} rows")
    if table.names is not None and math.prod(table.names.shape) > MOST_CLASSES:
        raise InputError(f"{table.names}: these are no names of classes")


def _texts(stored: Stored) -> list[str]:
    """What an array of labels says, row by row."""
    n, size = math.prod(stored.shape), stored.kind.itemsize
    if size > _LONGEST:
        raise InputError(f"{stored.where}: texts of {size:,} bytes each are no labels")
    require(f"reading {stored.where}", {"labels": n * (2 * size + 8)})
    return label_texts(stored.whole(), stored.where)


def _labels(table: Table) -> list[str]:
    texts = _texts(table.labels)
    if table.names is None or table.labels.kind.kind not in "iu":
        return texts
    names = [class_name(name, table.names.where) for name in _texts(table.names)]
    numbers = [int(text) for text in texts]
    if min(numbers) < 0 or max(numbers) >= len(names):
        raise InputError(
            f"{table.labels.where}: labels from {min(numbers)} to {max(numbers)} for {len(names)} names"
        )
    return [names[number] for number in numbers]


def _parts(table: Table) -> list[str]:
    if table.split is None or table.part:
        return [table.part] * table.rows.shape[0]
    texts = [text.lower() for text in _texts(table.split)]
    unknown = sorted(set(texts) - set(PARTS))
    if unknown:
        raise InputError(
            f"{table.split.where}: expected train, test or val for each row, found {', '.join(unknown[:5])}"
        )
    return [PARTS[text] for text in texts]


# Fills rows of the dataset from a block: (block, out, where it comes from, number of its first row).
Take = Callable[[NDArray[Any], NDArray[Any], str, int], None]


def _vectors(first: Stored) -> tuple[Take, tuple[int, ...], np.dtype[Any]]:
    if len(first.shape) != 2 or first.kind.kind not in "fiub" or not 1 <= first.shape[1] <= MOST_VALUES:
        raise InputError(
            f"{first}: expected vectors, an array (n, d) of numbers, or images, uint8 (n, height, width) "
            "or (n, height, width, 1 or 3)"
        )
    return _take_vectors, first.shape[1:], np.dtype("<f4")


def _take_vectors(block: NDArray[Any], out: NDArray[Any], where: str, first: int) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        out[:] = block
    wrong = ~np.isfinite(out)
    if wrong.any():
        row, column = (int(index[0]) for index in np.nonzero(wrong))
        value = block[row, column]
        reason = "which float32 cannot hold" if np.isfinite(value) else "and only finite numbers can be used"
        raise InputError(f"{where}: row {first + row}, column {column} is {value}, {reason}")


def _images(first: Stored, wish: Wish) -> tuple[Take, tuple[int, ...], np.dtype[Any]]:
    shape = first.shape[1:] if len(first.shape) == 4 else (*first.shape[1:], 1)
    before = shape[0] in (1, 3) and shape[2] not in (1, 3)  # channels first
    height, width, channels = (shape[1], shape[2], shape[0]) if before else shape
    if channels not in (1, 3) or not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise InputError(
            f"{first}: expected images of 1 or 3 channels, at most {MAX_SIDE} pixels high and wide"
        )
    size = wish.size or (height, width)
    frame = Frame(*size, {"auto": channels, "grey": 1, "rgb": 3}[wish.color], wish.fit)

    def take(block: NDArray[Any], out: NDArray[Any], where: str, first: int) -> None:  # noqa: ARG001
        images = block.reshape(len(block), *shape)
        images = np.moveaxis(images, 1, 3) if before else images
        if images.shape[1:] == frame.shape:
            out[:] = images
            return

        def work(spans: Spans) -> None:
            for row, _ in spans:
                out[row] = fit_pixels(images[row], frame)

        in_chunks(work, len(images))

    return take, frame.shape, np.dtype(np.uint8)
