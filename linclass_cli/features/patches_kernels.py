"""The kernels around the product of patches and filters: patches are cut before it, answers pooled after.

A tile holds the patches of some rows of an image, or of several small images: few enough that they and their
responses to some filters stay in the second-level cache. The array (n, patches, filters) never exists.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linclass_cli.jit import kernel


@kernel(inner=True, fast=True)
def _normalise(values: npt.NDArray[np.float32], total: int, squares: int, contrast: float) -> None:
    """Subtract the mean of a patch (K,), and divide by sqrt(variance + contrast), the divisor being K - 1.

    A patch of one colour becomes zeros, also without a contrast.
    """
    K = values.shape[0]
    mean = total / K
    spread = (squares - total * mean) / max(K - 1, 1) + contrast
    center, factor = np.float32(mean), np.float32(1.0 / np.sqrt(spread) if spread > 0 else 0.0)
    for j in range(K):
        values[j] = (values[j] - center) * factor


@kernel(fast=True)
def cut_patches(
    images: npt.NDArray[np.uint8],
    size: int,
    first: int,
    rows: int,
    contrast: float,
    out: npt.NDArray[np.float32],
) -> None:
    """Contrast-normalised patches of images (n, h, w, c), of the patch rows ``first`` to first + rows.

    out: (n * rows * columns of patches, size * size * c), at least; rows that are not filled stay as they
    are.
    """
    n, height, width, channels = images.shape
    across, run = width - size + 1, size * channels
    for i in range(n):
        flat = images[i].reshape(height * width * channels)
        for y in range(rows):
            for x in range(across):
                values = out[(i * rows + y) * across + x]
                total, squares = 0, 0
                for dy in range(size):
                    begin = (first + y + dy) * width
                    line = values[dy * run : dy * run + run]
                    source = (begin + x) * channels
                    for j in range(run):
                        v = int(flat[source + j])
                        line[j] = v
                        total += v
                        squares += v * v
                _normalise(values, total, squares, contrast)


@kernel(inner=True, fast=True)
def _add_four(
    S: npt.NDArray[np.float32],
    at: int,
    upper: npt.NDArray[np.float32],
    lower: npt.NDArray[np.float32],
    above: npt.NDArray[np.float32],
    below: npt.NDArray[np.float32],
) -> None:
    """Add what four rows of S, from ``at`` on, have above ``upper`` and below ``lower``."""
    s, t, u, v = S[at], S[at + 1], S[at + 2], S[at + 3]
    zero = np.float32(0)
    for f in range(upper.shape[0]):
        high, low = upper[f], lower[f]
        above[f] += (max(s[f] - high, zero) + max(t[f] - high, zero)) + (
            max(u[f] - high, zero) + max(v[f] - high, zero)
        )
        below[f] += (max(low - s[f], zero) + max(low - t[f], zero)) + (
            max(low - u[f], zero) + max(low - v[f], zero)
        )


@kernel(fast=True)
def pool_responses(
    S: npt.NDArray[np.float32],
    n: int,
    down: int,
    across: int,
    first: int,
    rows: int,
    grid: int,
    upper: npt.NDArray[np.float32],
    lower: npt.NDArray[np.float32],
    begin: int,
    out: npt.NDArray[np.float32],
) -> None:
    """Add what responses are above ``upper`` and below ``lower``, both (f,), to the sums of their cells.

    S (n * rows * across, f) are the responses of the filters from ``begin`` on at the patch rows ``first`` to
    first + rows, of ``down`` in an image; out (n, grid * grid, 2, filters). A cell is row a and column b of a
    grid: patches y with a * down // grid <= y < (a + 1) * down // grid, and so for x.
    """
    f = upper.shape[0]
    zero = np.float32(0)
    for i in range(n):
        for a in range(grid):
            start, stop = max(first, a * down // grid), min(first + rows, (a + 1) * down // grid)
            for y in range(start, stop):
                base = (i * rows + y - first) * across
                for b in range(grid):
                    above = out[i, a * grid + b, 0, begin : begin + f]
                    below = out[i, a * grid + b, 1, begin : begin + f]
                    x, end = base + b * across // grid, base + (b + 1) * across // grid
                    while x + 4 <= end:
                        _add_four(S, x, upper, lower, above, below)
                        x += 4
                    while x < end:
                        s = S[x]
                        for j in range(f):
                            above[j] += max(s[j] - upper[j], zero)
                            below[j] += max(lower[j] - s[j], zero)
                        x += 1


@kernel(inner=True, fast=True)
def _distances(
    s: npt.NDArray[np.float32], squares: npt.NDArray[np.float32], centre: npt.NDArray[np.float32]
) -> np.float32:
    """Make the distances to the centroids of a patch's products, in s[:f]; return their mean."""
    f = squares.shape[0]
    length, total, zero = np.float32(0), np.float32(0), np.float32(0)
    for j in range(centre.shape[0]):
        value = s[f + j] - centre[j]
        length += value * value
    for j in range(f):
        distance = np.sqrt(max(length + squares[j] + s[j], zero))
        s[j] = distance
        total += distance
    return total / np.float32(f)


@kernel(fast=True)
def pool_distances(
    S: npt.NDArray[np.float32],
    n: int,
    down: int,
    across: int,
    first: int,
    rows: int,
    grid: int,
    squares: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Add how much nearer than its mean distance a patch is to each centroid to the sums of its cell.

    S (n * rows * across, f + K) holds the products of a patch p: -2 c' whitening p of every centroid c, which
    become distances here, and whitening p. ``centre`` (K,) is whitening mean, and ``squares`` (f,) are
    c'c + 2 c' centre, so that with x = whitening (p - mean) the squared distance is
    x'x + squares - 2 c' whitening p. out (n, grid * grid, 1, f); all else is as in `pool_responses`.
    """
    f = squares.shape[0]
    zero = np.float32(0)
    for i in range(n):
        for a in range(grid):
            start, stop = max(first, a * down // grid), min(first + rows, (a + 1) * down // grid)
            for y in range(start, stop):
                base = (i * rows + y - first) * across
                for b in range(grid):
                    near = out[i, a * grid + b, 0]
                    for x in range(base + b * across // grid, base + (b + 1) * across // grid):
                        z = S[x]
                        mean = _distances(z, squares, centre)
                        for j in range(f):
                            near[j] += max(mean - z[j], zero)


@kernel(fast=True)
def join_cells(
    cells: npt.NDArray[np.float32], grid: int, regions: int, root: bool, out: npt.NDArray[np.float32]
) -> None:
    """Sums of cells (n, grid * grid, values, f) become those of regions, out (n, regions**2, values, f).

    A region begins at the cell of its own row and column and is 1 + grid - regions cells wide and high;
    ``root``: the square roots of the sums.
    """
    n, side = cells.shape[0], 1 + grid - regions
    for i in range(n):
        for a in range(regions):
            for b in range(regions):
                for value in range(cells.shape[2]):
                    whole = out[i, a * regions + b, value]
                    whole[:] = 0
                    for y in range(a, a + side):
                        for x in range(b, b + side):
                            part = cells[i, y * grid + x, value]
                            for j in range(whole.shape[0]):
                                whole[j] += part[j]
                    if root:
                        for j in range(whole.shape[0]):
                            whole[j] = np.sqrt(whole[j])
