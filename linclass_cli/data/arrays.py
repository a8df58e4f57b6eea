"""Arrays in files, read block by block: .npy, .npz, HDF5 and idx, plain or gz. Nothing is unpickled.

A file is hostile until its bytes have been counted: what a header claims is not allocated before.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.errors import InputError

_BLOCK = 8 << 20  # bytes of rows that are read at a time
_IDX = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_DEPTH = 4  # of groups in HDF5
_MOST = 1000  # arrays in a file


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


def npy_array(path: Path) -> Stored:
    """The array of an .npy file, mapped."""
    with readable(path, ".npy"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    return sliced(str(path), array)


def npz_arrays(path: Path) -> dict[str, Stored]:
    """The arrays of an .npz file, by name."""
    with readable(path, ".npz"), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")][:_MOST]
        return {name[:-4]: _npz_member(path, archive, name) for name in names}


def _npz_member(path: Path, archive: zipfile.ZipFile, name: str) -> Stored:
    where = f"{path}:{name[:-4]}"
    with archive.open(name) as file:
        shape, fortran, kind = _npy_header(file, where)
    if fortran and len(shape) > 1:

        def blocks() -> Iterator[NDArray[Any]]:
            with readable(path, ".npz"), np.load(path, allow_pickle=False) as arrays:
                yield np.ascontiguousarray(arrays[name[:-4]])

    else:

        def blocks() -> Iterator[NDArray[Any]]:
            with readable(path, ".npz"), zipfile.ZipFile(path) as archive, archive.open(name) as file:
                _npy_header(file, where)
                yield from _streamed(file, shape, kind, where)

    return Stored(where, shape, kind, blocks)


def _npy_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, fortran, kind = np.lib.format.read_array_header_2_0(file)
    else:
        raise InputError(f"{where}: it is of format {version}, for structured arrays; save plain ones")
    if kind.hasobject:
        raise InputError(f"{where}: it holds Python objects, which are not loaded; save numbers or texts")
    return shape, fortran, kind


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


def sliced(where: str, array: Any) -> Stored:
    """An array that can be sliced: in memory, mapped, or of HDF5."""
    shape, kind = tuple(int(side) for side in array.shape), np.dtype(array.dtype)

    def blocks() -> Iterator[NDArray[Any]]:
        most = rows_at_once(shape, kind)
        for start in range(0, shape[0] if shape else 0, most):
            yield np.asarray(array[start : start + most])

    return Stored(where, shape, kind, blocks)


def idx_array(path: Path) -> Stored:
    """The array of an idx file, plain or gz."""
    with readable(path, "an idx file"), _opened(path) as file:
        shape, kind = _idx_header(file, path)

    def blocks() -> Iterator[NDArray[Any]]:
        with readable(path, "an idx file"), _opened(path) as file:
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
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            file.seek(0)
            yield file


def hdf5_arrays(path: Path) -> dict[str, Stored]:
    """The datasets of an HDF5 file, by their paths; none that lie in other files."""
    import h5py

    with readable(path, "HDF5"), h5py.File(path, "r") as file:
        names = list(_hdf5_names(file, "", 0))[:_MOST]
        return {name: _hdf5_dataset(path, file[name], name) for name in names}


def _hdf5_names(group: Any, prefix: str, depth: int) -> Iterator[str]:
    """The datasets below a group; links to other files, and links that go round, are not followed."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        if group.get(name, getclass=True) is h5py.Dataset:
            yield prefix + name
        elif depth < _DEPTH and group.get(name, getclass=True) is h5py.Group:
            yield from _hdf5_names(group[name], f"{prefix}{name}/", depth + 1)


def _hdf5_dataset(path: Path, dataset: Any, name: str) -> Stored:
    import h5py

    where = f"{path}:{name}"
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{where}: its values lie in other files, which are not read; save it as one file")
    shape, kind = tuple(int(side) for side in dataset.shape or ()), np.dtype(dataset.dtype)
    # Texts of all lengths: objects in memory, but of HDF5's own making, nothing pickled.
    texts = h5py.check_string_dtype(kind) is not None

    def blocks() -> Iterator[NDArray[Any]]:
        with readable(path, "HDF5"), h5py.File(path, "r") as file:
            if kind.hasobject and not texts:
                raise InputError(f"{where}: it holds neither numbers nor texts")
            yield from sliced(where, file[name]).blocks()

    return Stored(where, shape, kind, blocks)
