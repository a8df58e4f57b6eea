"""Extractors: what turns images into the features that a linear classifier sees, one file each.

A new extractor is a frozen dataclass whose fields are its parameters, with what `Extractor` asks for, and one
entry in `FEATURES`. Importing this package loads neither numpy nor Numba.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Protocol

from linclass_cli.errors import InputError, did_you_mean
from linclass_cli.features.colours import Colours
from linclass_cli.features.flipped import Flipped
from linclass_cli.features.gradients import Gradients
from linclass_cli.features.hog import Hog
from linclass_cli.features.hue import Hue
from linclass_cli.features.joined import SIGN, Joined
from linclass_cli.features.pairs import Pairs
from linclass_cli.features.patches import Patches
from linclass_cli.features.pixels import Pixels
from linclass_cli.features.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "FEATURES",
    "Colours",
    "Extractor",
    "Flipped",
    "Gradients",
    "Hog",
    "Hue",
    "Joined",
    "Pairs",
    "Patches",
    "Pixels",
    "Vectors",
    "bare",
    "describe_extractor",
    "fit_extractor",
    "learned_by",
    "learning_bytes",
    "learns",
    "make_extractor",
    "parts_of",
    "with_learned",
]


class Extractor(Protocol):
    """A function from images to features; ``name``, ``version`` and ``params`` say which.

    ``version`` changes whenever the same parameters would give other values; ``params`` is JSON-able.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def params(self) -> dict[str, object]: ...

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Number of features of an image (height, width, channels). Raises InputError where it has none."""
        ...

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        The values do not depend on the number of threads. Raises InputError for other shapes and types.
        """
        ...


FEATURES: dict[str, type] = {
    "hog": Hog,
    "hue": Hue,
    "pixels": Pixels,
    "gradients": Gradients,
    "pairs": Pairs,
    "colours": Colours,
    "patches": Patches,
    "vectors": Vectors,
}


AUGMENTATIONS = ("none", "flip")


def make_extractor(name: str, *, augment: str = "none", **params: object) -> Extractor:
    """The extractor registered as ``name`` with some of its parameters set; ``hog+hue`` joins several.

    ``augment``: "flip" takes each image and its mirror image together (`Flipped`).

    Raises InputError for an unknown name or parameter (naming the known ones) and for impossible values.
    """
    names = name.split(SIGN)
    for one in names:
        if one not in FEATURES:
            raise InputError(_unknown("feature", one, list(FEATURES)))
        if names.count(one) > 1:
            raise InputError(f"the feature {name} has {one} twice: name each once")
    if len(names) > 1 and "vectors" in names:
        raise InputError(f"the feature {name}: imported vectors cannot be joined with what images give")
    if augment not in AUGMENTATIONS:
        raise InputError(f"augment must be one of {', '.join(AUGMENTATIONS)}, not {augment!r}")
    if augment != "none" and "vectors" in names:
        raise InputError("imported vectors have no mirror images: leave --augment out")
    known = {one: [field.name for field in fields(FEATURES[one]) if field.compare] for one in names}
    for param in params:
        if not any(param in its for its in known.values()):
            every = [key for its in known.values() for key in its]
            raise InputError(_unknown(f"parameter of {name}", param, every))
    parts: list[Extractor] = [
        FEATURES[one](**{key: value for key, value in params.items() if key in known[one]}) for one in names
    ]
    if augment == "flip":
        parts = [Flipped(part) for part in parts]
    return Joined(tuple(parts)) if len(parts) > 1 else parts[0]


def parts_of(extractor: Extractor) -> tuple[Extractor, ...]:
    """The features that it is joined from; itself alone where it is not."""
    return extractor.parts if isinstance(extractor, Joined) else (extractor,)


def bare(extractor: Extractor) -> Extractor:
    """The extractor without the mirror images that `Flipped` adds."""
    return extractor.part if isinstance(extractor, Flipped) else extractor


def describe_extractor(extractor: Extractor) -> dict[str, object]:
    """What decides an extractor's values, JSON-able: name, version, parameters, and the parts."""
    described = {"name": extractor.name, "version": extractor.version, "params": extractor.params}
    if isinstance(extractor, Joined):
        parts = [{"name": part.name, "version": part.version} for part in extractor.parts]
        return {**described, "parts": parts}
    return described


def fit_extractor(extractor: Extractor, images: npt.NDArray[np.uint8]) -> Extractor:
    """The extractor with what it learns from training images (n, h, w, c); most learn nothing."""
    if isinstance(extractor, Joined):
        return Joined(tuple(fit_extractor(part, images) for part in extractor.parts))
    if isinstance(extractor, Flipped):
        return Flipped(fit_extractor(extractor.part, images))
    return extractor.fit(images) if isinstance(extractor, Patches) else extractor


def learns(extractor: Extractor) -> bool:
    """Whether it learns something from training images first."""
    return any(isinstance(bare(part), Patches) for part in parts_of(extractor))


def learning_bytes(extractor: Extractor, image_shape: tuple[int, int, int]) -> int:
    """What `fit_extractor` has in memory besides the images, at the least, in bytes; 0 for most."""
    own = [bare(part) for part in parts_of(extractor)]
    return max([one.learning_bytes(image_shape) for one in own if isinstance(one, Patches)], default=0)


def learned_by(extractor: Extractor) -> dict[str, npt.NDArray[np.float32]]:
    """What `fit_extractor` gave it, float32 (a, b), by names that say which feature's; empty for most."""
    if isinstance(extractor, Joined):
        return {name: array for part in extractor.parts for name, array in learned_by(part).items()}
    extractor = bare(extractor)
    return extractor.learned if isinstance(extractor, Patches) else {}


def with_learned(extractor: Extractor, learned: dict[str, npt.NDArray[np.float32]]) -> Extractor:
    """The extractor with what `learned_by` gave. Raises IntegrityError where that does not fit."""
    if isinstance(extractor, Joined):
        return Joined(tuple(with_learned(part, learned) for part in extractor.parts))
    if isinstance(extractor, Flipped):
        return Flipped(with_learned(extractor.part, learned))
    return extractor.with_learned(learned) if isinstance(extractor, Patches) else extractor


def _unknown(what: str, name: str, known: list[str]) -> str:
    return f"unknown {what}: {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}"
