"""The kernels of `gradients` and `pairs`: histograms of directions, and of pairs of them.

At each pixel a gradient has a direction, over the whole circle, and a length. Differences are between both
neighbours, and on the border with the pixel itself. Of several planes the one of the longest gradient counts
(Dalal and Triggs 2005), the first of equals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linclass_cli.jit import kernel


@kernel(inner=True)
def _planes_of(image: npt.NDArray[np.uint8], opponents: bool, planes: npt.NDArray[np.float32]) -> None:
    """The channels of an image (h, w, c) as planes (c, h, w); or, of colour, the two opponents (2, h, w).

    Opponents: (red - green) / 2 and (red + green) / 4 - blue / 2.
    """
    height, width, channels = image.shape
    for y in range(height):
        for x in range(width):
            if opponents:
                red, green, blue = np.float32(image[y, x, 0]), np.float32(image[y, x, 1]), image[y, x, 2]
                planes[0, y, x] = (red - green) * np.float32(0.5)
                planes[1, y, x] = (red + green) * np.float32(0.25) - np.float32(blue) * np.float32(0.5)
            else:
                for c in range(channels):
                    planes[c, y, x] = np.float32(image[y, x, c])


@kernel(inner=True)
def _find_directions(
    planes: npt.NDArray[np.float32],
    directions: int,
    bins: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float32],
    lengths: npt.NDArray[np.float32],
) -> None:
    """Where the gradients of planes (c, h, w) point, and how long they are: bins (h, w, 2), the rest (h, w).

    The centres of the bins are at (j + 1/2) / directions of a circle; a gradient lies between two of them,
    and ``shares`` is the second one's part of it.
    """
    channels, height, width = planes.shape
    for y in range(height):
        above, under = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            best, across, down = np.float32(-1), np.float32(0), np.float32(0)
            for c in range(channels):
                dx = planes[c, y, right] - planes[c, y, left]
                dy = planes[c, under, x] - planes[c, above, x]
                square = dx * dx + dy * dy
                if square > best:
                    best, across, down = square, dx, dy
            lengths[y, x] = np.sqrt(best)
            place = np.arctan2(np.float64(down), np.float64(across)) / (2 * np.pi) * directions - 0.5
            lower = int(np.floor(place))
            shares[y, x] = np.float32(place - lower)
            bins[y, x, 0] = (lower + directions) % directions
            bins[y, x, 1] = (lower + 1 + directions) % directions


@kernel()
def vote_directions(
    images: npt.NDArray[np.uint8],
    sides: npt.NDArray[np.int64],
    directions: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Square roots of histograms, out (n, d), of images (n, h, w, c); for each of sides the cells of a grid.

    A gradient's length is shared between its two bins, and between the four cells whose centres are nearest,
    in proportion (bilinear); what falls beyond the outermost centres is lost to the side that has no cell.
    """
    n, height, width, channels = images.shape
    planes = np.empty((channels, height, width), np.float32)
    bins = np.empty((height, width, 2), np.int64)
    shares = np.empty((height, width), np.float32)
    lengths = np.empty((height, width), np.float32)
    one = np.float32(1)
    for i in range(n):
        _planes_of(images[i], False, planes)
        _find_directions(planes, directions, bins, shares, lengths)
        row = out[i]
        row[:] = 0
        begin = 0
        for s in range(sides.shape[0]):
            side = sides[s]
            for y in range(height):
                v = (y + 0.5) * side / height - 0.5
                top = int(np.floor(v))
                low = np.float32(v - top)
                for x in range(width):
                    length = lengths[y, x]
                    if length == 0:
                        continue
                    u = (x + 0.5) * side / width - 0.5
                    left = int(np.floor(u))
                    right = np.float32(u - left)
                    share = shares[y, x]
                    for a in range(2):
                        if top + a < 0 or top + a >= side:
                            continue
                        vertical = length * (low if a == 1 else one - low)
                        for b in range(2):
                            if left + b < 0 or left + b >= side:
                                continue
                            vote = vertical * (right if b == 1 else one - right)
                            at = begin + ((top + a) * side + left + b) * directions
                            row[at + bins[y, x, 0]] += vote * (one - share)
                            row[at + bins[y, x, 1]] += vote * share
            begin += side * side * directions
        for j in range(row.shape[0]):
            row[j] = np.sqrt(row[j])


@kernel(inner=True)
def _vote(
    cell: npt.NDArray[np.float32],
    p: npt.NDArray[np.int64],
    q: npt.NDArray[np.int64],
    f: np.float32,
    g: np.float32,
    weight: np.float32,
) -> None:
    """Share a weight between the bins of two gradients: cell (directions, directions)."""
    first, second = weight * (np.float32(1) - f), weight * f
    other = np.float32(1) - g
    cell[p[0], q[0]] += first * other
    cell[p[0], q[1]] += first * g
    cell[p[1], q[0]] += second * other
    cell[p[1], q[1]] += second * g


@kernel()
def vote_pairs(
    images: npt.NDArray[np.uint8],
    opponents: bool,
    distances: npt.NDArray[np.int64],
    regions: int,
    directions: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Square roots of histograms of pairs, of images (n, h, w, c), or of their colours' opponents.

    out (n, distances, regions, regions, 4, directions, directions): of a pixel and the one at the distance r
    to the right, below, below right and below left. A pair votes with the square root of the shorter gradient
    for the region of its middle; where that lies between two columns of regions each has half.
    """
    n, height, width, channels = images.shape
    planes = np.empty((2 if opponents else channels, height, width), np.float32)
    bins = np.empty((height, width, 2), np.int64)
    shares = np.empty((height, width), np.float32)
    lengths = np.empty((height, width), np.float32)
    half = np.float32(0.5)
    for i in range(n):
        _planes_of(images[i], opponents, planes)
        _find_directions(planes, directions, bins, shares, lengths)
        for y in range(height):
            for x in range(width):
                lengths[y, x] = np.sqrt(lengths[y, x])
        out[i] = 0
        for t in range(distances.shape[0]):
            r = distances[t]
            for way in range(4):
                dy = 0 if way == 0 else r
                dx = r if way == 0 or way == 2 else (0 if way == 1 else -r)
                for y in range(height - dy):
                    a = min((2 * y + dy + 1) * regions // (2 * height), regions - 1)
                    for x in range(max(0, -dx), width - max(0, dx)):
                        weight = min(lengths[y, x], lengths[y + dy, x + dx])
                        if weight == 0:
                            continue
                        middle = (2 * x + dx + 1) * regions
                        b = middle // (2 * width)
                        p, q = bins[y, x], bins[y + dy, x + dx]
                        f, g = shares[y, x], shares[y + dy, x + dx]
                        if b * 2 * width == middle and b > 0:
                            _vote(out[i, t, a, b - 1, way], p, q, f, g, weight * half)
                            weight *= half
                        _vote(out[i, t, a, b, way], p, q, f, g, weight)
        flat = out[i].reshape(out[i].size)
        for j in range(flat.shape[0]):
            flat[j] = np.sqrt(flat[j])
