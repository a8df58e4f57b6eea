"""Images of a known dataset that stand in both its parts: found once, and noted beside its members."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from linclass_cli.atomic import write_bytes
from linclass_cli.data.info import dataset_folder
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.errors import ResourceError
from linclass_cli.regular import open_regular
from linclass_cli.seal import seal, unseal

NOTES = "duplicates.json"
_LARGEST = 64_000_000  # bytes


def duplicates_of(name: str, cache_dir: Path) -> list[dict[str, Any]]:
    """Groups of rows with the same pixels in ``train`` and ``test`` (row numbers, from 0), and their classes.

    Raises what `describe_dataset` and `load_dataset` raise.
    """
    info = describe_dataset(name, cache_dir)
    path = dataset_folder(name, cache_dir) / NOTES
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
        open_regular(path) as file,
    ):
        noted = unseal(file.read(_LARGEST))
        if noted["digest"] == info.digest and isinstance(noted["duplicates"], list):
            return list(noted["duplicates"])
    found = _find(name, cache_dir)
    if path.parent.is_dir():
        with contextlib.suppress(ResourceError):  # a cache that may only be read: found again next time
            write_bytes(path, seal({"digest": info.digest, "duplicates": found}))
    return found


def _find(name: str, cache_dir: Path) -> list[dict[str, Any]]:
    from linclass_cli.data.dealing import describe_duplicates, row_digests  # numpy: only here
    from linclass_cli.data.readers import load_dataset

    data = load_dataset(name, cache_dir)
    parts = {"train": data.train, "test": data.test}
    digests = {part: row_digests(split.images) for part, split in parts.items()}
    labels = {part: [data.classes[code] for code in split.labels] for part, split in parts.items()}
    return describe_duplicates(digests, labels, {})
