"""The kernels of HOG. How their loops are laid out:

    images, a chunk a call               threads run chunks side by side (`threads.in_chunks`)
      vote:  pixels of one image         flat loops over height * width with a stride of 1:
                                         channels -> levels -> differences -> (the best channel)
                                         -> magnitude and boundaries passed, eight at a time -> code
      pool:  pixels -> cells             scalar, in raster order, at places prepared by a vector loop
             cells -> blocks             copied to the output and normalised there

LLVM makes vector code of a flat loop only while it is sure of its arrays: at most eight pairs of them that
might overlap (one written, one read or written), one width of numbers where that can be, and no store that a
condition could skip (AVX2's masked stores are slow on some processors). Hence several loops where one would
read better; each costs about 0.1 us an image of 32 x 32, left scalar ten times that.

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
Eight = tuple[np.float32, ...]

UNSURE = np.uint8(255)  # the code of a pixel whose bin is not decided yet
_TIED = 256  # the bit of a count that says so because of its channels

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_EPS = np.float32(1e-5)
_EPS_SQUARED = np.float32(1e-10)
_CLIP = np.float32(0.2)


@kernel(inner=True)
def _split_channels(image: U8, parts: U8) -> None:
    """parts (channels, pixels): the channels of the image, each by itself."""
    channels = parts.shape[0]
    if channels == 3:
        first, second, third = parts[0], parts[1], parts[2]
        for p in range(first.size):
            first[p] = image[3 * p]
            second[p] = image[3 * p + 1]
            third[p] = image[3 * p + 2]
        return
    for k in range(channels):
        part = parts[k]
        for p in range(part.size):
            part[p] = image[p * channels + k]


@kernel(inner=True)
def _add_channels(image: U8, channels: int, plane: I32) -> None:
    """plane (pixels,): the sums of the channels of the image."""
    if channels == 3:
        for p in range(plane.size):
            two = np.int32(np.int32(image[3 * p]) + np.int32(image[3 * p + 1]))
            plane[p] = np.int32(two + np.int32(image[3 * p + 2]))
        return
    if channels == 1:
        for p in range(plane.size):
            plane[p] = np.int32(image[p])
        return
    for p in range(plane.size):
        plane[p] = np.int32(0)
        for k in range(channels):
            plane[p] += np.int32(image[p * channels + k])


@kernel(inner=True)
def _take_levels(levels: I32, plane: I32) -> None:
    """plane (pixels,): what ``levels`` has for its values, if it has any."""
    if levels.size > 0:
        for p in range(plane.size):
            plane[p] = levels[plane[p]]


@kernel(inner=True)
def _differences(plane: I32, height: int, width: int, rows: F32, cols: F32) -> None:
    """Differences across each pixel, 0 on the border of the image."""
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


@kernel(inner=True)
def _pick_channel(new_rows: F32, new_cols: F32, plan: HogPlan, rows: F32, cols: F32, counts: I32) -> None:
    """Put another channel's gradients where they are larger; counts mark those that are equally large."""
    for p in range(counts.size):
        r, c, new_r, new_c = rows[p], cols[p], new_rows[p], new_cols[p]
        square, new_square = r * r + c * c, new_r * new_r + new_c * new_c
        close = (abs(new_square - square) <= plan.tie * square) & (square >= plan.tie_from)
        counts[p] |= _TIED * np.int32(close & ((new_r != r) | (new_c != c)))
    for p in range(counts.size):
        r, c, new_r, new_c = rows[p], cols[p], new_rows[p], new_cols[p]
        # Factors, not a choice: LLVM would make that a store under a condition.
        take = np.float32(new_r * new_r + new_c * new_c > r * r + c * c)
        keep = _ONE - take
        rows[p] = take * new_r + keep * r
        cols[p] = take * new_c + keep * c


@kernel(inner=True)
def _passed(r: np.float32, c: np.float32, t: Eight) -> np.int32:
    """How many of eight boundaries, from the first to be passed to the last, the gradient (r, c) passes.

    Or (-r, -c), whichever points upwards. A search by halves: four comparisons, not eight.
    """
    up = -c if r < _ZERO else c
    up = _ONE if r == _ZERO else up  # 0 and 180 degrees are both in bin 0
    r = abs(r)
    four = r * t[3] >= up
    two = r * (t[5] if four else t[1]) >= up
    next_high, next_low = t[6] if two else t[4], t[2] if two else t[0]
    one = r * (next_high if four else next_low) >= up
    last = r * t[7] >= up
    return np.int32(
        np.int32((np.int32(four) << np.int32(2)) + (np.int32(two) << np.int32(1)))
        + np.int32(np.int32(one) + np.int32(last))
    )


@kernel(inner=True)
def _eight(values: F32, i: int) -> Eight:
    """Eight values from the i-th on: read before a loop, they stay in registers."""
    v = values[i : i + 8]
    return v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]


@kernel(inner=True)
def _bin(rows: F32, cols: F32, plan: HogPlan, counts: I32, codes: U8, magnitudes: F32) -> int:
    """codes (pixels,): the bin of each gradient, or UNSURE, how often is returned; magnitudes (pixels,)."""
    last = plan.thresholds.size - 8
    for i in range(0, last, 8):
        t = _eight(plan.thresholds, i)
        for p in range(counts.size):
            counts[p] += _passed(rows[p], cols[p], t)
    t = _eight(plan.thresholds, last)
    for p in range(counts.size):
        r, c = rows[p], cols[p]
        counts[p] += _passed(r, c, t)
        magnitudes[p] = np.sqrt(r * r + c * c)
    shift = np.int32(1 if plan.pairs else 0)
    for p in range(counts.size):
        codes[p] = np.uint8(counts[p] >> shift)
    mask = np.int32(_TIED | shift)
    marks = np.int32(0)  # most images have none: to see that takes less than to count them
    for p in range(counts.size):
        marks |= counts[p] & mask
    unsure = 0
    if marks != 0:
        for p in range(counts.size):
            if counts[p] & mask != 0:
                codes[p] = UNSURE
                unsure += 1
    return unsure


@kernel(inner=True)
def _sum_cells(codes: U8, magnitudes: F32, plan: HogPlan, places: I32, histogram: F32) -> None:
    """histogram: sums of magnitudes over each cell and bin; ``places`` (pixels,): room to work in.

    One pixel of each cell of a row after the other: two pixels of a cell often share a bin, and a sum has to
    be back in memory before it can be added to again.
    """
    cell, width = plan.cell, plan.width
    cells_x = width // cell
    for j in range(histogram.size):
        histogram[j] = _ZERO
    for p in range(places.size):
        places[p] = plan.first_bins[p] + np.int32(codes[p])
    for y in range(plan.height // cell * cell):
        for x in range(cell):
            p = y * width + x
            for _ in range(cells_x):
                # Unsigned: a signed index may count from the end, and to ask takes time.
                histogram[np.uint64(places[np.uint64(p)])] += magnitudes[np.uint64(p)]
                p += cell


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
def vote(images: U8, plan: HogPlan, codes: U8, magnitudes: F32, unsure: I64) -> None:
    """Bins and magnitudes of the pixels of flattened images (n, height * width * channels).

    ``codes``, ``magnitudes``: (n, height * width); ``unsure`` (n,): how many codes of an image are UNSURE;
    `exact_gradients` has what is needed to decide them before `pool`.
    """
    height, width, pixels = plan.height, plan.width, plan.height * plan.width
    parts = np.empty((plan.channels if plan.largest else 1, pixels), dtype=np.uint8)
    plane = np.empty(pixels, dtype=np.int32)
    work = np.empty((4, pixels), dtype=np.float32)
    rows, cols, new_rows, new_cols = work[0], work[1], work[2], work[3]
    counts = np.empty(pixels, dtype=np.int32)
    for i in range(images.shape[0]):
        if plan.largest:
            _split_channels(images[i], parts)
        for p in range(pixels):
            counts[p] = 0
        for k in range(parts.shape[0]):
            if plan.largest:
                _add_channels(parts[k], 1, plane)
            else:
                _add_channels(images[i], plan.channels, plane)
            _take_levels(plan.levels, plane)
            if k == 0:
                _differences(plane, height, width, rows, cols)
            else:
                _differences(plane, height, width, new_rows, new_cols)
                _pick_channel(new_rows, new_cols, plan, rows, cols, counts)
        unsure[i] = _bin(rows, cols, plan, counts, codes[i], magnitudes[i])


@kernel()
def pool(codes: U8, magnitudes: F32, plan: HogPlan, out: F32) -> None:
    """Features (n, d) from what `vote` wrote: cells, then overlapping blocks of cells, each normalised."""
    cells_y, cells_x = plan.height // plan.cell, plan.width // plan.cell
    histogram = np.empty((cells_y * cells_x + 1) * plan.orientations, dtype=np.float32)
    places = np.empty(plan.first_bins.size, dtype=np.int32)
    length = plan.block * plan.orientations
    for n in range(codes.shape[0]):
        _sum_cells(codes[n], magnitudes[n], plan, places, histogram)
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
def exact_gradients(images: U8, which: I64, pixels: I64, plan: HogPlan, rows: F64, cols: F64) -> None:
    """scikit-image's float64 gradients of pixels (m,) of the images ``which`` (m,); rows, cols: (m,).

    Of several channels it is the first one with the largest hypot.
    """
    height, width, channels = plan.height, plan.width, plan.channels
    groups, parts = (channels, 1) if plan.largest else (1, channels)
    for i in range(pixels.size):
        image, p = images[which[i]], pixels[i]
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
