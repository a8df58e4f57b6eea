"""The kernels of HOG. How their loops are laid out:

    images, a chunk a call               threads run chunks side by side (`chunks`)
      vote:  pixels of one image         flat loops over height * width with a stride of 1, one simple
                                         operation each, so that LLVM makes vector code of every one:
                                         levels -> differences -> (the best channel) -> magnitude and half
                                         plane -> count of the boundaries passed, four at a time
      pool:  pixels -> cells             scalar: the sums of cells side by side take turns, so that no
                                         addition waits for the one before it
             cells -> blocks             copied to the output and normalised there

Every array of an image is flat: pixel (y, x) is at y * width + x, and in the image itself its channel k is at
(y * width + x) * channels + k. Differences are those of whole numbers (see `hog_tables`), hence exact; each
cell adds its magnitudes up in raster order, in float32, as scikit-image does. No sum crosses two images, so
that the number of threads changes nothing.

Numba reads past the end of an array without notice: sizes are checked in `hog.Hog`, not here.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from linclass_cli.features.hog_tables import HogPlan
from linclass_cli.jit import kernel

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

UNSURE = np.uint8(255)  # the code of a pixel whose bin is not decided yet
_TIED = 256  # the bit of a count that says so because of its channels

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_EPS = np.float32(1e-5)
_EPS_SQUARED = np.float32(1e-10)
_CLIP = np.float32(0.2)


@kernel(inner=True)
def _split_levels(image: U8, plan: HogPlan, planes: I32) -> None:
    """The image as planes (1, pixels) of the sums of its channels, or (channels, pixels) of each of them."""
    channels = plan.channels
    if plan.largest and channels == 3:
        first, second, third = planes[0], planes[1], planes[2]
        for p in range(first.size):
            first[p] = image[3 * p]
            second[p] = image[3 * p + 1]
            third[p] = image[3 * p + 2]
    elif plan.largest:
        for k in range(channels):
            plane = planes[k]
            for p in range(plane.size):
                plane[p] = image[p * channels + k]
    else:
        plane = planes[0]
        if channels == 3:
            for p in range(plane.size):
                plane[p] = np.int32(image[3 * p]) + np.int32(image[3 * p + 1]) + np.int32(image[3 * p + 2])
        else:
            for p in range(plane.size):
                total = np.int32(0)
                for k in range(channels):
                    total += np.int32(image[p * channels + k])
                plane[p] = total
    if plan.levels.size > 0:
        for plane in planes:
            for p in range(plane.size):
                plane[p] = plan.levels[plane[p]]


@kernel(inner=True)
def _differences(plane: I32, height: int, width: int, rows: F32, cols: F32, squares: F32) -> None:
    """Differences across each pixel, 0 on the border of the image, and the square of their magnitude."""
    below = plane[2 * width :]
    inside = rows[width:]
    for p in range(below.size):
        inside[p] = np.float32(np.int32(below[p] - plane[p]))
    for x in range(width):
        rows[x] = _ZERO
        rows[(height - 1) * width + x] = _ZERO
    right = plane[2:]
    inside = cols[1:]
    for p in range(right.size):
        inside[p] = np.float32(np.int32(right[p] - plane[p]))
    for y in range(height):
        cols[y * width] = _ZERO
        cols[y * width + width - 1] = _ZERO
    for p in range(squares.size):
        squares[p] = rows[p] * rows[p] + cols[p] * cols[p]


@kernel(inner=True)
def _pick_channel(
    planes: I32, plan: HogPlan, rows: F32, cols: F32, squares: F32, work: F32, counts: I32
) -> None:
    """Replace the first channel's gradient by that of the largest magnitude, in place; counts mark ties."""
    new_rows, new_cols, new_squares = work[0], work[1], work[2]
    for k in range(1, plan.channels):
        _differences(planes[k], plan.height, plan.width, new_rows, new_cols, new_squares)
        for p in range(counts.size):
            close = (abs(new_squares[p] - squares[p]) <= plan.tie * squares[p]) & (
                squares[p] >= plan.tie_from
            )
            same = (new_rows[p] == rows[p]) & (new_cols[p] == cols[p])
            counts[p] |= _TIED * np.int32(close & (not same))
        # One array a loop, and no load that depends on the comparison: otherwise LLVM gives up on vectors.
        for p in range(counts.size):
            old, new = rows[p], new_rows[p]
            rows[p] = new if new_squares[p] > squares[p] else old
        for p in range(counts.size):
            old, new = cols[p], new_cols[p]
            cols[p] = new if new_squares[p] > squares[p] else old
        for p in range(counts.size):
            old, new = squares[p], new_squares[p]
            squares[p] = new if new > old else old


@kernel(inner=True)
def _count_boundaries(rows: F32, cols: F32, plan: HogPlan, counts: I32, codes: U8) -> int:
    """codes[p]: the bin of each gradient, or UNSURE, how often is returned. Turns the gradients upwards."""
    for p in range(counts.size):
        cols[p] = -cols[p] if rows[p] < _ZERO else cols[p]
        cols[p] = _ONE if rows[p] == _ZERO else cols[p]  # 0 and 180 degrees are both in bin 0
        rows[p] = abs(rows[p])
    for i in range(0, plan.thresholds.size, 4):
        t0, t1 = plan.thresholds[i], plan.thresholds[i + 1]
        t2, t3 = plan.thresholds[i + 2], plan.thresholds[i + 3]
        for p in range(counts.size):
            r, c = rows[p], cols[p]
            passed = (
                np.int32(r * t0 >= c) + np.int32(r * t1 >= c) + np.int32(r * t2 >= c) + np.int32(r * t3 >= c)
            )
            counts[p] += np.int32(passed)
    shift = 1 if plan.pairs else 0
    mask = _TIED | shift
    unsure = 0
    for p in range(counts.size):
        open_question = counts[p] & mask != 0
        codes[p] = UNSURE if open_question else np.uint8(counts[p] >> shift)
        unsure += open_question
    return unsure


@kernel(inner=True)
def _sum_cells(codes: U8, magnitudes: F32, plan: HogPlan, histogram: F32) -> None:
    """histogram (cells_y * cells_x * orientations,): sums of magnitudes over each cell and bin."""
    for j in range(histogram.size):
        histogram[j] = _ZERO
    row_of_cells = plan.width // plan.cell * plan.orientations
    for y in range(plan.height // plan.cell * plan.cell):
        part = histogram[y // plan.cell * row_of_cells :]
        for j in range(plan.turns.size):
            p = y * plan.width + plan.turns[j]
            part[plan.turn_bins[j] + np.int64(codes[p])] += magnitudes[p]


@kernel(fast=True, inner=True)
def _normalise(block: F32, norm: int) -> None:
    """Block normalisation in place, `_hog_normalize_block` of skimage/feature/_hog.py."""
    if norm <= 1:
        total = _ZERO
        for j in range(block.size):
            total += block[j]
        factor = _ONE / (total + _EPS)
        for j in range(block.size):
            block[j] *= factor
        if norm == 1:
            for j in range(block.size):
                block[j] = np.sqrt(block[j])
        return
    total = _EPS_SQUARED
    for j in range(block.size):
        total += block[j] * block[j]
    factor = _ONE / np.sqrt(total)
    if norm == 2:
        for j in range(block.size):
            block[j] *= factor
        return
    total = _EPS_SQUARED
    for j in range(block.size):
        block[j] = min(block[j] * factor, _CLIP)
        total += block[j] * block[j]
    factor = _ONE / np.sqrt(total)
    for j in range(block.size):
        block[j] *= factor


@kernel()
def vote(images: U8, plan: HogPlan, codes: U8, magnitudes: F32) -> int:
    """Bins and magnitudes of the pixels of flattened images (n, height * width * channels).

    ``codes``, ``magnitudes``: (n, height * width). Returns how many codes are UNSURE; `exact_gradients` has
    what is needed to decide them before `pool`.
    """
    pixels = plan.height * plan.width
    planes = np.empty((plan.channels if plan.largest else 1, pixels), dtype=np.int32)
    work = np.empty((5, pixels), dtype=np.float32)
    rows, cols, others = work[0], work[1], work[2:]
    counts = np.empty(pixels, dtype=np.int32)
    unsure = 0
    for i in range(images.shape[0]):
        squares = magnitudes[i]
        for p in range(pixels):
            counts[p] = 0
        _split_levels(images[i], plan, planes)
        _differences(planes[0], plan.height, plan.width, rows, cols, squares)
        if plan.largest:
            _pick_channel(planes, plan, rows, cols, squares, others, counts)
        for p in range(pixels):
            squares[p] = np.sqrt(squares[p])
        unsure += _count_boundaries(rows, cols, plan, counts, codes[i])
    return unsure


@kernel()
def pool(codes: U8, magnitudes: F32, plan: HogPlan, out: F32) -> None:
    """Features (n, d) from what `vote` wrote: cells, then overlapping blocks of cells, each normalised."""
    cells_y, cells_x = plan.height // plan.cell, plan.width // plan.cell
    histogram = np.empty(cells_y * cells_x * plan.orientations, dtype=np.float32)
    length = plan.block * plan.orientations
    for n in range(codes.shape[0]):
        _sum_cells(codes[n], magnitudes[n], plan, histogram)
        start = 0
        for y in range(cells_y - plan.block + 1):
            for x in range(cells_x - plan.block + 1):
                block = out[n, start : start + plan.block * length]
                for i in range(plan.block):
                    cells = histogram[((y + i) * cells_x + x) * plan.orientations :]
                    part = block[i * length : (i + 1) * length]
                    for j in range(part.size):
                        part[j] = cells[j] * plan.scale
                _normalise(block, plan.norm)
                start += block.size


@kernel()
def exact_gradients(images: U8, pixels: I64, plan: HogPlan, rows: F64, cols: F64) -> None:
    """scikit-image's float64 gradients of some pixels, given as image * height * width + p, all (m,).

    Of several channels it is the first one with the largest hypot.
    """
    height, width, channels = plan.height, plan.width, plan.channels
    groups, parts = (channels, 1) if plan.largest else (1, channels)
    for i in range(pixels.size):
        image, p = images[pixels[i] // (height * width)], pixels[i] % (height * width)
        y, x = p // width, p % width
        best = -1.0
        for k in range(groups):
            up, down, left, right = 0, 0, 0, 0
            for j in range(k, k + parts):
                if 0 < y < height - 1:
                    up += int(image[(p - width) * channels + j])
                    down += int(image[(p + width) * channels + j])
                if 0 < x < width - 1:
                    left += int(image[(p - 1) * channels + j])
                    right += int(image[(p + 1) * channels + j])
            row, col = plan.values[down] - plan.values[up], plan.values[right] - plan.values[left]
            magnitude = math.hypot(row, col)
            if magnitude > best:
                rows[i], cols[i], best = row, col, magnitude
