"""Groups of training images that must not be split: frames of one video, photos of one person.

A file with one value for each training image, in their order: text (a value a line), CSV (one column, or one
named ``group``), or a ``.npy`` array (n,) of whole numbers or texts.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.errors import InputError, MissingError, ResourceError

Array = np.ndarray[Any, np.dtype[Any]]
MOST_BYTES = 1 << 28
_COLUMN = "group"


@dataclass(frozen=True)
class Groups:
    """``of``: each training image's group, int64 (n,), in 0 .. count-1; the sha256 of their file."""

    of: Array
    count: int
    sha256: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a record keeps of them."""
        return {"count": self.count, "sha256": self.sha256}


def load_groups(file: str, n: int) -> Groups | None:
    """The groups of n training images; None where no file is named.

    Raises MissingError where the file is not there, and InputError where it is not n groups, two at least.
    """
    if not file:
        return None
    path = Path(file)
    if not path.is_file():
        raise MissingError(f"no file {path} of groups; --groups names one value for each training image")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is over {MOST_BYTES >> 20} MiB: these are no groups of images")
        content = path.read_bytes()
        values = _from_array(path) if path.suffix == ".npy" else _from_text(path, content, n)
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    if len(values) != n:
        raise InputError(f"{path} has {len(values):,} values: expected is {n:,}, one for each training image")
    names, of = np.unique(values, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"all images of {path} are in one group, which must not be split: nothing to hold out"
        )
    return Groups(of.astype(np.int64), len(names), hashlib.sha256(content).hexdigest())


def _from_array(path: Path) -> Array:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is no array that can be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "biuSU":
        what = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else "several arrays"
        raise InputError(f"{path} holds {what}: groups are one row of whole numbers or texts, (n,)")
    return np.asarray(values)


def _from_text(path: Path, content: bytes, n: int) -> Array:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8: groups are a value a line, or a .npy array") from None
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    values = _column(path, lines, n) if path.suffix.lower() == ".csv" else lines
    for number, value in enumerate(values):
        if not value.strip():
            raise InputError(f"{path} names no group for training image {number} (counted from 0)")
    return np.array([value.strip() for value in values])


def _column(path: Path, lines: list[str], n: int) -> list[str]:
    """The one column of a CSV file, or the one named ``group``."""
    try:
        rows = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}") from error
    head = [name.strip().lower() for name in rows[0]] if rows else []
    at = head.index(_COLUMN) if _COLUMN in head else 0
    if at == 0 and any(len(row) > 1 for row in rows) and _COLUMN not in head:
        raise InputError(f"{path} has several columns, and none is named {_COLUMN}")
    named = _COLUMN in head or len(rows) == n + 1
    return [row[at] if at < len(row) else "" for row in (rows[1:] if named else rows)]
