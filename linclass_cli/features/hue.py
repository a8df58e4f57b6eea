"""The histogram of hue of the course's exercise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.threads import Spans

MAX_BINS = 360
_CHUNK_IMAGES = 64


@dataclass(frozen=True)
class Hue:
    """Histogram of hue: ``bins`` equal bins from 0 to 1, counts divided by the number of pixels.

    Hue as in `skimage.color.rgb2hsv`, counted as in ``np.histogram(hue, bins=bins, range=(0, 1))``; greys
    have hue 0 and are counted in the first bin, as there. The values of an image sum to 1. Raises InputError
    for ``bins`` outside 1 to 360.
    """

    bins: int = 16

    name: ClassVar[str] = "hue"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        whole = isinstance(self.bins, int) and not isinstance(self.bins, bool)
        if not whole or not 1 <= self.bins <= MAX_BINS:
            raise InputError(f"bins must be a whole number, 1 to {MAX_BINS}, not {self.bins!r}")

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able."""
        return asdict(self)

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """``bins``. Raises InputError for images without three channels."""
        from linclass_cli.features.checks import check_shape

        _, _, channels = check_shape(image_shape)
        if channels != 3:
            raise InputError(f"hue needs colour images (3 channels: red, green, blue), these have {channels}")
        return self.bins

    def mirror(self, image_shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
        """The column of the mirror image's features that equals each of an image's: (bins,), its own."""
        import numpy as np

        return np.arange(self.dim(image_shape))

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, bins), from ``images``, uint8 (n, height, width, 3).

        Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.features.hue_kernels import hue_kernel
        from linclass_cli.threads import in_chunks

        height, width, channels = check_images(images)
        check_out(out, len(images), self.dim((height, width, channels)))
        flat = np.ascontiguousarray(images).reshape(len(images), height * width * 3)
        parts = np.arange(256, dtype=np.float64) * (1.0 / 255)
        edges = np.linspace(0.0, 1.0, self.bins + 1, dtype=np.float64)

        def work(spans: Spans) -> None:
            for start, stop in spans:
                hue_kernel(flat[start:stop], parts, edges, out[start:stop])

        in_chunks(work, len(flat), _CHUNK_IMAGES)
