"""Arrays in HDF5 files. Datasets that lie in other files are refused, links out of the file not followed.

An HDF5 file can claim any amount of data without holding it: chunks that were never written are filled with
one value, chunks that were are unpacked whole, texts of any length are shared by any number of rows.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.arrays import PACKED, Stored, readable, rows_at_once, sliced
from linclass_cli.errors import InputError
from linclass_cli.memory import require

_DEPTH = 4  # of groups
_MOST = 1000  # arrays in a file
_UNWRITTEN = 1 << 24  # bytes of a dataset that need not have been written
_LARGEST_CHUNK = 1 << 30  # bytes, unpacked
_TEXTS = 1 << 26  # bytes of texts that are read at a time, however long each of them is
_LONGEST_TEXT = 1 << 12


def hdf5_arrays(path: Path) -> dict[str, Stored]:
    """The datasets of an HDF5 file, by their paths; none that lie in other files."""
    import h5py

    with readable(path, "HDF5"), h5py.File(path, "r") as file:
        names = list(itertools.islice(_names(file, "", 0, set()), _MOST))
        return {name: _dataset(path, file[name], name) for name in names}


def _names(group: Any, prefix: str, depth: int, seen: set[Any]) -> Iterator[str]:
    """The datasets below a group; links to other files, and groups that have been seen, are not followed."""
    import h5py

    about = h5py.h5o.get_info(group.id)
    if (about.fileno, about.addr) in seen:
        return
    seen.add((about.fileno, about.addr))
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        if group.get(name, getclass=True) is h5py.Dataset:
            yield prefix + name
        elif depth < _DEPTH and group.get(name, getclass=True) is h5py.Group:
            yield from _names(group[name], f"{prefix}{name}/", depth + 1, seen)


def _dataset(path: Path, dataset: Any, name: str) -> Stored:
    import h5py

    where = f"{path}:{name}"
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{where}: its values lie in other files, which are not read; save it as one file")
    shape, kind = tuple(int(side) for side in dataset.shape or ()), np.dtype(dataset.dtype)
    claimed, held = math.prod(shape) * kind.itemsize, dataset.id.get_storage_size()
    if claimed > max(_UNWRITTEN, PACKED * held):
        raise InputError(
            f"{where}: it claims to be {kind} {shape}, {claimed:,} bytes, and most of it was never written"
        )
    # Texts of all lengths: objects in memory, but of HDF5's own making, nothing pickled.
    texts = h5py.check_string_dtype(kind) is not None
    chunk = dataset.chunks
    room = math.prod(chunk) * kind.itemsize if chunk else 0
    if room > _LARGEST_CHUNK:
        raise InputError(
            f"{where}: its chunks of {room:,} bytes are too large to be read; save it with smaller"
        )

    def blocks() -> Iterator[NDArray[Any]]:
        if kind.hasobject and not texts:
            raise InputError(f"{where}: it holds neither numbers nor texts")
        require(f"reading {where}", {"chunks": 2 * room})
        with readable(path, "HDF5"), h5py.File(path, "r") as file:
            if kind.hasobject:
                yield from _texts(where, file[name], path.stat().st_size)
            else:
                # Whole chunks: each is unpacked whenever a part of it is read.
                most = rows_at_once(shape, kind)
                yield from sliced(where, file[name], most + -most % chunk[0] if chunk else most).blocks()

    return Stored(where, shape, kind, blocks)


def _texts(where: str, dataset: Any, size: int) -> Iterator[NDArray[Any]]:
    """Texts, so many at a time that they have room even where each is as long as the file, of ``size``."""
    most = max(16, min(4096, _TEXTS // max(1, size)))
    for block in sliced(where, dataset, most).blocks():
        if any(len(text) > _LONGEST_TEXT for text in block.ravel()):
            raise InputError(
                f"{where}: it holds a text of over {_LONGEST_TEXT:,} characters: that is no label"
            )
        yield block
