"""Datasets of the user's own, which ``import`` puts into the cache: what ``dataset.json`` says of them.

Its digest is taken over everything that counts, the sha256 of the files among it: what does not match is
damaged, and never used. No numpy here.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linclass_cli.data.info import (
    FITS,
    LARGEST_MANIFEST,
    MANIFEST,
    MAX_SIDE,
    MOST_CLASSES,
    MOST_VALUES,
    DatasetInfo,
    dataset_folder,
    sha256_of,
)
from linclass_cli.data.registry import DATASETS
from linclass_cli.digest import digest
from linclass_cli.errors import (
    InputError,
    IntegrityError,
    LinclassError,
    MissingError,
    ResourceError,
    at_cache,
    did_you_mean,
)
from linclass_cli.names import check_portable
from linclass_cli.regular import read_regular
from linclass_cli.seal import unseal
from linclass_cli.visible import is_name

SOURCES = "sources.json"
FORMAT = 2
ARRAYS = ("train-rows.npy", "train-labels.npy", "test-rows.npy", "test-labels.npy")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST = {"images": (MAX_SIDE, MAX_SIDE, 3), "vectors": (1, 1, MOST_VALUES)}  # sides of the shape
_COUNTED = ("kind", "classes", "image_shape", "fit", "n_train", "n_test")


@dataclass(frozen=True)
class Description:
    """``dataset.json``: ``members`` are name → (bytes, sha256); ``again`` imports the ``source`` again.

    ``fingerprint`` stands for the files that were read, their sizes and times, and the flags.
    """

    info: DatasetInfo
    members: dict[str, tuple[int, str]]
    source: str
    again: str
    fingerprint: str

    @property
    def mend(self) -> str:
        """What puts the dataset right, in words."""
        return f"`{self.again}` imports it again"


def import_command(source: str, name: str, cache_dir: Path, typed: str = "") -> str:
    """The command that imports a source again, in any case."""
    return f"linclass import {shlex.quote(source)} --name {name}{typed} --force{at_cache(cache_dir)}"


def check_dataset_name(name: str) -> None:
    """Raise InputError for a name that could not be a folder's everywhere, or is a known dataset's."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name[:40]!r} is no name for a dataset: 1 to 64 letters, digits, dots, dashes and "
            "underscores, the first a letter or digit"
        )
    check_portable(name, "dataset")
    if name.lower() in DATASETS:
        raise InputError(f"--name {name}: that is the name of a known dataset; choose another")


def imported_names(cache_dir: Path) -> list[str]:
    """The datasets that were imported into a cache, by name."""
    try:
        folders = [path for path in (cache_dir / "datasets").iterdir() if (path / MANIFEST).is_file()]
    except OSError:
        return []
    return sorted(path.name for path in folders if path.name not in DATASETS and _NAME.fullmatch(path.name))


def unknown_dataset(name: str, cache_dir: Path) -> MissingError:
    """The error for a name that is neither known nor imported, with all that are."""
    own = imported_names(cache_dir)
    hint = did_you_mean(name.lower(), {one.lower(): one for one in (*DATASETS, *own)}, 0.5)
    imported = f"; imported: {', '.join(own)}" if own else ""
    return MissingError(
        f"there is no dataset called {name!r}{hint}; known: {', '.join(sorted(DATASETS))}{imported}; "
        "`linclass import PATH --name NAME` makes one of your own"
    )


def read_own(name: str, cache_dir: Path) -> Description:
    """The description of an imported dataset.

    Raises:
        MissingError: there is none of that name.
        IntegrityError: ``dataset.json`` is damaged.
        ResourceError: it cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise unknown_dataset(name, cache_dir)
    return read_description(dataset_folder(name, cache_dir), name, cache_dir)


def read_description(folder: Path, name: str, cache_dir: Path) -> Description:
    """As :func:`read_own`, from a folder that need not have its name yet."""
    path = folder / MANIFEST
    try:
        text = read_regular(path, LARGEST_MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        raise unknown_dataset(name, cache_dir) from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        found = parse_description(text)
        return _description(found, name, cache_dir)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, IndexError):
        raise IntegrityError(
            f"{path} is damaged: it does not match its digest; "
            f"`{import_command('PATH', name, cache_dir)}` imports the dataset again"
        ) from None


def parse_description(text: bytes) -> dict[str, Any]:
    """What ``dataset.json`` says. Raises ValueError, or what else nonsense gives, where it is damaged.

    Format 1 has no seal: its digest vouches for all but ``source``, ``typed`` and ``fingerprint``.
    """
    try:
        found, made = unseal(text), FORMAT
    except ValueError:
        found, made = json.loads(text), 1
    if found["format"] != made or found["digest"] != content_digest(found):
        raise ValueError("not a dataset's description")
    return found


def _description(found: dict[str, Any], name: str, cache_dir: Path) -> Description:
    height, width, channels = shape = [int(side) for side in found["image_shape"]]
    most, classes, counts = _MOST[found["kind"]], found["classes"], (found["n_train"], found["n_test"])
    sound = (
        all(1 <= side <= limit for side, limit in zip(shape, most, strict=True))
        and found["fit"] in FITS
        and 2 <= len(classes) == len(set(classes)) <= MOST_CLASSES
        and all(map(is_name, classes))
        and all(type(n) is int and n > 0 for n in counts)
    )
    if not sound:
        raise ValueError
    info = DatasetInfo(
        name=name,
        digest=str(found["digest"]),
        classes=tuple(classes),
        image_shape=(height, width, channels),
        n_train=counts[0],
        n_test=counts[1],
        kind=found["kind"],
        fit=found["fit"],
    )
    members = {str(one["name"]): (int(one["size"]), str(one["sha256"])) for one in found["members"]}
    row = math.prod(shape) * (1 if found["kind"] == "images" else 4)
    least = [n * bytes_each for n in counts for bytes_each in (row, 8)]
    if set(members) != {*ARRAYS, SOURCES} or any(
        members[name][0] < size for name, size in zip(ARRAYS, least, strict=True)
    ):
        raise ValueError
    source = str(found["source"])
    # Quoted again: whoever made the file may want somebody to run more than an import.
    typed = "".join(f" {shlex.quote(word)}" for word in shlex.split(str(found["typed"])))
    again = import_command(source, name, cache_dir, typed)
    return Description(info, members, source, again, str(found["fingerprint"]))


def holds_vectors(name: str, cache_dir: Path) -> bool:
    """Whether a dataset is one of imported vectors; what cannot be read is not."""
    if name in DATASETS:
        return False
    try:
        return read_own(name, cache_dir).info.kind == "vectors"
    except LinclassError:
        return False


def content_digest(found: dict[str, Any]) -> str:
    """What names the content of a dataset: no folder, no file's name, no time."""
    sums = {one["name"]: one["sha256"] for one in found["members"] if one["name"] in ARRAYS}
    # The 1 is part of the name, whatever the format of the file: the same content keeps its name.
    return digest({"members": sums, "format": 1, **{key: found[key] for key in _COUNTED}})


def damaged_files(description: Description, folder: Path) -> list[str]:
    """The files of an imported dataset that are not what its description says."""

    def sound(path: Path, size: int, wanted: str) -> bool:
        try:
            return path.is_file() and path.stat().st_size == size and sha256_of(path) == wanted
        except OSError:
            return False

    return [name for name, member in description.members.items() if not sound(folder / name, *member)]
