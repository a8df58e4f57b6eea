"""The bytes of a feature file, mapped or on the disk: places in them as arrays, digests of their chunks."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.errors import ResourceError
from linclass_cli.feature_header import damaged, place_dtype
from linclass_cli.memory import stays_on_disk
from linclass_cli.on_disk import OnDisk
from linclass_cli.regular import check_regular
from linclass_cli.threads import available

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 8 << 20  # bytes a digest is taken of at a time
DIGEST = 32  # bytes of it


def open_pages(
    path: Path, meta: dict[str, Any] | None = None, first: int = 0, count: int | None = None
) -> Array | OnDisk:
    """A file's bytes, or some, mapped or on the disk. Raises IntegrityError or ResourceError."""
    try:
        check_regular(path)
        size = path.stat().st_size - first if count is None else count
        # Private pages: the arrays can be handed to kernels as any others, and the file cannot change.
        if stays_on_disk(size):
            return OnDisk(path, first, (size,), np.uint8)
        return np.memmap(path, np.uint8, "c", first, (size,))
    except ValueError:
        short = "the file is empty" if count is None else "the file is shorter than its header says"
        raise damaged(path, short, meta) from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror}") from error


def view_place(pages: Array | OnDisk, place: dict[str, Any]) -> Any:
    """The features or labels at a place of the file, as a plain array over its pages, or one on the disk."""
    dtype = dtype_at(place)
    if isinstance(pages, OnDisk):
        return pages.view(place["offset"], place["shape"], dtype)
    length = math.prod(place["shape"]) * dtype.itemsize
    whole = np.asarray(pages)
    return whole[place["offset"] : place["offset"] + length].view(dtype).reshape(place["shape"])


def dtype_at(place: dict[str, Any]) -> np.dtype[Any]:
    kind = place_dtype(place) if len(place["shape"]) == 2 else "int64"
    return np.dtype(kind).newbyteorder("<")


def chunk_digests(pages: Array | OnDisk, first: int, stop: int) -> bytes:
    """The sha256 digests of 8 MiB chunks of a file, one behind the other, taken by several threads.

    The digest of them all is the one of the header.
    """

    def chunk(start: int) -> bytes:
        return hashlib.sha256(pages[start : min(start + CHUNK, stop)].data).digest()

    with ThreadPoolExecutor(min(8, available())) as pool:
        return b"".join(pool.map(chunk, range(first, stop, CHUNK)))
