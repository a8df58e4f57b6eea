"""Histograms of oriented gradients, equal to scikit-image's within float32 rounding.

Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005,
https://doi.org/10.1109/CVPR.2005.177, in the variant of `skimage.feature.hog`. This file holds the parameters
and the validation, `hog_tables` what is prepared for the kernels, `hog_kernels` the kernels; the last two are
imported at the first use, because they load numpy and Numba.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.features.hog_tables import HogPlan
    from linclass_cli.threads import Spans

BLOCK_NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")
CHANNELS = ("mean", "largest")
MAX_ORIENTATIONS = 36

# Pixels of the images that one thread takes at a time: few enough to stay in its cache from one step to the
# next (5 bytes a pixel), enough for a chunk to take half a millisecond.
_CHUNK_PIXELS = 1 << 17


@dataclass(frozen=True)
class Hog:
    """Histograms of oriented gradients.

    ``orientations``: bins over 180 degrees, 1 to 36; ``pixels_per_cell``: side of a square cell;
    ``cells_per_block``: side of a square block; ``block_norm``: "L1", "L1-sqrt", "L2" or "L2-Hys";
    ``transform_sqrt``: take the square root of the pixels first; ``channels``: "mean" takes the mean over the
    channels, as `skimage.feature.hog(image.mean(axis=-1), ...)`, "largest" at each pixel the channel with the
    largest gradient, the first of equals, as `skimage.feature.hog(image, ..., channel_axis=-1)`.

    Raises InputError where a parameter is out of range.
    """

    orientations: int = 9
    pixels_per_cell: int = 8
    cells_per_block: int = 3
    block_norm: str = "L2-Hys"
    transform_sqrt: bool = False
    channels: str = "mean"

    name: ClassVar[str] = "hog"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check_whole("orientations", self.orientations, MAX_ORIENTATIONS)
        _check_whole("pixels_per_cell", self.pixels_per_cell, None)
        _check_whole("cells_per_block", self.cells_per_block, None)
        _check_choice("block_norm", self.block_norm, BLOCK_NORMS)
        _check_choice("channels", self.channels, CHANNELS)
        if not isinstance(self.transform_sqrt, bool):
            raise InputError(f"transform_sqrt must be true or false, not {self.transform_sqrt!r}")

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able; with name and version they define the features."""
        return asdict(self)

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Number of features of an image (height, width, channels): blocks * cells a block * orientations.

        Raises InputError where the image is too small for one block.
        """
        from linclass_cli.features.checks import check_shape

        height, width, _ = check_shape(image_shape)
        cell, block = self.pixels_per_cell, self.cells_per_block
        blocks_y, blocks_x = height // cell - block + 1, width // cell - block + 1
        if blocks_y < 1 or blocks_x < 1:
            raise InputError(_too_small(height, width, cell, block))
        return blocks_y * blocks_x * block**2 * self.orientations

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), with the features of ``images``, uint8 (n, height, width, channels).

        d is ``dim(images.shape[1:])``; the order of an image's values is scikit-image's: block row, block
        column, row and column of the cell in the block, orientation. Raises InputError for other shapes or
        types and for images too small for one block.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.features.hog_tables import hog_plan
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        plan = hog_plan(
            shape,
            self.orientations,
            self.pixels_per_cell,
            self.cells_per_block,
            BLOCK_NORMS.index(self.block_norm),
            self.transform_sqrt,
            self.channels == "largest",
        )
        flat = np.ascontiguousarray(images).reshape(len(images), shape[0] * shape[1] * shape[2])
        chunk = max(1, _CHUNK_PIXELS // (plan.height * plan.width))
        in_chunks(lambda spans: _extract(flat, out, plan, chunk, spans), len(flat), chunk)


def _extract(
    images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32], plan: HogPlan, chunk: int, spans: Spans
) -> None:
    import numpy as np

    from linclass_cli.features.hog_kernels import pool, vote

    codes = np.empty((min(chunk, len(images)), plan.height * plan.width), dtype=np.uint8)
    magnitudes = np.empty(codes.shape, dtype=np.float32)
    unsure = np.empty(len(codes), dtype=np.int64)
    for start, stop in spans:
        some, n = images[start:stop], stop - start
        vote(some, plan, codes[:n], magnitudes[:n], unsure[:n])
        _decide(some, plan, codes[:n], magnitudes[:n], np.flatnonzero(unsure[:n]))
        pool(codes[:n], magnitudes[:n], plan, out[start:stop])


def _decide(
    images: npt.NDArray[np.uint8],
    plan: HogPlan,
    codes: npt.NDArray[np.uint8],
    magnitudes: npt.NDArray[np.float32],
    unsure: npt.NDArray[np.intp],
) -> None:
    """Give the pixels that `vote` left open the bins that scikit-image's formula gives, in place.

    ``unsure`` (m,): the images that have such pixels.
    """
    import numpy as np

    from linclass_cli.features.hog_kernels import UNSURE, exact_gradients
    from linclass_cli.features.hog_tables import orientation_bins

    if len(unsure) == 0:
        return
    places = np.flatnonzero(codes[unsure] == UNSURE)  # of one dimension: several times as fast
    image, pixel = unsure[places // codes.shape[1]], places % codes.shape[1]
    rows, cols = np.empty(len(image)), np.empty(len(image))
    exact_gradients(images, image, pixel, plan, rows, cols)
    bins = orientation_bins(rows, cols, plan.bounds)
    nowhere = bins == plan.orientations
    magnitudes[image[nowhere], pixel[nowhere]] = 0.0
    codes[image, pixel] = np.where(nowhere, 0, bins)


def _too_small(height: int, width: int, cell: int, block: int) -> str:
    side = min(height, width)
    fits = [f"cells of {size} x {size} pixels" for size in range(1, cell) if side // size >= block][-1:]
    fits += [f"blocks of {size} x {size} cells" for size in range(1, block) if side // cell >= size][-1:]
    advice = f"; {' or '.join(fits)} would fit" if fits else ""
    return (
        f"images of {height} x {width} pixels are too small for HOG with cells of {cell} x {cell} pixels and "
        f"blocks of {block} x {block} cells: one block needs {cell * block} x {cell * block} pixels{advice}"
    )


def _check_whole(name: str, value: object, most: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):  # type: ignore[operator]
        allowed = "at least 1" if most is None else f"1 to {most}"
        raise InputError(f"{name} must be a whole number, {allowed}, not {value!r}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
