"""What a dataset is without its images, and where it lies in the cache. No numpy here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MANIFEST = "dataset.json"
LARGEST_MANIFEST = 16_000_000  # bytes; a real one has a few thousand, with many classes more
MAX_SIDE = 1024  # pixels of a side that pictures are brought to
MOST_VALUES = 1 << 24  # of a vector: more are a mistake, or a lie
MOST_CLASSES = 100_000
FITS = ("crop", "pad", "stretch")  # how pictures are brought to their size
_BLOCK = 1 << 20

Advance = Callable[[str, int, int | None], None]


def ignore(what: str, done: int, total: int | None) -> None:
    """The progress report that goes nowhere: ``done`` bytes of ``total`` (None: unknown) of ``what``."""


@dataclass(frozen=True)
class DatasetInfo:
    """What identifies a dataset without its images.

    ``digest`` is a sha256 in hex; ``image_shape`` is (h, w, c) in pixels. A dataset of ``vectors`` has no
    images: its shape is (1, 1, d). ``fit``: how pictures are brought to the shape, as in `pictures.Frame`.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    n_train: int
    n_test: int
    kind: Literal["images", "vectors"] = "images"
    fit: str = "crop"

    @property
    def d(self) -> int | None:
        """The values of a vector; None for images."""
        return self.image_shape[2] if self.kind == "vectors" else None


def dataset_folder(name: str, cache_dir: Path) -> Path:
    """Where the members of a dataset lie."""
    return cache_dir / "datasets" / name


def sha256_of(path: Path, advance: Advance = ignore) -> str:
    """The sha256 (hex) of a file, in blocks; ``OSError`` passes through."""
    digest = hashlib.sha256()
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            advance(f"checking {path.name}", done, total)
    return digest.hexdigest()
