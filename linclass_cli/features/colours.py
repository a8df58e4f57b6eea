"""Colours in the cells of grids: means, deviations and histograms."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError
from linclass_cli.features.numbers import parse_numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.threads import Spans

MOST_LEVELS, MOST_COLOURS, MOST_CELLS = 16, 4096, 64
_CHUNK_IMAGES = 64


@dataclass(frozen=True)
class Colours:
    """Of each cell the channels' means and deviations, and square roots of a histogram of colours.

    ``levels`` of each channel, 2 to 16: a cell counts levels ** channels colours; ``colour_cells``: cells a
    side of each grid, "2,4". Raises InputError where a parameter is out of range.
    """

    levels: int = 4
    colour_cells: str = "2,4"

    name: ClassVar[str] = "colours"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        whole = isinstance(self.levels, int) and not isinstance(self.levels, bool)
        if not whole or not 2 <= self.levels <= MOST_LEVELS:
            raise InputError(f"levels must be a whole number, 2 to {MOST_LEVELS}, not {self.levels!r}")
        parse_numbers("colour_cells", self.colour_cells, 1, MOST_CELLS)

    @property
    def _sides(self) -> tuple[int, ...]:
        return parse_numbers("colour_cells", self.colour_cells, 1, MOST_CELLS)

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able."""
        return asdict(self)

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Cells of all grids * (2 * channels + levels ** channels).

        Raises InputError where an image has fewer pixels than cells a side, or too many channels.
        """
        from linclass_cli.features.checks import check_grid, check_shape

        height, width, channels = check_shape(image_shape)
        if channels > 12 or self.levels**channels > MOST_COLOURS:
            raise InputError(
                f"colours counts at most {MOST_COLOURS} colours, not {self.levels} levels of each of "
                f"{channels} channels; take fewer --levels"
            )
        check_grid(height, width, max(self._sides), "--colour-cells")
        return sum(side * side for side in self._sides) * self._values(channels)

    def _values(self, channels: int) -> int:
        """Of a cell."""
        return 2 * channels + int(self.levels**channels)

    def mirror(self, image_shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
        """The column of the mirror image's features that equals each of an image's: (d,)."""
        import numpy as np

        places, begin = [], 0
        values = self._values(image_shape[2])
        for side in self._sides:
            grid = np.arange(side * side * values).reshape(side, side, values)
            places.append(begin + grid[:, ::-1].reshape(-1))
            begin += grid.size
        return np.concatenate(places)

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        The order of an image's values: grid; row and column of the cell; means of the channels, deviations,
        colours (the first channel's level counts most). Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.features.colours_kernels import count_colours
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        images = np.ascontiguousarray(images)
        values = self._values(shape[2])

        def work(spans: Spans) -> None:
            for start, stop in spans:
                begin = 0
                for side in self._sides:
                    found = np.empty((stop - start, side * side, values), np.float32)
                    rows, cols = _cells(shape[0], side), _cells(shape[1], side)
                    count_colours(images[start:stop], side, self.levels, *rows, *cols, found)
                    end = begin + side * side * values
                    out[start:stop, begin:end] = found.reshape(len(found), -1)
                    begin = end

        in_chunks(work, len(images), _CHUNK_IMAGES)


def _cells(length: int, side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The cell that each of ``length`` pixels begins in, and what part of the pixel is in the next one."""
    import numpy as np

    x = np.arange(length)
    first = x * side // length
    # In units of 1 / side of a pixel, so that nothing is rounded before the last division.
    beyond = np.maximum((x + 1) * side - (first + 1) * length, 0)
    return first.astype(np.int64), beyond / side
