"""The raw pixels as features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Pixels:
    """The raw values divided by 255, so in [0, 1], flattened in the order (height, width, channel)."""

    name: ClassVar[str] = "pixels"
    version: ClassVar[int] = 1

    @property
    def params(self) -> dict[str, object]:
        """No parameters."""
        return {}

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """height * width * channels. Raises InputError for sizes below 1."""
        from linclass_cli.features.checks import check_shape

        height, width, channels = check_shape(image_shape)
        return height * width * channels

    def mirror(self, image_shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
        """The column of the mirror image's features that equals each of an image's: (d,)."""
        import numpy as np

        return np.arange(self.dim(image_shape)).reshape(image_shape)[:, ::-1].reshape(-1)

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        Each value is the float32 nearest to pixel / 255. Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        np.divide(images.reshape(out.shape), np.float32(255), out=out, dtype=np.float32)
