"""Histograms of pairs: which directions gradients have that lie a distance apart.

Watanabe, Ito and Yokoi, Co-occurrence Histograms of Oriented Gradients for Pedestrian Detection, PSIVT 2009;
Kobayashi and Otsu, Image Feature Extraction Using Gradient Local Auto-Correlations, ECCV 2008, whence the
votes that are shared by bins and weighed by the shorter gradient. Of colour images the opponents (red against
green, both against blue) are counted as well.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError
from linclass_cli.features.numbers import check_even, parse_numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.threads import Spans

MOST_DIRECTIONS, MOST_DISTANCE, MOST_REGIONS = 36, 64, 16
_CHUNK_IMAGES = 32
_WAYS = 4  # right, below, below right, below left


@dataclass(frozen=True)
class Pairs:
    """Square roots of histograms of pairs of gradients' directions.

    ``pair_directions``: bins of the circle, an even number, 2 to 36; ``distances`` between the pixels of a
    pair, "1,2,4"; ``regions`` a side of the image, 1 to 16. Raises InputError where one is out of range.
    """

    pair_directions: int = 8
    distances: str = "1,2,4"
    regions: int = 2

    name: ClassVar[str] = "pairs"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_even("pair_directions", self.pair_directions, 2, MOST_DIRECTIONS)
        parse_numbers("distances", self.distances, 1, MOST_DISTANCE)
        whole = isinstance(self.regions, int) and not isinstance(self.regions, bool)
        if not whole or not 1 <= self.regions <= MOST_REGIONS:
            raise InputError(f"regions must be a whole number, 1 to {MOST_REGIONS}, not {self.regions!r}")

    @property
    def _distances(self) -> tuple[int, ...]:
        return parse_numbers("distances", self.distances, 1, MOST_DISTANCE)

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able."""
        return asdict(self)

    def _shape(self, channels: int) -> tuple[int, ...]:
        """Of an image's values: lightness and opponents, distances, regions, ways, both directions."""
        kinds = 2 if channels == 3 else 1
        k = self.pair_directions
        return (kinds, len(self._distances), self.regions, self.regions, _WAYS, k, k)

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """The product of `_shape`. Raises InputError where an image is smaller than a distance."""
        from math import prod

        from linclass_cli.features.checks import check_shape

        height, width, channels = check_shape(image_shape)
        if min(height, width) == 1:
            raise InputError(
                "images of one pixel's height or width have no pairs of pixels in all directions"
            )
        if min(height, width) <= max(self._distances):
            raise InputError(
                f"images of {height} x {width} pixels have no pairs of pixels {max(self._distances)} apart; "
                f"take --distances up to {min(height, width) - 1}"
            )
        return prod(self._shape(channels))

    def mirror(self, image_shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
        """The column of the mirror image's features that equals each of an image's: (d,)."""
        import numpy as np

        shape = self._shape(image_shape[2])
        k = self.pair_directions
        turned = (k // 2 - 1 - np.arange(k)) % k
        columns = np.arange(self.dim(image_shape)).reshape(shape)[:, :, :, ::-1]
        columns = columns[..., turned, :][..., turned]
        found = columns.copy()
        # To the right: the second pixel becomes the first. Below right and below left change places.
        found[..., 0, :, :] = columns[..., 0, :, :].swapaxes(-1, -2)
        found[..., 2, :, :], found[..., 3, :, :] = columns[..., 3, :, :], columns[..., 2, :, :]
        return np.asarray(found.reshape(-1))

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        The order of an image's values: the image, then (of 3 channels) its opponents; distance; row and
        column of the region; right, below, below right, below left; direction of the first pixel, of the
        second. Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.features.direction_kernels import vote_pairs
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        images = np.ascontiguousarray(images)
        distances = np.array(self._distances, np.int64)
        kinds, *rest = self._shape(shape[2])

        def work(spans: Spans) -> None:
            found = np.empty((_CHUNK_IMAGES, *rest), np.float32)
            for start, stop in spans:
                some = found[: stop - start]
                columns = out[start:stop].reshape(stop - start, kinds, -1)
                for kind in range(kinds):
                    vote_pairs(
                        images[start:stop], kind == 1, distances, self.regions, self.pair_directions, some
                    )
                    columns[:, kind] = some.reshape(len(some), -1)

        in_chunks(work, len(images), _CHUNK_IMAGES)
