"""What lies in the cache: ``dataset.json``, and whether the members beside it are what they should be.

``dataset.json`` is written last, so a dataset without it is not there. No numpy here.
"""

from __future__ import annotations

import json
from pathlib import Path

from linclass_cli.atomic import write_json
from linclass_cli.data.info import (
    LARGEST_MANIFEST,
    MANIFEST,
    Advance,
    DatasetInfo,
    dataset_folder,
    ignore,
    sha256_of,
)
from linclass_cli.data.own import read_own
from linclass_cli.data.registry import DATASETS, DatasetSpec, MemberSpec, dataset_digest
from linclass_cli.errors import IntegrityError, MissingError, ResourceError, at_cache
from linclass_cli.regular import read_regular

__all__ = [
    "MANIFEST",
    "Advance",
    "DatasetInfo",
    "dataset_folder",
    "describe_dataset",
    "ignore",
    "sha256_of",
]


def expected_info(spec: DatasetSpec) -> DatasetInfo:
    """The identity that an intact copy of a known dataset has."""
    return DatasetInfo(
        spec.name, dataset_digest(spec), spec.classes, spec.image_shape, spec.n_train, spec.n_test
    )


def member_is_intact(folder: Path, member: MemberSpec) -> bool:
    """Whether a regular file of that name, size and sha256 is in the folder."""
    path = folder / member.name
    try:
        return path.is_file() and path.stat().st_size == member.size and sha256_of(path) == member.sha256
    except OSError:
        return False  # what cannot be read is not there; fetching it anew will say why


def damaged_members(spec: DatasetSpec, cache_dir: Path) -> tuple[MemberSpec, ...]:
    """The members of a dataset that are absent from the cache or differ from what they should be."""
    folder = dataset_folder(spec.name, cache_dir)
    return tuple(member for member in spec.members if not member_is_intact(folder, member))


def write_manifest(spec: DatasetSpec, cache_dir: Path) -> None:
    """Write ``dataset.json``; call it when every member is in its place."""
    info = expected_info(spec)
    write_json(
        dataset_folder(spec.name, cache_dir) / MANIFEST,
        {
            "name": info.name,
            "digest": info.digest,
            "classes": list(info.classes),
            "image_shape": list(info.image_shape),
            "n_train": info.n_train,
            "n_test": info.n_test,
            "members": [{"name": m.name, "size": m.size, "sha256": m.sha256} for m in spec.members],
        },
    )


def read_manifest(name: str, cache_dir: Path) -> DatasetInfo:
    """Read ``dataset.json`` of a dataset in the cache.

    Raises:
        MissingError: there is none.
        IntegrityError: it is damaged.
        ResourceError: it cannot be read.
    """
    path = dataset_folder(name, cache_dir) / MANIFEST
    again = f"run `linclass download {name}{at_cache(cache_dir)}`"
    try:
        text = read_regular(path, LARGEST_MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(
            f"dataset {name} is not in {cache_dir}: no {path}; {again}, or name its folder by --cache-dir"
        ) from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        found = json.loads(text)
        height, width, channels = (int(side) for side in found["image_shape"])
        return DatasetInfo(
            name=str(found["name"]),
            digest=str(found["digest"]),
            classes=tuple(str(label) for label in found["classes"]),
            image_shape=(height, width, channels),
            n_train=int(found["n_train"]),
            n_test=int(found["n_test"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise IntegrityError(f"{path} is damaged: expected the dataset's description; {again}") from None


def manifest_is_intact(spec: DatasetSpec, cache_dir: Path) -> bool:
    """Whether ``dataset.json`` is there and says what the registry says."""
    try:
        return read_manifest(spec.name, cache_dir) == expected_info(spec)
    except (MissingError, IntegrityError, ResourceError):
        return False


def describe_dataset(name: str, cache_dir: Path) -> DatasetInfo:
    """The identity of a dataset, from ``dataset.json`` alone (embedded datasets: from the registry).

    Raises:
        MissingError: the name is neither known nor imported, or the dataset is not in the cache.
        IntegrityError: ``dataset.json`` is damaged, or describes something else.
        ResourceError: ``dataset.json`` cannot be read.
    """
    if name not in DATASETS:
        return read_own(name, cache_dir).info
    spec = DATASETS[name]
    expected = expected_info(spec)
    if spec.form == "embedded":
        return expected
    found = read_manifest(name, cache_dir)
    if found != expected:
        path = dataset_folder(name, cache_dir) / MANIFEST
        raise IntegrityError(
            f"{path} describes another dataset: expected digest {expected.digest}, found {found.digest}; "
            f"run `linclass download {name}{at_cache(cache_dir)}`"
        )
    return found
