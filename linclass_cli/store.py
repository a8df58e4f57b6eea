"""The feature store: immutable, content-addressed HDF5 files, verified before anything reads them.

``features/<dataset>-<feature>-<key12>.h5`` holds /train/features float32 or float16 (n, d), /train/labels
int64 (n,) and the same under /test; on its root the attributes ``meta`` (canonical JSON, whose sha256 is the
key) and ``checksums`` (JSON: the sha256 of each of the four datasets' bytes). Any HDF5 reader opens it.

In front of the HDF5 data, in the user block that HDF5 leaves to applications, stands linclass's own header:
where each dataset lies, and a digest of every byte behind the header; its first line holds a digest of the
header itself. So a flipped bit is found before HDF5, or a kernel, sees the data, and reading needs no HDF5 at
all: the arrays are mapped from the file, copied nowhere. docs/store.md describes the format.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.atomic import allocate, filling, replacing, step
from linclass_cli.digest import canonical_json, digest
from linclass_cli.errors import IntegrityError, MissingError
from linclass_cli.feature_header import (
    DTYPES,
    FEATURES,
    HEADER,
    PARTS,
    damaged,
    dump_header,
    parse_header,
    stored_dtype,
)
from linclass_cli.feature_pages import CHUNK, DIGEST, chunk_digests, dtype_at, open_pages, view_place
from linclass_cli.on_disk import NewRows, OnDisk, sha256_of_rows
from linclass_cli.regular import open_regular
from linclass_cli.spread import AnyRows

Array = np.ndarray[Any, np.dtype[Any]]
FORMAT = 1
_PAGE = 4096
_LEARNED = "learned/"


@dataclass(frozen=True)
class Block:
    """One part's features X float32 or float16 (n, d) and labels y int64 (n,).

    They are mapped from the file; or, where they are larger than memory, X stays there and y is a copy. On a
    cluster X is there, too (spread.py).
    """

    X: AnyRows
    y: Array


@dataclass(frozen=True)
class Features:
    """A verified feature file. ``key`` is the sha256 of the canonical JSON of ``meta``.

    ``learned``: what the feature learned from the training images, float32 (a, b), by name; ``parts``: the
    numbers of columns of the features that it is joined from; ``chunks``: the digests of the file's chunks,
    32 bytes each, by which another machine verifies the rows that it reads.
    """

    train: Block
    test: Block
    key: str
    meta: dict[str, Any]
    path: Path
    learned: dict[str, Array] = field(default_factory=dict)
    parts: tuple[int, ...] = ()
    chunks: bytes = b""

    @property
    def d(self) -> int:
        return int(self.train.X.shape[1])


def make_key(meta: dict[str, Any]) -> str:
    """The key of what ``meta`` describes: dataset, feature, version, parameters; never threads or paths.

    What float32 features are has no word of their dtype: their keys are older than the choice.
    """
    return digest(meta)


def feature_path(cache: Path, meta: dict[str, Any]) -> Path:
    name = f"{meta['dataset']['name']}-{meta['feature']['name']}-{make_key(meta)[:12]}.h5"
    return cache / "features" / name


def feature_bytes(n: int, d: int, dtype: str) -> int:
    """The bytes of the features, stored as ``dtype``, and labels of n images."""
    return n * (DTYPES[dtype] * d + 8)


def write_features(
    path: Path,
    meta: dict[str, Any],
    sizes: dict[str, int],
    d: int,
    fill: Callable[[str, NewRows, Array], None],
    learned: dict[str, Array] | None = None,
) -> None:
    """Write a feature file atomically: absent, old or new, never half.

    sizes: the rows of ``train`` and ``test``; ``fill(part, X, y)`` writes into X (n, d), float32 or
    what ``meta`` says, which are the file's own rows, and y int64 (n,), in memory; ``learned``: float32
    arrays (a, b) that belong to them. Raises ResourceError when the disk is too small, before any work.
    """
    shapes: dict[str, tuple[int, ...]] = {f"{part}/features": (sizes[part], d) for part in PARTS}
    shapes |= {f"{part}/labels": (sizes[part],) for part in PARTS}
    learned = learned or {}
    shapes |= {_LEARNED + name: array.shape for name, array in learned.items()}
    need = feature_bytes(sum(sizes.values()), d, stored_dtype(meta)) + (16 + len(learned)) * _PAGE + HEADER
    need += sum(array.nbytes for array in learned.values())
    with replacing(path, need) as temporary:
        # HDF5 ends the process when the disk fills up under it, so the space is asked for before, to learn
        # whether it is there, and taken after HDF5 has laid the file out, to keep it.
        allocate(temporary, need)
        step("write", temporary)
        places = _lay_out(temporary, meta, shapes)
        size = temporary.stat().st_size
        allocate(temporary, size)
        with filling(temporary) as write:
            rows = {
                name: NewRows(temporary, place["offset"], place["shape"], dtype_at(place), write)
                for name, place in places.items()
            }
            for name, array in learned.items():
                rows[_LEARNED + name][:] = array
            for part in PARTS:
                step("write", temporary)
                labels = np.zeros(sizes[part], np.int64)
                fill(part, rows[f"{part}/features"], labels)
                rows[f"{part}/labels"][:] = labels
            with ThreadPoolExecutor(2) as pool:
                sums = dict(zip(rows, pool.map(sha256_of_rows, rows.values()), strict=True))
            step("write", temporary)
            _record_checksums(temporary, sums)
            step("write", temporary)
            chunks = chunk_digests(OnDisk(temporary, 0, (size,), np.uint8), HEADER, size)
            write(dump_header(meta, places, size, hashlib.sha256(chunks).hexdigest()), 0)


def load_features(path: Path, meta: dict[str, Any]) -> Features:
    """Open what ``meta`` describes, verified, without copying.

    Raises MissingError when the file is not there and IntegrityError when it is not what was written.
    """
    if not path.is_file():
        raise MissingError(f"no features {path.name} in {path.parent}; `linclass extract` computes them")
    features = open_features(path, meta)
    if features.meta != meta:
        raise damaged(path, "it holds the features of something else than its name says", meta)
    return features


def open_features(path: Path, meta: dict[str, Any] | None = None) -> Features:
    """Verify a feature file and map its arrays; ``meta``, where it is known, is for the advice in errors.

    What does not fit into memory (`memory.stays_on_disk`) is verified, too, and stays in the file.
    Raises IntegrityError, or ResourceError where the file cannot be read.
    """
    pages = open_pages(path, meta)
    header = parse_header(path, pages[:HEADER].tobytes(), len(pages), meta)
    meta = meta or header["meta"]
    chunks = chunk_digests(pages, HEADER, len(pages))
    found = hashlib.sha256(chunks).hexdigest()
    if found != header["digest"]:
        raise damaged(path, f"digest {header['digest'][:12]}… expected, {found[:12]}… found", meta)
    views: dict[str, Any] = {name: view_place(pages, place) for name, place in header["places"].items()}
    if isinstance(pages, OnDisk):
        views = {name: view if name in FEATURES else view[:] for name, view in views.items()}
    train, test = (Block(views[f"{part}/features"], views[f"{part}/labels"]) for part in PARTS)
    learned = {name.removeprefix(_LEARNED): view for name, view in views.items() if name.startswith(_LEARNED)}
    return Features(train, test, make_key(header["meta"]), header["meta"], path, learned, chunks=chunks)


def open_rows(path: Path, chunks: bytes, part: str, first: int, stop: int) -> Array | OnDisk:
    """Some rows of the features of a part, of a file that ``chunks``, as Features has them, are known of.

    Only the chunks that hold them are read, and verified. Raises MissingError, IntegrityError where it is
    another file, or a damaged one, or ResourceError.
    """
    if not path.is_file():
        raise MissingError(f"no features {path.name} in {path.parent}")
    header = read_header(path)
    if header is None or header["digest"] != hashlib.sha256(chunks).hexdigest():
        raise damaged(path, "it is not the file that was asked for", header and header["meta"])
    place = header["places"][f"{part}/features"]
    dtype, d = dtype_at(place), place["shape"][1]
    at = place["offset"] + first * d * dtype.itemsize
    end = at + (stop - first) * d * dtype.itemsize
    a, b = (at - HEADER) // CHUNK, -(-(end - HEADER) // CHUNK)
    begin, size = HEADER + a * CHUNK, min(HEADER + b * CHUNK, header["size"]) - HEADER - a * CHUNK
    pages = open_pages(path, header["meta"], begin, size)
    if chunk_digests(pages, 0, size) != chunks[a * DIGEST : b * DIGEST]:
        raise damaged(path, f"rows {first:,} to {stop:,} do not match their digest", header["meta"])
    rows: Array | OnDisk = view_place(pages, {**place, "offset": at - begin, "shape": [stop - first, d]})
    return rows


def list_features(cache: Path) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Every feature file with its :func:`read_header`."""
    folder = cache / "features"
    for path in sorted(path for path in folder.iterdir() if path.suffix == ".h5") if folder.is_dir() else []:
        yield path, read_header(path)


def read_header(path: Path) -> dict[str, Any] | None:
    """The header of a feature file: meta, places, size, digest; None where it is damaged."""
    with contextlib.suppress(IntegrityError, OSError), open_regular(path) as file:
        return parse_header(path, file.read(HEADER), path.stat().st_size)
    return None


def _lay_out(path: Path, meta: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Create the HDF5 file with contiguous, unwritten datasets; where each of them lies."""
    import h5py

    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_layout(h5py.h5d.CONTIGUOUS)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    create.set_obj_track_times(False)  # equal content, equal bytes
    places: dict[str, Any] = {}
    dtype = stored_dtype(meta)
    floats = {"float32": h5py.h5t.IEEE_F32LE, "float16": h5py.h5t.IEEE_F16LE}
    with h5py.File(
        path, "w", userblock_size=HEADER, alignment_threshold=_PAGE, alignment_interval=_PAGE, locking=False
    ) as file:
        for name in sorted(shapes, key=lambda name: _rank(name, shapes[name], dtype)):
            group, leaf = name.split("/")
            shape, own = shapes[name], dtype if leaf == "features" else "float32"
            kind = h5py.h5t.STD_I64LE if leaf == "labels" else floats[own]
            space = h5py.h5s.create_simple(shape)
            dataset = h5py.h5d.create(file.require_group(group).id, leaf.encode(), kind, space, create)
            places[name] = {"offset": dataset.get_offset(), "shape": list(shape)}
            if own != "float32":  # what nothing is said of is float32, as in files from before the choice
                places[name]["dtype"] = own
        file.attrs["meta"] = canonical_json(meta)
        # As long as it will be: filling it in later moves nothing.
        file.attrs["checksums"] = np.bytes_(canonical_json(dict.fromkeys(shapes, "0" * 64)))
    return places


def _rank(name: str, shape: tuple[int, ...], dtype: str) -> int:
    """Where a dataset stands among the others: each is to begin at a multiple of its numbers' size.

    Those of a page or more do anyway; of others, which lie close together, the larger numbers come first.
    """
    if name.endswith("/features"):
        return -DTYPES[dtype] if DTYPES[dtype] * math.prod(shape) < _PAGE else -8
    return -4 if name.startswith(_LEARNED) else -8


def _record_checksums(path: Path, sums: dict[str, str]) -> None:
    import h5py

    with h5py.File(path, "r+", locking=False) as file:
        file.attrs.modify("checksums", np.bytes_(canonical_json(sums)))
