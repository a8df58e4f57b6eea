"""Vectors that were made elsewhere and imported: the store takes them as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Vectors:
    """The values of a dataset of vectors, float32, as they were imported."""

    name: ClassVar[str] = "vectors"
    version: ClassVar[int] = 1

    @property
    def params(self) -> dict[str, object]:
        """No parameters."""
        return {}

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """d of the shape (1, 1, d) that a dataset of vectors has. Raises InputError for images."""
        if image_shape[:2] != (1, 1):
            raise InputError("the feature vectors is for imported vectors, and these are images; take hog")
        return image_shape[2]

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:  # noqa: ARG002
        """Raises InputError: images have no such feature."""
        raise InputError(
            "the feature vectors was computed elsewhere and imported: it cannot be computed from images"
        )
