"""Arrays in files, read block by block: .npy, .npz and idx, plain or gz (`hdf5`: HDF5). Nothing is unpickled.

A file is hostile until its bytes have been counted: what a header claims is not allocated before, and no more
is read than so many bytes can hold.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from linclass_cli.errors import InputError
from linclass_cli.memory import require, stays_on_disk
from linclass_cli.on_disk import OnDisk
from linclass_cli.regular import open_regular

PACKED = 1032  # times its own size that deflate can unpack to, at most (zlib.net/zlib_tech.html)
_BLOCK = 8 << 20  # bytes of rows that are read at a time
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST = 1000  # arrays in a file
_LONGEST_HEADER = 10_000  # bytes of an .npy header, as numpy has it


@dataclass(frozen=True)
class Stored:
    """An array in a file: its shape and dtype, and its blocks of rows, first to last, (m, ...) each."""

    where: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    blocks: Callable[[], Iterator[NDArray[Any]]]

    def whole(self) -> NDArray[Any]:
        """The array in memory."""
        parts = list(self.blocks())
        return np.concatenate(parts) if parts else np.empty(self.shape, self.kind)

    def __str__(self) -> str:
        return f"{self.where.rpartition(':')[2]} {self.kind} {self.shape}"


@contextlib.contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Whatever a reader raises over a damaged or hostile file becomes one line."""
    try:
        yield
    except (InputError, MemoryError, PermissionError):
        raise
    except Exception as error:
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        raise InputError(f"{path} cannot be read as {what}: {reason[:200]}") from error


def rows_at_once(shape: tuple[int, ...], kind: np.dtype[Any]) -> int:
    """How many rows make a block."""
    return max(1, _BLOCK // max(1, math.prod(shape[1:]) * kind.itemsize))


def check_claim(where: str, shape: tuple[int, ...], kind: np.dtype[Any], most: int) -> None:
    """Raise InputError where an array cannot be in the bytes that there are, ``most`` of them unpacked."""
    claimed = math.prod(shape) * kind.itemsize
    if claimed > most or any(side < 0 for side in shape):
        raise InputError(
            f"{where}: it claims to be {kind} {shape}, {claimed:,} bytes, and has at most {most:,}"
        )


def npy_array(path: Path) -> Stored:
    """The array of an .npy file, mapped; one that does not fit into memory is read when it is wanted."""
    with readable(path, ".npy"), open_regular(path) as file:
        shape, fortran, kind = _npy_header(file, str(path))
        start = file.tell()
        check_claim(str(path), shape, kind, os.fstat(file.fileno()).st_size - start)
        if 0 in shape:
            return sliced(str(path), np.empty(shape, kind))
        if shape and not fortran and stays_on_disk(math.prod(shape) * kind.itemsize):
            return sliced(str(path), OnDisk(path, start, shape, kind))
        return sliced(str(path), np.memmap(file, kind, "r", start, shape, "F" if fortran else "C"))


def npz_arrays(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file, by name."""
    with readable(path, ".npz"), open_regular(path) as file, zipfile.ZipFile(file) as archive:
        names = (name for name in archive.namelist() if name.endswith(".npy"))
        return {name[:-4]: _npz_member(path, archive, name) for name in itertools.islice(names, _MOST)}


def _npz_member(path: Path, archive: zipfile.ZipFile, name: str) -> Stored:
    where, about = f"{path}:{name[:-4]}", archive.getinfo(name)
    if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{where}: it is packed in a way that numpy does not write; save it by np.savez")
    with archive.open(name) as file:
        shape, fortran, kind = _npy_header(file, where)
    check_claim(where, shape, kind, min(about.file_size, PACKED * about.compress_size))
    if fortran and len(shape) > 1:

        def blocks() -> Iterator[NDArray[Any]]:
            # Rows lie apart from each other: it must be read whole.
            require(f"reading {where}", {"the array": math.prod(shape) * kind.itemsize})
            with readable(path, ".npz"), np.load(path, allow_pickle=False) as arrays:
                yield from sliced(where, arrays[name[:-4]]).blocks()

    else:

        def blocks() -> Iterator[NDArray[Any]]:
            with readable(path, ".npz"), zipfile.ZipFile(path) as archive, archive.open(name) as file:
                _npy_header(file, where)
                yield from _streamed(file, shape, kind, where)

    return Stored(where, shape, kind, blocks)


def _npy_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether in Fortran's order, dtype) of what follows in the file."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise InputError(f"{where}: it is of format {version}, for structured arrays; save plain ones")
    length = file.read(2 * version[0])
    if int.from_bytes(length, "little") > _LONGEST_HEADER:  # before it is read
        raise InputError(f"{where}: its header is longer than {_LONGEST_HEADER:,} bytes")
    header = io.BytesIO(length + file.read(int.from_bytes(length, "little")))
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2's numbers, and of the parser's, which show its text
            shape, fortran, kind = read(header)
    except MemoryError:  # of the parser's stack, over signs or brackets in each other
        raise InputError(f"{where}: its header makes no sense") from None
    if kind.hasobject:
        raise InputError(f"{where}: it holds Python objects, which are not loaded; save numbers or texts")
    return tuple(int(side) for side in shape), fortran, kind


def _streamed(
    file: IO[bytes], shape: tuple[int, ...], kind: np.dtype[Any], where: str
) -> Iterator[NDArray[Any]]:
    """Blocks of rows from a stream of bytes; as many as it has, never as many as it claims."""
    if not shape:
        shape = (1,)
    width, most = math.prod(shape[1:]) * kind.itemsize, rows_at_once(shape, kind)
    for start in range(0, shape[0], most):
        count = min(most, shape[0] - start)
        content = file.read(count * width)
        while len(content) < count * width and (more := file.read(count * width - len(content))):
            content += more
        if len(content) < count * width:
            row = start + len(content) // max(1, width)
            raise InputError(f"{where}: it claims {shape[0]:,} rows, and ends within row {row:,}")
        yield np.frombuffer(content, kind).reshape(count, *shape[1:])
    if file.read(1):
        raise InputError(f"{where}: it goes on behind the {shape[0]:,} rows that it claims")


def sliced(where: str, array: Any, rows: int | None = None) -> Stored:
    """An array that can be sliced: in memory, mapped, or of HDF5; ``rows``: how many at a time."""
    shape, kind = tuple(int(side) for side in array.shape), np.dtype(array.dtype)

    def blocks() -> Iterator[NDArray[Any]]:
        most = rows or rows_at_once(shape, kind)
        for start in range(0, shape[0] if shape else 0, most):
            yield np.asarray(array[start : start + most])

    return Stored(where, shape, kind, blocks)


def idx_array(path: Path) -> Stored:
    """The array of an idx file, plain or gz."""
    with readable(path, "an idx file"), _opened(path) as (file, most):
        shape, kind = _idx_header(file, path)
        check_claim(str(path), shape, kind, most)

    def blocks() -> Iterator[NDArray[Any]]:
        with readable(path, "an idx file"), _opened(path) as (file, _):
            _idx_header(file, path)
            yield from _streamed(file, shape, kind, str(path))

    return Stored(str(path), shape, kind, blocks)


def _idx_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _IDX or not 1 <= magic[3] <= 4:
        raise InputError(
            f"{path}: expected an idx file, which begins with 0000 and a type, found {magic.hex()}"
        )
    sides = file.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise InputError(f"{path}: the header of the idx file ends early")
    shape = tuple(int.from_bytes(sides[i : i + 4], "big") for i in range(0, len(sides), 4))
    return shape, np.dtype(_IDX[magic[2]])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """The bytes of a file, unpacked where they begin like gzip, and how many they may be."""
    with open_regular(path) as file:
        size, magic = os.fstat(file.fileno()).st_size, file.read(2)
        file.seek(0)
        if magic != b"\x1f\x8b":
            yield file, size
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast(IO[bytes], unpacked), PACKED * size
