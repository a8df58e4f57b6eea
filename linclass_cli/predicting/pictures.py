"""Picture files become one array of images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from linclass_cli.data.pictures import Frame, pillow_checked, read_picture
from linclass_cli.data.quick_png import packed_rows, quick_header, unfilter, unpack_rows
from linclass_cli.errors import InputError, MissingError
from linclass_cli.predicting.sources import Failed
from linclass_cli.threads import Spans, in_chunks

Array = np.ndarray[Any, np.dtype[Any]]
_CHUNK = 64  # small PNG files that a thread takes at a time
_SMALL = 1 << 15  # bytes of a file that is read whole, once


class File(NamedTuple):
    """A file that can be opened; ``content``: all its bytes, or none where it is not small."""

    path: str
    content: bytes


def read_file(path: str) -> File | Failed:
    """Open a file, and read it where it is small."""
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
    return File(path, content if len(content) < _SMALL else b"")


def read_pictures(files: list[File], frame: Frame) -> tuple[Array, dict[int, Failed]]:
    """Images, uint8 (n, *frame.shape), of n files, and by their index those that could not be read."""
    images = np.empty((len(files), *frame.shape), np.uint8)
    slow = _read_quickly(files, images)
    errors: dict[int, Failed] = {}

    def work(spans: Spans) -> None:
        for at, _ in spans:
            i = slow[at]
            try:
                images[i] = read_picture(Path(files[i].path), frame)
            except (InputError, MissingError) as error:
                errors[i] = Failed(files[i].path, str(error), isinstance(error, MissingError))

    if slow:
        with pillow_checked():
            in_chunks(work, len(slow))
    return images, errors


def _read_quickly(files: list[File], images: Array) -> list[int]:
    """Fill the images whose files are small and plain; the indices of the others."""
    _, height, width, channels = images.shape
    header, size = quick_header(images.shape[1:]), height * (1 + width * channels)
    packed = [packed_rows(file.content, header, size) if header else None for file in files]
    quick = [i for i, rows in enumerate(packed) if rows is not None]
    slow = {i for i, rows in enumerate(packed) if rows is None}

    def work(spans: Spans) -> None:
        for start, stop in spans:
            rows = {i: unpack_rows(packed[i] or b"", size) for i in quick[start:stop]}
            whole = [i for i in rows if rows[i]]
            slow.update(rows.keys() - whole)
            slow.update(_unfilter(b"".join(rows[i] or b"" for i in whole), whole, images))

    in_chunks(work, len(quick), _CHUNK)
    return sorted(slow)


def _unfilter(rows: bytes, which: list[int], images: Array) -> list[int]:
    """Fill the images with these indices from their rows; the indices of those that were not in order."""
    _, height, width, channels = images.shape
    out = np.empty((len(which), height, width * channels), np.uint8)
    good = np.empty(len(which), np.uint8)
    packed = np.frombuffer(rows, np.uint8).reshape(len(which), height, 1 + width * channels)
    unfilter(packed, channels, out, good)
    images[which] = out.reshape(-1, *images.shape[1:])
    return [i for i, is_good in zip(which, good, strict=True) if not is_good]
