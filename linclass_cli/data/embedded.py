"""The dataset ``textures``: patches of pictures that scikit-image ships, so that a demo needs no network.

Six grey pictures, one a class, are cut into bands of rows. In each band the upper rows give training patches
(which overlap one another) and the 32 rows below give test patches (which overlap nothing): no pixel is in
both parts. The two parts are neighbours in the same picture all the same, so an accuracy measured here says
that the machinery works, not that anything generalises.

Only lossless grey pictures are used: what a JPEG or a colour decodes to depends on the decoder's version.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import IntegrityError, MissingError

Patches = tuple[NDArray[np.uint8], NDArray[np.int64]]

SIDE = 32  # pixels of a patch
STRIDE = 8  # pixels between neighbouring training patches
TRAIN_PER_CLASS = 300
TEST_PER_CLASS = 64  # at most

# picture (class name) -> rows of a band that are for training; small pictures get narrow bands
_TRAIN_ROWS = {"brick": 96, "cell": 96, "grass": 96, "gravel": 96, "moon": 96, "text": 48}


def pictures_folder() -> Path:
    """Where scikit-image keeps its pictures; found without importing it (0.2 s, and it could download).

    Raises:
        MissingError: scikit-image is not installed.
    """
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise MissingError("dataset textures needs scikit-image, which is not installed; install it again")
    return Path(spec.submodule_search_locations[0]) / "data"


def read_picture(name: str) -> NDArray[np.uint8]:
    """One of the pictures as u8 (height, width).

    Raises:
        MissingError: the installed scikit-image does not ship it.
        IntegrityError: it is damaged, or not grey.
    """
    from PIL import Image  # 40 ms that describing the dataset does not pay

    path = pictures_folder() / f"{name}.png"
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode != "L":
                raise IntegrityError(f"{path} is not grey: mode {picture.mode}; reinstall scikit-image 0.26")
            return np.asarray(picture, dtype=np.uint8)
    except FileNotFoundError:
        raise MissingError(f"dataset textures: no {path}; reinstall scikit-image 0.26") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise IntegrityError(f"{path} is damaged ({error}); reinstall scikit-image 0.26") from error


def bands(height: int, train_rows: int) -> tuple[list[range], list[range]]:
    """The rows of a picture for training and for testing, as two lists of ranges that share no row.

    Bands of ``train_rows`` + ``SIDE`` rows from the top down; what is left over below is for training.
    """
    period = train_rows + SIDE
    train = [range(top, min(top + train_rows, height)) for top in range(0, height, period)]
    test = [range(top - SIDE, top) for top in range(period, height + 1, period)]
    return train, test


def corners(rows: list[range], width: int, stride: int) -> list[tuple[int, int]]:
    """The upper left corners (y, x) of all patches on a grid inside the ranges of rows."""
    return [
        (y, x)
        for band in rows
        for y in range(band.start, band.stop - SIDE + 1, stride)
        for x in range(0, width - SIDE + 1, stride)
    ]


def spread(places: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """``n`` of the places, evenly spread over the list; all of them when there are fewer."""
    if len(places) <= n:
        return places
    return [places[i * len(places) // n] for i in range(n)]


def cut_textures() -> tuple[Patches, Patches]:
    """Cut the pictures into (images u8 (n, 32, 32, 1), labels i64 (n,)) for training and for testing.

    The order is fixed: class by class, top to bottom, left to right.

    Raises:
        MissingError: scikit-image, or one of its pictures, is not there.
        IntegrityError: the pictures are not those that the registry knows.
    """
    spec = DATASETS["textures"]
    cut: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    for label, name in enumerate(spec.classes):
        picture = read_picture(name)
        train_rows, test_rows = bands(picture.shape[0], _TRAIN_ROWS[name])
        train = spread(corners(train_rows, picture.shape[1], STRIDE), TRAIN_PER_CLASS)
        test = spread(corners(test_rows, picture.shape[1], SIDE), TEST_PER_CLASS)
        for part, places in enumerate((train, test)):
            cut[part].extend(picture[y : y + SIDE, x : x + SIDE, None] for y, x in places)
            labels[part].extend([label] * len(places))
    train_part, test_part = (
        (np.stack(images), np.array(targets, dtype=np.int64))
        for images, targets in zip(cut, labels, strict=True)
    )
    found = patches_digest(train_part, test_part)
    if found != spec.digest:
        raise IntegrityError(
            "dataset textures: the installed scikit-image ships other pictures than expected "
            f"(expected digest {spec.digest}, found {found}); install scikit-image 0.26"
        )
    return train_part, test_part


def patches_digest(train: Patches, test: Patches) -> str:
    """sha256 (hex) over the shapes, pixels and labels of both parts."""
    digest = hashlib.sha256()
    for images, labels in (train, test):
        digest.update(repr(images.shape).encode())
        digest.update(images.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()
