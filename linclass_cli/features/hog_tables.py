"""What the HOG kernels need to know before they see a pixel: tables of levels and of bin boundaries.

The bin of a pixel with gradient (row, col) is, in scikit-image, decided by

    orientation = rad2deg(arctan2(row, col)) % 180      (float64)
    bound[i] <= orientation < bound[i + 1]              (bounds computed in C ``float``)

The kernels turn the gradient into the half plane row > 0, where the orientation is at least ``bound`` exactly
if ``row * cot(bound) >= col``, and count the boundaries passed, in float32. A threshold ``t`` near cot(bound)
stands for each boundary. Where all gradients are whole numbers (no square root; the mean of 3 channels is a
third of a whole number) t lies half way between the two fractions col / row next to cot(bound), so that
rounding cannot change an answer. Elsewhere, and where numbers that should be equal differ in their last bit
(45 degrees and the mean of 3 channels: a/3 - b/3 has rounding of its own), two thresholds enclose the
boundary, and a pixel between them is "unsure": `orientation_bins` then decides it, with the very formula
above. It is numpy that evaluates it, not the kernel: numpy's arctan2 and the C library's differ in the last
bit of every tenth value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What the square roots (at most 16) are multiplied by before they are rounded to int32.
FIXED_POINT = 1 << 26
# A threshold for 90 degrees: |col / row| is 0 or at least 1 / (512 * channels).
_NEAR_ZERO = 5e-7
# Rounding of a float32 threshold and of its product with a whole number, with room to spare.
_FLOAT32_ERROR = 4e-7


class HogPlan(NamedTuple):
    """Everything but the pixels; a tuple so that Numba takes it as one argument."""

    height: int
    width: int
    channels: int
    largest: bool  # the channel of the largest gradient, otherwise the sum of the channels
    cell: int  # pixels
    block: int  # cells
    orientations: int
    norm: int  # index into hog.BLOCK_NORMS
    levels: npt.NDArray[np.int32]  # (s,) what a sum of channels becomes before differences; empty: itself
    values: npt.NDArray[np.float64]  # (s,) the same as scikit-image has it, in float64
    scale: np.float32  # from the kernels' magnitudes to scikit-image's, and the division by the cell's area
    thresholds: npt.NDArray[np.float32]  # (m,) boundaries as col / row, falling; m a multiple of 8
    pairs: bool  # two thresholds a boundary: an odd count means unsure
    tie: np.float32  # squared magnitudes of two channels this close (relative) are compared in float64 ...
    tie_from: np.float32  # ... if they are at least this large
    first_bins: npt.NDArray[np.int32]  # (height * width,) of the cell of each pixel; those of none come last
    bounds: npt.NDArray[np.float64]  # (orientations + 1,) degrees


def bin_bounds(orientations: int) -> npt.NDArray[np.float64]:
    """The boundaries of the bins in degrees, (orientations + 1,), rounded as scikit-image's C floats are."""
    width = np.float32(180.0 / orientations)
    bounds: npt.NDArray[np.float64] = (np.arange(orientations + 1, dtype=np.float32) * width).astype(
        np.float64
    )
    return bounds


def orientation_bins(
    rows: npt.NDArray[np.float64], cols: npt.NDArray[np.float64], bounds: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Bins of gradients by scikit-image's formula (`skimage/feature/_hoghistogram.pyx`).

    ``rows``, ``cols``: (m,) float64 gradients; ``bounds``: `bin_bounds`. Returns (m,) bins; the number of
    bins stands for an orientation above the last boundary, which scikit-image counts nowhere.
    """
    degrees = np.rad2deg(np.arctan2(rows, cols)) % 180
    return np.searchsorted(bounds, degrees, side="right") - 1


@lru_cache(maxsize=32)
def hog_plan(
    image_shape: tuple[int, int, int],
    orientations: int,
    cell: int,
    block: int,
    norm: int,
    transform_sqrt: bool,
    largest: bool,
) -> HogPlan:
    """The tables for images of one shape (height, width, channels); the parameters are those of `Hog`."""
    height, width, channels = image_shape
    parts = 1 if largest else channels  # channels added up before differences are taken
    values = np.arange(255 * parts + 1, dtype=np.float64) / parts
    if transform_sqrt:
        values = np.sqrt(values)
        levels = np.rint(values * FIXED_POINT).astype(np.int32)
        scale = 1.0 / FIXED_POINT
        # One unit of rounding in a difference of at least 1 / (32 parts).
        tolerance = _FLOAT32_ERROR + 32.0 * parts / FIXED_POINT * 2
    else:
        levels = np.empty(0, dtype=np.int32)
        scale = 1.0 / parts
        tolerance = _FLOAT32_ERROR
    bounds = bin_bounds(orientations)
    cotangents = np.round(1.0 / np.tan(np.radians(bounds[1:-1])), 12)
    singles = None
    if not transform_sqrt:
        # Dividing by a power of two is exact, and so is every difference of such values.
        exact_ties = parts & (parts - 1) == 0
        singles = _between_fractions(cotangents, 255 * parts, exact_ties)
    thresholds = _around(cotangents, tolerance) if singles is None else singles
    return HogPlan(
        height=height,
        width=width,
        channels=channels,
        largest=largest,
        cell=cell,
        block=block,
        orientations=orientations,
        norm=norm,
        levels=levels,
        values=values,
        scale=np.float32(scale / cell**2),
        thresholds=_padded(thresholds),
        pairs=singles is None,
        tie=np.float32(4 * tolerance if transform_sqrt else 0.0),
        tie_from=np.float32(_first_unequal_hypot() if largest and not transform_sqrt else 0),
        first_bins=_first_bins(height, width, cell, orientations),
        bounds=bounds,
    )


def _first_bins(height: int, width: int, cell: int, orientations: int) -> npt.NDArray[np.int32]:
    """The place of its cell's first bin in the histograms of an image, for each pixel, (height * width,)."""
    cells_y, cells_x = height // cell, width // cell
    cells = np.full((height, width), cells_y * cells_x, dtype=np.int32)
    order = np.arange(cells_y * cells_x, dtype=np.int32).reshape(cells_y, cells_x)
    cells[: cells_y * cell, : cells_x * cell] = order.repeat(cell, axis=0).repeat(cell, axis=1)
    return cells.ravel() * np.int32(orientations)


def _first_unequal_hypot() -> int:
    """The least r * r + c * c of bytes r and c for which the C library's hypot has two values, not one."""
    r, c = np.meshgrid(np.arange(256.0), np.arange(256.0))
    squares, hypots = (r * r + c * c).astype(np.int64).ravel(), np.hypot(r, c).ravel()
    least, most = np.full(squares.max() + 1, np.inf), np.zeros(squares.max() + 1)
    np.minimum.at(least, squares, hypots)
    np.maximum.at(most, squares, hypots)
    return int(np.append(np.flatnonzero(most > least), squares.max() + 1)[0])


def _between_fractions(
    cotangents: npt.NDArray[np.float64], largest: int, exact_ties: bool
) -> npt.NDArray[np.float64] | None:
    """Thresholds half way between the neighbouring fractions p / q, |p| and |q| <= largest, or None.

    A fraction equal to the cotangent (0, 1 and -1 are the only ones) belongs to the bin above the boundary.
    None: 1 is among them and such ties are not exact, or float32 cannot separate two neighbours.
    """
    thresholds = np.empty_like(cotangents)
    for i, cotangent in enumerate(cotangents):
        if abs(cotangent) == 1 and not exact_ties:
            return None
        q = np.arange(1, int(largest / max(1.0, abs(cotangent))) + 2)
        passed = np.floor(cotangent * q)
        below, above = (passed / q).max(), ((passed + 1) / q).min()
        if above - below < 4 * _FLOAT32_ERROR * max(1.0, abs(cotangent)):
            return None
        thresholds[i] = (below + above) / 2
    return thresholds


def _around(cotangents: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.float64]:
    """Two thresholds a boundary, (2 m,), a relative ``tolerance`` below and above it; 90 degrees is sure."""
    margin = np.abs(cotangents) * tolerance
    below = np.where(cotangents == 0, _NEAR_ZERO, cotangents - margin)
    above = np.where(cotangents == 0, _NEAR_ZERO, cotangents + margin)
    return np.concatenate([below, above])


def _padded(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """From the first to be passed to the last, and behind them, to a multiple of eight (the kernel's step),
    thresholds that no gradient passes."""
    padded = np.full(max(1, -(-len(thresholds) // 8)) * 8, -1e20, dtype=np.float32)
    padded[: len(thresholds)] = np.sort(thresholds)[::-1]
    return padded
