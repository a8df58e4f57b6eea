"""Histograms of the directions of colour gradients, over the whole circle, in grids of several sizes.

A relative of HOG that does better in front of a linear model: directions are signed, votes are shared by
neighbouring bins and cells (Dalal and Triggs 2005), and square roots in place of blocks even out contrast.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.features.numbers import check_even, parse_numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.threads import Spans

MOST_DIRECTIONS, MOST_CELLS = 72, 64
_CHUNK_IMAGES = 64


@dataclass(frozen=True)
class Gradients:
    """Square roots of histograms of gradients' directions.

    ``directions``: bins of the circle, an even number, 2 to 72; ``cells``: cells a side of each grid, "8,4".
    Raises InputError where a parameter is out of range.
    """

    directions: int = 18
    cells: str = "8,4"

    name: ClassVar[str] = "gradients"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_even("directions", self.directions, 2, MOST_DIRECTIONS)
        parse_numbers("cells", self.cells, 1, MOST_CELLS)

    @property
    def _sides(self) -> tuple[int, ...]:
        return parse_numbers("cells", self.cells, 1, MOST_CELLS)

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able."""
        return asdict(self)

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Cells of all grids * directions.

        Raises InputError where an image has fewer pixels than cells a side.
        """
        from linclass_cli.features.checks import check_grid, check_shape

        height, width, _ = check_shape(image_shape)
        check_grid(height, width, max(self._sides), "--cells")
        return sum(side * side for side in self._sides) * self.directions

    def mirror(self, image_shape: tuple[int, int, int]) -> npt.NDArray[np.intp]:
        """The column of the mirror image's features that equals each of an image's: (d,)."""
        import numpy as np

        self.dim(image_shape)
        places, begin = [], 0
        # Left to right a direction t becomes half a circle minus t.
        turned = (self.directions // 2 - 1 - np.arange(self.directions)) % self.directions
        for side in self._sides:
            grid = np.arange(side * side * self.directions).reshape(side, side, self.directions)
            places.append(begin + grid[:, ::-1][:, :, turned].reshape(-1))
            begin += grid.size
        return np.concatenate(places)

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        The order of an image's values: grid; row and column of the cell; direction, counted from right to
        down. Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.features.direction_kernels import vote_directions
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        images = np.ascontiguousarray(images)
        sides = np.array(self._sides, np.int64)

        def work(spans: Spans) -> None:
            for start, stop in spans:
                vote_directions(images[start:stop], sides, self.directions, out[start:stop])

        in_chunks(work, len(images), _CHUNK_IMAGES)
