"""Vectors from files of NumPy's: .npy, or .npz with one array of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from linclass_cli.predicting.sources import Failed

Array = np.ndarray[Any, np.dtype[Any]]
_ROWS = 4096
# What the array of vectors may be called where a file holds several.
_NAMES = ("X", "x", "features", "vectors", "embeddings")


def read_vectors(path: str, d: int) -> Iterator[tuple[list[str], Array] | Failed]:
    """The rows of a file as names ``path[i]`` and vectors float32 (m, d), thousands at a time; or why not."""
    try:
        X = _open(path)
        if X.ndim == 1:
            X = X[None]
        if X.ndim != 2 or X.shape[1] != d or X.dtype.kind not in "fiu":
            yield Failed(path, f"it holds {X.dtype} {X.shape}; the model wants numbers (n, {d})")
            return
        for first in range(0, len(X), _ROWS):
            rows = np.asarray(X[first : first + _ROWS], np.float32)
            yield [f"{path}[{first + i}]" for i in range(len(rows))], rows
    except FileNotFoundError:
        yield Failed(path, "there is no such file", missing=True)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        yield Failed(path, f"it cannot be read as a file of vectors: {error}")


def _open(path: str) -> Array:
    """The array of a file, mapped where it can be; nothing is unpickled."""
    with open(path, "rb") as file:  # noqa: PTH123
        if file.read(2) == b"PK":
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return _chosen(arrays)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _chosen(arrays: Any) -> Array:
    """The array of vectors among several."""
    names = [name for name in _NAMES if name in arrays.files] or arrays.files
    if len(names) != 1 and not set(names) & set(_NAMES):
        raise ValueError(f"it holds {', '.join(arrays.files) or 'nothing'}: call the vectors X")
    return np.asarray(arrays[names[0]])
