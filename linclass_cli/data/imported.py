"""The files of an imported dataset: arrays as .npy, whose every byte ``dataset.json`` vouches for.

    train-rows.npy, test-rows.npy      u8 (n, h, w, c) of pictures, or f32 (n, d) of vectors
    train-labels.npy, test-labels.npy  i64 (n,), 0 to k-1
    sources.json                       what each row was called, what was skipped, what stands in both parts
    dataset.json                       classes, shape, the sha256 of the files, and a digest of all that

Nothing is unpickled: an array's header is compared with what it should be, byte for byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.atomic import allocate, step, write_bytes, write_json, write_new
from linclass_cli.data.info import MANIFEST, DatasetInfo, dataset_folder, sha256_of
from linclass_cli.data.own import ARRAYS, FORMAT, SOURCES, Description, content_digest, read_own
from linclass_cli.errors import IntegrityError, ResourceError
from linclass_cli.memory import require, stays_on_disk
from linclass_cli.on_disk import OnDisk, sha256_of_rows
from linclass_cli.regular import check_regular
from linclass_cli.seal import seal

Part = tuple[Any, NDArray[np.int64]]  # rows, an array or `OnDisk`, and labels
_BLOCK = 256  # rows copied at a time


def require_rows(n: int, row: int) -> None:
    """Raise ResourceError where n rows of so many bytes surely do not fit while they are imported."""
    # They wait in one file, and half of them at least go to the next; of each a label and a digest is held,
    # by lists and arrays: 75 bytes a row were measured.
    require(f"importing {n:,} rows", {"labels and digests": 50 * n}, {"rows": n * row + n * row // 2})


def mapped(file: Path, shape: tuple[int, ...], kind: np.dtype[Any], offset: int = 0) -> NDArray[Any]:
    """The pages of a file, from ``offset`` on, as an array that can be written; the disk is asked first.

    Raises ResourceError where the disk does not have the space.
    """
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    allocate(file, offset + size)
    if size == 0:
        return np.empty(shape, kind)
    step("write", file)
    return np.asarray(np.memmap(file, kind, "r+", offset, shape))


def write_part(
    folder: Path, part: str, rows: NDArray[Any], codes: NDArray[Any], chosen: NDArray[Any]
) -> None:
    """Write the rows and labels that are ``chosen`` (their numbers) as the two arrays of one part."""
    kind = np.dtype(np.uint8) if rows.dtype == np.uint8 else np.dtype("<f4")
    target = _new_array(folder / f"{part}-rows.npy", (len(chosen), *rows.shape[1:]), kind)
    for start in range(0, len(chosen), _BLOCK):
        some = chosen[start : start + _BLOCK]
        target[start : start + len(some)] = rows[some]
    _new_array(folder / f"{part}-labels.npy", (len(chosen),), np.dtype("<i8"))[:] = codes[chosen]


def write_description(folder: Path, about: dict[str, Any], sources: dict[str, Any]) -> None:
    """Write ``sources.json`` and, last, ``dataset.json`` into a folder that has the arrays.

    about: name, kind, classes, image_shape, fit, n_train, n_test, source, typed, fingerprint.
    """
    write_json(folder / SOURCES, sources)
    names = [*ARRAYS, SOURCES]
    with ThreadPoolExecutor(len(names)) as pool:
        sums = list(pool.map(lambda name: sha256_of(folder / name), names))
    members = [
        {"name": name, "size": (folder / name).stat().st_size, "sha256": found}
        for name, found in zip(names, sums, strict=True)
    ]
    found = {"format": FORMAT, **about, "members": members}
    write_bytes(folder / MANIFEST, seal({"digest": content_digest(found), **found}))


def load_imported(name: str, cache_dir: Path) -> tuple[DatasetInfo, dict[str, Part]]:
    """The parts ``train`` and ``test`` of an imported dataset, mapped from its files, verified first.

    Each is (rows u8 (n, h, w, c) or f32 (n, d), labels i64 (n,)). Rows that do not fit into memory
    (`memory.stays_on_disk`) stay in their file, verified, too.

    Raises:
        MissingError: there is none of that name.
        IntegrityError: a file differs from what it should be.
        ResourceError: a file cannot be read.
    """
    about = read_own(name, cache_dir)
    folder, info = dataset_folder(name, cache_dir), about.info
    shape = (info.d,) if info.d else info.image_shape
    kind = np.dtype("<f4") if info.d else np.dtype(np.uint8)
    sizes = (info.n_train, info.n_test)
    shapes = [one for n in sizes for one in ((n, *shape), (n,))]
    kinds = (kind, np.dtype("<i8")) * 2
    # Of both parts together, and asked here: what was given by --memory is not known to other threads.
    large = stays_on_disk(sum(sizes) * math.prod(shape) * kind.itemsize)
    left = (large, False) * 2
    with ThreadPoolExecutor(len(ARRAYS)) as pool:
        arrays = list(
            pool.map(
                lambda job: _load_array(folder, about, *job), zip(ARRAYS, shapes, kinds, left, strict=True)
            )
        )
    train, train_labels, test, test_labels = arrays
    for labels in (train_labels, test_labels):
        if labels.size and not 0 <= labels.min() <= labels.max() < len(info.classes):
            raise IntegrityError(f"{folder}: there is a label that is no class; {about.mend}")
    return info, {"train": (train, train_labels), "test": (test, test_labels)}


def load_sources(name: str, cache_dir: Path) -> dict[str, Any]:
    """``sources.json``, verified: ``files`` (what the rows of train and test were called), ``skipped``,
    ``ignored`` and ``duplicates``. Raises as :func:`load_imported`.
    """
    about, path = read_own(name, cache_dir), dataset_folder(name, cache_dir) / SOURCES
    try:
        found: dict[str, Any] = json.loads(_verified(path, about).tobytes())
        _check_sources(found)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IntegrityError(f"{path} does not say where the rows are from; {about.mend}") from None
    return found


def _check_sources(found: dict[str, Any]) -> None:
    """Raise ValueError, or what else nonsense gives, unless it is what reports are made of."""
    texts = [one[key] for one in found["skipped"] for key in ("path", "reason")] + found["ignored"]
    groups = [one[key] for one in found["duplicates"] for key in ("train", "test", "classes")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    if not all(group and isinstance(group, list) and isinstance(group[0], str | int) for group in groups):
        raise ValueError


def _header(shape: tuple[int, ...], kind: np.dtype[Any]) -> bytes:
    """The beginning of an .npy file of such an array."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    )
    return text.getvalue()


def _new_array(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    header = _header(shape, kind)
    write_new(path, header)
    return mapped(path, shape, kind, len(header))


def _load_array(
    folder: Path, about: Description, name: str, shape: tuple[int, ...], kind: np.dtype[Any], left: bool
) -> Any:
    """``left``: where it is, on the disk."""
    header = _header(shape, kind)
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if left:
        return _left_on_disk(folder / name, about, header, shape, kind)
    pages = _verified(folder / name, about)
    if pages[: len(header)].tobytes() != header or len(pages) != len(header) + size:
        raise IntegrityError(f"{folder / name}: expected an array {kind} {shape}; {about.mend}")
    return pages[len(header) :].view(kind).reshape(shape)


def _left_on_disk(
    path: Path, about: Description, header: bytes, shape: tuple[int, ...], kind: np.dtype[Any]
) -> OnDisk:
    """Rows that are read when they are wanted; the file has been read once, to verify it."""
    size, wanted = about.members[path.name]
    try:
        pages = OnDisk(path, 0, (path.stat().st_size,), np.uint8)
        rows = pages.view(len(header), shape, kind)
        sound = len(pages) == size == len(header) + len(rows) * rows.width
        sound = sound and pages[: len(header)].tobytes() == header and sha256_of_rows(pages) == wanted
    except FileNotFoundError:
        sound = False
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    if not sound:
        raise IntegrityError(f"{path}: it is not what was imported; {about.mend}")
    return rows


def _verified(path: Path, about: Description) -> NDArray[np.uint8]:
    """The bytes of a file, mapped as private pages: what was hashed is what is used."""
    size, wanted = about.members[path.name]
    try:
        check_regular(path)
        found_size = path.stat().st_size
        if found_size != size:
            raise IntegrityError(f"{path}: expected {size} bytes, found {found_size}; {about.mend}")
        pages = np.asarray(np.memmap(path, np.uint8, "c"))
    except FileNotFoundError:
        raise IntegrityError(f"{path}: expected {size} bytes, found no file; {about.mend}") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    found = hashlib.sha256(pages.data).hexdigest()
    if found != wanted:
        raise IntegrityError(f"{path}: expected sha256 {wanted}, found {found}; {about.mend}")
    return pages
