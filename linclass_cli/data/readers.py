"""From verified members to arrays. Nothing is unpickled, and no header is believed before it is checked."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.manifest import DatasetInfo, dataset_folder, describe_dataset
from linclass_cli.data.registry import DATASETS, DatasetSpec, MemberSpec
from linclass_cli.errors import InputError, IntegrityError, ResourceError, at_cache
from linclass_cli.regular import check_regular
from linclass_cli.threads import Spans, in_chunks

__all__ = ["Dataset", "DatasetInfo", "Split", "describe_dataset", "load_dataset", "read_idx"]

_CHUNK = 1 << 20  # bytes of a member that are read, digested and taken apart while they are in the cache


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a dataset: ``images`` u8 (n, h, w, c), C-contiguous; ``labels`` i64 (n,) from 0 to k-1."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels; ``digest`` is the sha256 (hex) that names the content, ``classes`` the k names."""

    name: str
    digest: str
    classes: tuple[str, ...]
    train: Split
    test: Split


def load_dataset(name: str, cache_dir: Path) -> Dataset:
    """Read a dataset from the cache (embedded ones from the packages), every byte verified first.

    Raises:
        MissingError: the name is unknown, or the dataset is not in the cache.
        InputError: it holds vectors, no images.
        IntegrityError: a file differs from what it should be.
        ResourceError: a file cannot be read.
    """
    if name not in DATASETS:
        return _load_own(name, cache_dir)
    spec = DATASETS[name]
    info = describe_dataset(name, cache_dir)
    if spec.form == "embedded":
        from linclass_cli.data.embedded import cut_textures

        train, test = (Split(*part) for part in cut_textures())
    else:
        read = _read_cifar if spec.form == "cifar" else _read_idx
        train, test = read(spec, dataset_folder(name, cache_dir))
    return Dataset(name, info.digest, info.classes, train, test)


def _load_own(name: str, cache_dir: Path) -> Dataset:
    from linclass_cli.data.imported import load_imported

    info, parts = load_imported(name, cache_dir)
    if info.kind == "vectors":
        raise InputError(f"{name} holds vectors, no images: take `--feature vectors`")
    return Dataset(name, info.digest, info.classes, Split(*parts["train"]), Split(*parts["test"]))


def read_member(spec: DatasetSpec, folder: Path, name: str) -> bytes:
    """The bytes of one member, verified; raises as :func:`load_dataset`."""
    return b"".join(bytes(chunk) for chunk in _member_chunks(spec, folder, name, _CHUNK))


def _member_chunks(spec: DatasetSpec, folder: Path, name: str, size: int) -> Iterator[memoryview]:
    """A member's bytes, ``size`` at a time, each time in the same memory: small enough to stay in the cache.

    What was yielded is verified only when the last chunk is through; IntegrityError is raised then.
    """
    member = _by_name(spec)[name]
    path = folder / name
    mend = f"run `linclass download {spec.name}{at_cache(folder.parent.parent)}`"
    digest = hashlib.sha256()
    room = memoryview(bytearray(size))
    try:
        check_regular(path)
        with path.open("rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            if length != member.size:
                raise IntegrityError(f"{path}: expected {member.size} bytes, found {length}; {mend}")
            while length:
                chunk = room[: min(size, length)]
                got = 0
                while got < len(chunk):
                    more = file.readinto(chunk[got:])
                    if not more:
                        raise IntegrityError(f"{path}: it became shorter while it was read; {mend}")
                    got += more
                digest.update(chunk)
                yield chunk
                length -= len(chunk)
    except FileNotFoundError:
        raise IntegrityError(f"{path}: expected {member.size} bytes, found no file; {mend}") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    if digest.hexdigest() != member.sha256:
        raise IntegrityError(f"{path}: expected sha256 {member.sha256}, found {digest.hexdigest()}; {mend}")


def _by_name(spec: DatasetSpec) -> Mapping[str, MemberSpec]:
    return {member.name: member for member in spec.members}


def _read_cifar(spec: DatasetSpec, folder: Path) -> tuple[Split, Split]:
    """The records of all CIFAR members, train's and test's; threads read and verify members."""
    record = spec.label_bytes + math.prod(spec.image_shape)
    names = spec.train + spec.test
    ends = list(accumulate(_by_name(spec)[name].size // record for name in names))
    wanted, found = (spec.n_train, spec.n_train + spec.n_test), (ends[len(spec.train) - 1], ends[-1])
    if found != wanted:
        raise IntegrityError(f"{folder}: expected {wanted} images in {', '.join(names)}, found {found}")
    # Everything has its place from the start: putting parts together took as long as reading them.
    n = ends[-1]
    split = Split(np.empty((n, *spec.image_shape), dtype=np.uint8), np.empty(n, dtype=np.int64))

    def work(spans: Spans) -> None:
        for i, _ in spans:
            done = begin = ends[i - 1] if i else 0
            for chunk in _member_chunks(spec, folder, names[i], _CHUNK // record * record or record):
                records = cifar_records(chunk, record, str(folder / names[i]))
                rows = slice(done, done + len(records))
                take_cifar(records, split.images[rows], split.labels[rows])
                done = rows.stop
            check_labels(split.labels[begin:done], len(spec.classes), str(folder / names[i]))

    in_chunks(work, len(names))
    train, test = slice(spec.n_train), slice(spec.n_train, None)
    return Split(split.images[train], split.labels[train]), Split(split.images[test], split.labels[test])


def cifar_records(content: bytes | memoryview, record: int, where: str) -> NDArray[np.uint8]:
    if not content or len(content) % record:
        raise IntegrityError(f"{where}: expected whole records of {record} bytes, found {len(content)} bytes")
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, record)


def take_cifar(records: NDArray[np.uint8], images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Fill images (n, h, w, c) and labels (n,), not checked, from records (n, label_bytes + h*w*c)."""
    n, height, width, channels = images.shape
    start = records.shape[1] - height * width * channels
    labels[:] = records[:, start - 1]
    pixels = images.reshape(n, height * width, channels)
    for channel in range(channels):  # plane by plane: sixteen times as fast as one transposed copy
        first = start + channel * height * width
        pixels[:, :, channel] = records[:, first : first + height * width]


def _read_idx(spec: DatasetSpec, folder: Path) -> tuple[Split, Split]:
    return (
        _read_idx_part(spec, folder, spec.train, spec.n_train),
        _read_idx_part(spec, folder, spec.test, spec.n_test),
    )


def _read_idx_part(spec: DatasetSpec, folder: Path, names: tuple[str, ...], n: int) -> Split:
    """An idx file of images and one of labels."""
    image_name, label_name = names
    height, width, _ = spec.image_shape
    images = read_idx(
        read_member(spec, folder, image_name), (n, height, width), where=str(folder / image_name)
    )
    labels = read_idx(read_member(spec, folder, label_name), (n,), where=str(folder / label_name))
    check_labels(labels, len(spec.classes), str(folder / label_name))
    return Split(images[..., None].copy(), labels.astype(np.int64))


def read_idx(content: bytes, shape: tuple[int, ...], *, where: str = "idx file") -> NDArray[np.uint8]:
    """The array of an idx file of bytes: u8 of ``shape``, a view of ``content``.

    The header is two zeros, 8 (for bytes), the number of dimensions, and each dimension as big-endian u32.

    Raises:
        IntegrityError: another magic number or other dimensions than ``shape``, or too few or many bytes.
    """
    start = 4 + 4 * len(shape)
    magic = bytes((0, 0, 8, len(shape)))
    if content[:4] != magic:
        raise IntegrityError(
            f"{where}: expected magic number {magic.hex()}, found {content[:4].hex() or 'none'}"
        )
    sides = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) < start or sides != shape:
        raise IntegrityError(f"{where}: expected dimensions {shape}, found {sides}")
    if len(content) - start != math.prod(shape):
        raise IntegrityError(
            f"{where}: expected {math.prod(shape)} bytes after the header, found {len(content) - start}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def check_labels(labels: NDArray[np.integer[Any]], n_classes: int, where: str) -> None:
    if labels.size and int(labels.max()) >= n_classes:
        raise IntegrityError(f"{where}: expected labels below {n_classes}, found {int(labels.max())}")
