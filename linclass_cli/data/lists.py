"""A CSV, TSV or JSONL list of pictures: path, label, and perhaps a part; paths are relative to the list."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linclass_cli.data.folders import PARTS, Item, Listing
from linclass_cli.data.labels import class_name, shown
from linclass_cli.errors import InputError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
# What the columns are called, besides what the user names.
_PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
_LABELS = ("label", "class", "target", "category", "labels", "y")
_SPLITS = ("split", "part", "set", "subset", "partition")
_MOST_BYTES = 1 << 30

# line number -> column -> value, as they stand in the list
_Rows = Iterator[tuple[int, dict[str, Any]]]


def list_pictures(path: Path, path_key: str | None = None, label_key: str | None = None) -> Listing:
    """The pictures that a list names, in its order.

    The first line of a CSV names the columns; two or three columns without names are path, label, part.
    Raises InputError for a line that cannot be understood, and for a file that is named twice.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path}: over {_MOST_BYTES:,} bytes: that is no list of pictures")
    rows = _json_rows(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv_rows(path, path_key)
    listing, lines = Listing(), dict[str, int]()
    for line, row in rows:
        where = f"{path} line {line}"
        file = _value(row, (path_key,) if path_key else _PATHS, where, "path")
        label = _value(row, (label_key,) if label_key else _LABELS, where, "label")
        part = _part(_find(row, _SPLITS), where)
        if not isinstance(file, str) or not file.strip():
            raise InputError(f"{where}: expected the path of a picture, found {file!r}")
        place = os.path.normpath(path.parent / file)
        if place in lines:
            raise InputError(
                f"{where}: {shown(file)} stands on line {lines[place]} already; name each file once"
            )
        lines[place] = line
        listing.items.append(Item(str(path.parent), file, class_name(_text(label, where), where), part))
    listing.classes.update(item.label for item in listing.items)
    if not listing.items:
        raise InputError(f"{path}: expected lines of path and label, found none")
    return listing


def _csv_rows(path: Path, path_key: str | None) -> _Rows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            names: list[str] = []
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                if not names:
                    names = _columns(cells, path, path_key)
                    if names == cells:
                        continue
                if len(cells) != len(names):
                    raise InputError(
                        f"{path} line {reader.line_num}: expected {len(names)} columns ({', '.join(names)}), "
                        f"found {len(cells)}; put quotes around what holds a {delimiter!r}"
                    )
                yield reader.line_num, dict(zip(names, cells, strict=True))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is not UTF-8 text; save it as that") from error
    except csv.Error as error:
        raise InputError(f"{path}: it is no CSV: {error}") from error


def _columns(cells: list[str], path: Path, path_key: str | None) -> list[str]:
    """The names in the first line, or those that lines without names have."""
    known = {*_PATHS, *_LABELS, *_SPLITS, *([path_key.lower()] if path_key else [])}
    if any(cell.lower() in known for cell in cells):
        return cells
    if len(cells) in (2, 3) and Path(cells[0]).suffix:
        return ["path", "label", "split"][: len(cells)]
    raise InputError(
        f"{path}: expected a first line with the columns path and label (and perhaps split), found "
        f"{', '.join(shown(cell[:40]) for cell in cells[:6])}; or name them with --rows-key and --labels-key"
    )


def _json_rows(path: Path) -> _Rows:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path} line {number}: it is no JSON: {error}") from error
                if not isinstance(row, dict):
                    raise InputError(f"{path} line {number}: expected an object with path and label")
                yield number, row
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is not UTF-8 text; save it as that") from error


def _find(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The value under the first of the names that is there, large letters or small; None without one."""
    lower = {key.lower(): value for key, value in row.items()}
    return next((lower[name.lower()] for name in names if name.lower() in lower), None)


def _value(row: dict[str, Any], names: tuple[str, ...], where: str, what: str) -> Any:
    value = _find(row, names)
    if value is None:
        flag = "--rows-key" if what == "path" else "--labels-key"
        found = ", ".join(map(shown, row)) or "none"
        raise InputError(
            f"{where}: expected a column {names[0]} with the {what}, found {found}; {flag} names another"
        )
    return value


def _part(value: Any, where: str) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or value.strip().lower() not in PARTS:
        raise InputError(f"{where}: a part is train, test or val, not {shown(str(value))[:40]!r}")
    return PARTS[value.strip().lower()]


def _text(label: Any, where: str) -> str:
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise InputError(f"{where}: a label is a text or a whole number, not {label!r}"[:300])
    return str(label)
