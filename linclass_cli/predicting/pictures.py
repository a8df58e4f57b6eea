"""Picture files become one array of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.data.pictures import Frame, pillow_checked, read_picture
from linclass_cli.data.quick_png import packed_rows, quick_header, unfilter, unpack_rows
from linclass_cli.errors import InputError, MissingError
from linclass_cli.predicting.sources import Failed
from linclass_cli.threads import Spans, in_chunks

Array = np.ndarray[Any, np.dtype[Any]]
_CHUNK = 32  # files that a thread takes at a time
_SMALL = 1 << 15  # bytes of a file that is read whole, once


def read_small(path: str) -> bytes | Failed:
    """All bytes of a file; none where it is not small."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            content = os.read(file, _SMALL)
        finally:
            os.close(file)
    except (FileNotFoundError, NotADirectoryError):
        return Failed(path, "there is no such file", missing=True)
    except (OSError, ValueError) as error:
        return Failed(path, f"it cannot be read: {(getattr(error, 'strerror', None) or str(error)).lower()}")
    return content if len(content) < _SMALL else b""


def read_pictures(paths: list[str], frame: Frame) -> tuple[Array, dict[int, Failed]]:
    """Images, uint8 (n, *frame.shape), of n files, and by their index those that could not be read."""
    images = np.empty((len(paths), *frame.shape), np.uint8)
    slow, errors = _read_quickly(paths, images)

    def work(spans: Spans) -> None:
        for at, _ in spans:
            i = slow[at]
            try:
                images[i] = read_picture(Path(paths[i]), frame)
            except (InputError, MissingError) as error:
                errors[i] = Failed(paths[i], str(error), isinstance(error, MissingError))

    if slow:
        with pillow_checked():
            in_chunks(work, len(slow))
    return images, errors


def _read_quickly(paths: list[str], images: Array) -> tuple[list[int], dict[int, Failed]]:
    """Fill the images whose files are small and plain; the indices of the others, and what cannot be opened.

    Threads take some files at a time, and open all of them before they unpack any: threads that need the
    interpreter for moments, in turns, wait for each other, and the more so the shorter those are.
    """
    _, height, width, channels = images.shape
    header, size = quick_header(images.shape[1:]), height * (1 + width * channels)
    slow: set[int] = set()
    errors: dict[int, Failed] = {}

    def work(spans: Spans) -> None:
        for start, stop in spans:
            contents = {i: read_small(paths[i]) for i in range(start, stop)}
            failed = {i: content for i, content in contents.items() if isinstance(content, Failed)}
            packed = {
                i: packed_rows(content, header, size)
                for i, content in contents.items()
                if header and isinstance(content, bytes)
            }
            unpacked = {i: unpack_rows(rows, size) for i, rows in packed.items() if rows is not None}
            done = {i: rows for i, rows in unpacked.items() if rows is not None}
            errors.update(failed)
            slow.update(contents.keys() - failed.keys() - done.keys())
            slow.update(_unfilter(b"".join(done.values()), list(done), images))

    in_chunks(work, len(paths), _CHUNK)
    return sorted(slow), errors


def _unfilter(rows: bytes, which: list[int], images: Array) -> list[int]:
    """Fill the images with these indices from their rows; the indices of those that were not in order."""
    _, height, width, channels = images.shape
    out = np.empty((len(which), height, width * channels), np.uint8)
    good = np.empty(len(which), np.uint8)
    packed = np.frombuffer(rows, np.uint8).reshape(len(which), height, 1 + width * channels)
    unfilter(packed, channels, out, good)
    images[which] = out.reshape(-1, *images.shape[1:])
    return [i for i, is_good in zip(which, good, strict=True) if not is_good]
