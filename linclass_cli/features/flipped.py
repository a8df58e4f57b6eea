"""Features that treat an image and its mirror image alike: ``--augment flip``.

Trained on every image and its mirror image, a linear model on features that a mirror merely permutes has, by
symmetry, weights that are the same under that permutation: its scores see no more than the sum of an image's
features and its mirror image's. So the sums are the features here: half as many columns, half as many rows,
and, unscaled, the same classifier. Features that a mirror changes otherwise have the mean of both images'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.features import Extractor
    from linclass_cli.threads import Spans

_VALUES = 1 << 25  # of the features that are in memory besides ``out``
_CHUNK_ROWS = 32


@dataclass(frozen=True)
class Flipped:
    """The columns of ``part``, of an image and its mirror image (left to right) together.

    Where ``part`` has a method ``mirror(image_shape)`` that gives the column of the mirror image's features
    which equals each column of the image's, two columns that change places become their sum divided by the
    square root of 2, at the first one's place, and one that stays is as it was.
    """

    part: Extractor

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def version(self) -> int:
        return self.part.version

    @property
    def params(self) -> dict[str, object]:
        """The part's parameters and the augmentation, JSON-able."""
        return {**self.part.params, "augment": "flip"}

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Columns. Raises InputError where the part has no features of such images."""
        d = self.part.dim(image_shape)
        pairs = mirror_pairs(self.part, image_shape)
        return d if pairs is None else len(pairs.first)

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        Raises InputError for other shapes and types.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        pairs = mirror_pairs(self.part, shape)
        d = self.part.dim(shape)
        rows = max(1, _VALUES // d)
        for start in range(0, len(images), rows):
            some, its = images[start : start + rows], out[start : start + rows]
            own = np.empty((len(some), d), np.float32)
            self.part(some, own)
            if pairs is None:
                self.part(np.ascontiguousarray(some[:, :, ::-1]), its)
            in_chunks(partial(_join, own, pairs, its), len(some), _CHUNK_ROWS)


def _join(
    own: npt.NDArray[np.float32], pairs: MirrorPairs | None, out: npt.NDArray[np.float32], spans: Spans
) -> None:
    """Features of images, own (n, d), joined by those of the mirror images: in ``out``, or permuted ones."""
    import numpy as np

    for start, stop in spans:
        mine, its = own[start:stop], out[start:stop]
        if pairs is None:
            its += mine
            its *= np.float32(0.5)
        else:
            np.add(mine[:, pairs.first], mine[:, pairs.second], out=its)
            its *= pairs.factor


class MirrorPairs(NamedTuple):
    """The columns (p,) that change places in the mirror image, and what their sum is multiplied by."""

    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    factor: npt.NDArray[np.float32]


def mirror_pairs(part: Extractor, shape: tuple[int, int, int]) -> MirrorPairs | None:
    """The pairs of columns of features of images of this shape; None where a mirror does not permute them."""
    import numpy as np

    mirror = getattr(part, "mirror", None)
    if mirror is None:
        return None
    other = mirror(shape)
    first = np.flatnonzero(np.arange(len(other)) <= other)
    second = other[first]
    return MirrorPairs(first, second, np.where(first == second, 0.5, np.sqrt(0.5)).astype(np.float32))


def unfold(weight: npt.NDArray[np.float32], part: Extractor, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Weights (k, d) on what ``part`` gives, of weights (k, columns) on what ``Flipped(part)`` gives."""
    import numpy as np

    pairs = mirror_pairs(part, shape)
    if pairs is None:
        return weight
    whole = np.zeros((len(weight), part.dim(shape)), weight.dtype)
    whole[:, pairs.first] += weight * pairs.factor
    whole[:, pairs.second] += weight * pairs.factor
    return whole
