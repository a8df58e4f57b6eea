"""Features learned from the pixels alone: answers of patches to the filters of a dictionary, summed up.

Coates, Lee and Ng 2011, and Coates and Ng 2011 (`dictionary` names the papers): every patch of an image is
contrast-normalised and whitened, and encoded; the codes are summed over the regions of a grid, which may
overlap; the square root of the sums may be taken, as of histograms (Perronnin, Sánchez and Mensink 2010).
Of the codes, a two-sided soft threshold has two values a filter: what the patch's answer is beyond a
threshold, and below minus the threshold. The triangle of k-means has one: how much nearer the patch is to the
filter, a centroid, than to all of them on average. docs/accuracy.md says what each of this is worth.

This file holds the parameters and the validation, `dictionary` what is learned, `patches_kernels` the
kernels; the last two are imported at the first use, because they load numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar

from linclass_cli.errors import InputError, IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linclass_cli.features.dictionary import Dictionary
    from linclass_cli.threads import Spans

    _Block = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]

ENCODINGS = ("threshold", "triangle")
MAX_FILTERS = 100_000
_TILE_PATCHES = 1024  # of a tile, about
_TILE_FILTERS = 256  # whose responses to a tile are 1 MB
_TILE_PRODUCTS = _TILE_PATCHES * _TILE_FILTERS  # of a tile whose patches see all filters at once, about
_CHUNK_IMAGES = 32


@dataclass(frozen=True)
class Patches:
    """Answers of an image's patches to a learned dictionary, pooled.

    ``filters``: size of the dictionary; ``patch_size``: side of a patch in pixels; ``pooling``: regions a
    side; ``overlap``: a region covers two by two cells of a grid, and its neighbours half of it, else one;
    ``square_root``: of the sums; ``encoding``: "threshold" (answers beyond ± ``threshold``) or "triangle"
    (distances, less than their mean); ``rounds`` of k-means over ``patch_samples`` patches, gain-shape for
    the threshold, Lloyd's for the triangle (0: the dictionary is random patches; there are two patches a
    filter at least); ``whitening``: what is added to the variances of the whitening; ``contrast``: and to
    those of a patch, of values 0 to 255; ``dictionary_seed``.

    Raises InputError where a parameter is out of range, or a threshold is given for the triangle.
    """

    filters: int = 400
    patch_size: int = 6
    pooling: int = 3
    overlap: bool = True
    square_root: bool = True
    encoding: str = "threshold"
    threshold: float = 0.25
    rounds: int = 10
    patch_samples: int = 100_000
    whitening: float = 0.1
    contrast: float = 10.0
    dictionary_seed: int = 0
    dictionary: Dictionary | None = field(default=None, compare=False, repr=False)

    name: ClassVar[str] = "patches"
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name, most in (
            ("filters", MAX_FILTERS),
            ("patch_size", 64),
            ("pooling", 64),
            ("patch_samples", 10**7),
        ):
            value = getattr(self, name)
            if not _is_whole(value) or not 1 <= value <= most:
                raise InputError(f"{name} must be a whole number, 1 to {most}, not {value!r}")
        for name, most in (("rounds", 1000), ("dictionary_seed", 2**63 - 1)):
            value = getattr(self, name)
            if not _is_whole(value) or not 0 <= value <= most:
                raise InputError(f"{name} must be a whole number, 0 to {most}, not {value!r}")
        for name in ("threshold", "whitening", "contrast"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
                raise InputError(f"{name} must be a number, 0 to 1e6, not {value!r}")
        for name in ("overlap", "square_root"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be true or false, not {getattr(self, name)!r}")
        if self.encoding not in ENCODINGS:
            raise InputError(f"encoding must be one of {', '.join(ENCODINGS)}, not {self.encoding!r}")
        if self.encoding == "triangle" and self.threshold != Patches.threshold:
            raise InputError(f"the encoding triangle has no threshold ({self.threshold:g}): leave that out")
        if self.encoding == "triangle" and self.filters < 2:
            raise InputError("the encoding triangle wants 2 filters at least: it compares their distances")

    @property
    def params(self) -> dict[str, object]:
        """The parameters, JSON-able; with name, version and the training images they define the features.

        Features with a threshold have no word of their encoding: their keys are older than the choice.
        """
        other = "encoding" if self.encoding == "threshold" else "threshold"
        return {
            one.name: getattr(self, one.name) for one in fields(self) if one.compare and one.name != other
        }

    @property
    def cells(self) -> int:
        """Cells a side of the grid that regions are made of."""
        return self.pooling + self.overlap

    @property
    def values(self) -> int:
        """Values a filter and region."""
        return 2 if self.encoding == "threshold" else 1

    def dim(self, image_shape: tuple[int, int, int]) -> int:
        """Regions * values * filters.

        Raises InputError where there are fewer patches than cells a side, or a patch is a single number.
        """
        from linclass_cli.features.checks import check_shape

        height, width, channels = check_shape(image_shape)
        if self.patch_size**2 * channels < 2:
            raise InputError(
                "a patch of one grey pixel is 0 once its mean is taken away: take --patch-size 2 or more"
            )
        least = self.patch_size + self.cells - 1
        if min(height, width) < least:
            raise InputError(
                f"images of {height} x {width} pixels are too small for patches of {self.patch_size} pixels "
                f"in {self.cells} x {self.cells} cells: {least} x {least} pixels are needed"
            )
        return self.pooling**2 * self.values * self.filters

    def learning_bytes(self, image_shape: tuple[int, int, int]) -> int:
        """What `fit` has in memory besides the images, at the least, in bytes."""
        from linclass_cli.features.dictionary import learn_bytes

        return learn_bytes(self.patch_samples, self.filters, self.rounds, self.patch_size**2 * image_shape[2])

    def fit(self, images: npt.NDArray[np.uint8]) -> Patches:
        """The extractor with the dictionary that it learns from training images (n, height, width, c)."""
        from linclass_cli.features.checks import check_images
        from linclass_cli.features.dictionary import learn

        self.dim(check_images(images[:1]))  # those of a file that is not in memory, too
        learned = learn(
            images,
            self.patch_size,
            self.filters,
            self.rounds,
            self.patch_samples,
            self.whitening,
            self.contrast,
            self.dictionary_seed,
            centroids=self.encoding == "triangle",
        )
        return replace(self, dictionary=learned)

    @property
    def learned(self) -> dict[str, npt.NDArray[np.float32]]:
        """The dictionary's arrays by name; none before `fit`."""
        if self.dictionary is None:
            return {}
        arrays = {"mean": self.dictionary.mean[None], "whitening": self.dictionary.whitening}
        return {
            f"{self.name}.{key}": array
            for key, array in {**arrays, "filters": self.dictionary.filters}.items()
        }

    def with_learned(self, learned: dict[str, npt.NDArray[np.float32]]) -> Patches:
        """The extractor with the dictionary of those arrays. Raises IntegrityError where they do not fit."""
        import numpy as np

        from linclass_cli.features.dictionary import Dictionary

        names = [f"{self.name}.{key}" for key in ("mean", "whitening", "filters")]
        if any(name not in learned for name in names):
            raise IntegrityError("the dictionary of patches is not there: train again")
        mean, whitening, filters = arrays = [np.asarray(learned[name]) for name in names]
        K = mean.size
        shapes = [(1, K), (K, K), (self.filters, K)]
        fits = K > 0 and K % self.patch_size**2 == 0 and [array.shape for array in arrays] == shapes
        if not fits or not all(np.isfinite(array).all() for array in arrays):
            raise IntegrityError("the dictionary of patches is damaged: train again")
        return replace(self, dictionary=Dictionary(mean[0], whitening, filters))

    def __call__(self, images: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
        """Fill ``out``, float32 (n, d), from ``images``, uint8 (n, height, width, channels).

        The order of an image's values: row and column of the region; above, then below, of a threshold;
        filter. Raises InputError for other shapes and types, and before `fit`.
        """
        import numpy as np

        from linclass_cli.features.checks import check_images, check_out
        from linclass_cli.threads import in_chunks

        shape = check_images(images)
        check_out(out, len(images), self.dim(shape))
        learned = self.dictionary
        if learned is None:
            raise InputError("patches learns from the training part first")
        channels = learned.filters.shape[1] / self.patch_size**2
        if channels != shape[2]:
            raise InputError(
                f"patches has learned from images of {channels:g} channels, and these have {shape[2]}"
            )
        images = np.ascontiguousarray(images)
        blocks = self._blocks(learned)
        sums = out.reshape(len(out), self.pooling**2, self.values, self.filters)

        def work(spans: Spans) -> None:
            for start, stop in spans:
                self._encode(images[start:stop], blocks, sums[start:stop])

        in_chunks(work, len(images), _CHUNK_IMAGES)

    def _blocks(self, learned: Dictionary) -> list[_Block]:
        """What patches are multiplied with, and compared with then, for some filters after the other.

        Of a threshold: upper and lower bounds of answers. Of the triangle, all filters in one block, because
        the mean distance is of all of them: what `pool_distances` calls squares and centre.
        """
        import numpy as np

        mean, whitening, filters = (
            np.asarray(array, np.float64) for array in (learned.mean, learned.whitening, learned.filters)
        )
        product = whitening @ filters.T
        if self.encoding == "triangle":
            matrix, centre = np.concatenate([-2 * product, whitening], axis=1), mean @ whitening
            squares = (filters**2).sum(axis=1) + 2 * filters @ centre
            return [(matrix.astype(np.float32), squares.astype(np.float32), centre.astype(np.float32))]
        offsets = mean @ product
        return [
            (
                np.ascontiguousarray(product[:, some], np.float32),
                (offsets[some] + self.threshold).astype(np.float32),
                (offsets[some] - self.threshold).astype(np.float32),
            )
            for some in (slice(f, f + _TILE_FILTERS) for f in range(0, self.filters, _TILE_FILTERS))
        ]

    def _encode(
        self, images: npt.NDArray[np.uint8], blocks: list[_Block], sums: npt.NDArray[np.float32]
    ) -> None:
        """The features of some images into sums (n, regions, values, filters), tile by tile."""
        import numpy as np

        from linclass_cli.features.patches_kernels import (
            cut_patches,
            join_cells,
            pool_distances,
            pool_responses,
        )

        n, height, width, channels = images.shape
        size = self.patch_size
        down, across = height - size + 1, width - size + 1
        widest = blocks[0][0].shape[1]
        most = min(_TILE_PATCHES, _TILE_PRODUCTS // widest)
        rows = min(down, max(1, most // across))
        rows = -(-down // -(-down // rows))  # as many tiles, but the last one is not nearly empty
        several = max(1, most // (down * across)) if rows == down else 1
        # Products are of whole tiles, so that an image's values do not depend on which others are with it.
        tile = np.zeros((several * rows * across, size * size * channels), np.float32)
        space = np.empty(len(tile) * widest, np.float32)
        cells = np.empty((several, self.cells**2, self.values, self.filters), np.float32)
        for i in range(0, n, several):
            some = images[i : i + several]
            its = cells[: len(some)]
            its[:] = 0
            for first in range(0, down, rows):
                there = min(rows, down - first)
                cut_patches(some, size, first, there, self.contrast, tile)
                place = (len(some), down, across, first, there, self.cells)
                begin = 0
                for matrix, one, other in blocks:
                    S = space[: len(tile) * matrix.shape[1]].reshape(len(tile), -1)
                    np.matmul(tile, matrix, out=S)
                    if self.encoding == "triangle":
                        pool_distances(S, *place, one, other, its)
                    else:
                        pool_responses(S, *place, one, other, begin, its)
                    begin += matrix.shape[1]
            join_cells(its, self.cells, self.pooling, self.square_root, sums[i : i + several])


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
