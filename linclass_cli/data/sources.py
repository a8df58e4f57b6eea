"""What a path holds that can be imported: pictures by class, a list of pictures, or arrays."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from linclass_cli.data.arrays import Stored, idx_array, npy_array, npz_arrays, readable, sliced
from linclass_cli.data.folders import Listing, list_folder
from linclass_cli.data.hdf5 import hdf5_arrays
from linclass_cli.data.info import Advance
from linclass_cli.data.lists import SUFFIXES, list_pictures
from linclass_cli.data.parquet import parquet_table
from linclass_cli.data.staging import Staged, Wish, stage_pictures
from linclass_cli.data.tables import ROLES, Table, find_tables, stage_tables
from linclass_cli.digest import canonical_json, digest
from linclass_cli.errors import InputError, MissingError
from linclass_cli.regular import open_regular, read_regular

_VERSION = 1  # of how pictures are read: a change means that an import must be made anew
_MOST_TEXT = 1 << 28  # bytes of a file of labels
_IDX = re.compile(r"(.*?)[-.]idx\d[-.]ubyte(\.gz)?$", re.IGNORECASE)
_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
_KINDS = "a folder of pictures by class, CSV, TSV, JSONL, .npz, .npy, HDF5, Parquet or idx"


@dataclass(frozen=True)
class Keys:
    """What the columns or arrays are called, where they are not called as is usual, and a file of labels."""

    rows: str | None = None
    labels: str | None = None
    labels_file: Path | None = None


class Source(Protocol):
    """Something that rows can be read from."""

    def fingerprint(self, order: list[Any]) -> str:
        """What stands for the files' names, sizes and times, and the order they are imported with."""
        ...

    def stage(self, file: Path, wish: Wish, advance: Advance) -> Staged:
        """All rows, in ``file``. Raises InputError or MissingError for what cannot be used."""
        ...


@dataclass(frozen=True)
class Pictures:
    """Picture files with their labels, from a folder or a list; ``what`` names it in messages."""

    what: str
    listing: Listing

    def fingerprint(self, order: list[Any]) -> str:
        # The digest of [_VERSION, order, files, bad, ignored], a file at a time.
        found = hashlib.sha256(f"[{_VERSION},{canonical_json(order)},[".encode())
        for i, one in enumerate(self.listing.items):
            about = canonical_json([one.origin, one.label, one.part, *_state(one.path)])
            found.update(f"{',' if i else ''}{about}".encode())
        rest = f"],{canonical_json(self.listing.bad)},{canonical_json(self.listing.ignored)}]"
        found.update(rest.encode())
        return found.hexdigest()

    def stage(self, file: Path, wish: Wish, advance: Advance) -> Staged:
        return stage_pictures(self.listing, wish, file, self.what, advance)


@dataclass(frozen=True)
class Tables:
    """Arrays of rows and labels, from one file or a few."""

    files: tuple[Path, ...]
    keys: Keys
    tables: list[Table]

    def fingerprint(self, order: list[Any]) -> str:
        files = [[path.name, *_state(path)] for path in self.files]
        return digest([_VERSION, order, files, self.keys.rows, self.keys.labels])

    def stage(self, file: Path, wish: Wish, advance: Advance) -> Staged:
        return stage_tables(self.tables, wish, file, advance)


def find_source(path: Path, keys: Keys, cache_dir: Path) -> Source:
    """What is at a path; the cache is no part of it.

    Raises:
        MissingError: there is nothing, or no pyarrow to read it with.
        InputError: it is of no kind that can be imported.
    """
    for one in (path, keys.labels_file):
        if one is not None and not one.exists():
            raise MissingError(f"there is no file or folder {one}; give the path of what is to be imported")
    suffix = path.suffix.lower()
    if path.is_dir():
        files = _array_files(path)
        return _tables(path, files, keys) if files else Pictures(str(path), list_folder(path, cache_dir))
    if not path.is_file():
        raise InputError(f"{path}: it is no regular file; give {_KINDS}")
    if suffix in SUFFIXES:
        return Pictures(str(path), list_pictures(path, keys.rows, keys.labels))
    return _tables(path, [path], keys)


def _array_files(folder: Path) -> list[Path]:
    """The .npy or idx files of a folder that holds no folders."""
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if any(path.is_dir() for path in entries):
        return []
    return sorted(path for path in entries if path.suffix.lower() == ".npy" or _IDX.match(path.name))


def _tables(path: Path, files: list[Path], keys: Keys) -> Tables:
    if path.suffix.lower() in (".parquet", ".pq") and path.is_file():
        table = parquet_table(path, keys.rows, keys.labels)
        return Tables((path,), keys, [_relabelled(table, keys)])
    arrays: dict[str, Stored] = {}
    for file in files:
        arrays |= _arrays(file, one_of_several=path.is_dir())
    if keys.labels_file is not None:
        arrays = {key: one for key, one in arrays.items() if len(one.shape) > 1}
        labels = keys.labels or "labels"
        arrays[labels] = read_labels(keys.labels_file)
        if len(arrays) == 2 and not keys.rows:
            rows = next(key for key in arrays if key != labels)
            return Tables((*files, keys.labels_file), keys, find_tables(arrays, str(path), rows, labels))
        files = [*files, keys.labels_file]
    return Tables(tuple(files), keys, find_tables(arrays, str(path), keys.rows, keys.labels))


def _arrays(path: Path, one_of_several: bool) -> dict[str, Stored]:
    """The arrays of one file, by name: those of a file that holds one are called as the file is."""
    suffix, idx = path.suffix.lower(), _IDX.match(path.name)
    if suffix == ".npz":
        return npz_arrays(path)
    if suffix in _HDF5:
        return hdf5_arrays(path)
    name = path.stem if one_of_several else "rows"
    if suffix == ".npy":
        return {name: npy_array(path)}
    with readable(path, "arrays"), open_regular(path) as file:
        magic = file.read(4)
    if idx or magic[:3] in (b"\0\0\x08", b"\0\0\x0d", b"\0\0\x0e") or magic[:2] == b"\x1f\x8b":
        return {idx[1] if idx and one_of_several else name: idx_array(path)}
    raise InputError(f"{path}: it is of no kind that can be imported; expected {_KINDS}")


def read_labels(path: Path) -> Stored:
    """The labels in a file of their own: .npy, idx, or a text of one a line, with or without a heading."""
    if path.suffix.lower() == ".npy":
        return npy_array(path)
    if _IDX.match(path.name):
        return idx_array(path)
    with readable(path, "a text with one label a line"):
        lines = read_regular(path, _MOST_TEXT).decode("utf-8-sig").splitlines()
    if lines and lines[0].strip().lower() in ROLES["labels"]:
        del lines[0]
    return sliced(str(path), np.array([line.strip() for line in lines]))


def _relabelled(table: Table, keys: Keys) -> Table:
    if keys.labels_file is None:
        return table
    return Table(table.part, table.rows, read_labels(keys.labels_file), table.split)


def _state(path: Path) -> list[int]:
    """Size and time of change; what is not there has none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return []
    return [status.st_size, status.st_mtime_ns]
