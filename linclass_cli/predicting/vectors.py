"""Vectors from files of NumPy's: .npy, or .npz with one array of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.data.arrays import Stored, npy_array, npz_arrays, readable
from linclass_cli.errors import InputError, ResourceError
from linclass_cli.predicting.sources import Failed
from linclass_cli.regular import open_regular

Array = np.ndarray[Any, np.dtype[Any]]
_ROWS = 4096
# What the array of vectors may be called where a file holds several.
_NAMES = ("X", "x", "features", "vectors", "embeddings")


def read_vectors(path: str, d: int) -> Iterator[tuple[list[str], Array] | Failed]:
    """The rows of a file as names ``path[i]`` and vectors float32 (m, d), thousands at a time; or why not."""
    if not os.path.lexists(path):
        yield Failed(path, "there is no such file", missing=True)
        return
    try:
        stored = _stored(Path(path))
        if stored.shape[-1:] != (d,) or len(stored.shape) > 2 or stored.kind.kind not in "fiu":
            raise InputError(f"it holds {stored.kind} {stored.shape}; the model wants numbers (n, {d})")
        done = 0
        for block in stored.blocks() if len(stored.shape) == 2 else [stored.whole()[None]]:
            for first in range(0, len(block), _ROWS):
                with np.errstate(over="ignore"):  # what float32 cannot hold has no scores, which is told
                    rows = np.asarray(block[first : first + _ROWS], np.float32)
                yield [f"{path}[{done + first + i}]" for i in range(len(rows))], rows
            done += len(block)
    except (InputError, ResourceError, OSError) as error:
        reason = str(getattr(error, "strerror", None) or error).removeprefix(path).lstrip(": ")
        yield Failed(path, reason)


def _stored(path: Path) -> Stored:
    """The array of vectors of a file. Raises InputError where it is not clear which it is, and OSError."""
    with readable(path, "a file of vectors"), open_regular(path) as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        return npy_array(path)
    arrays = npz_arrays(path)
    names = [name for name in _NAMES if name in arrays] or list(arrays)
    if len(names) != 1 and not set(names) & set(_NAMES):
        raise InputError(f"it holds {', '.join(arrays) or 'nothing'}: call the vectors X")
    return arrays[names[0]]
