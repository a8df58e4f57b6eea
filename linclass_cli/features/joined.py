"""Several features of one image, their columns one after the other: ``hog+hue``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.features import Extractor

SIGN = "+"
_ROWS = 2048  # images that the parts take in turns: few enough for their columns to stay small


@dataclass(frozen=True)
class Joined:
    """The columns of each part, in the parts' order; an option belongs to every part that has it."""

    parts: tuple[Extractor, ...]

    version: ClassVar[int] = 1  # of the joining; the parts have their own

    @property
    def name(self) -> str:
        return SIGN.join(part.name for part in self.parts)

    @property
    def params(self) -> dict[str, object]:
        """The parameters of all parts, JSON-able."""
        return {key: value for part in self.parts for key, value in part.params.items()}

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """The sum of the parts'. Raises InputError where a part has no features of such images."""
        return sum(part.dim(image_shape) for part in self.parts)

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        for start in range(0, len(images), _ROWS):
            some, first = images[start : start + _ROWS], 0
            for part in self.parts:
                columns = np.empty((len(some), part.dim(shape)), np.float32)
                part(some, columns)
                out[start : start + _ROWS, first : first + columns.shape[1]] = columns
                first += columns.shape[1]
