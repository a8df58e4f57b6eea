"""The kernel of what `colours` counts: sums, squares and a histogram of colours in each cell of a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linclass_cli.jit import kernel


@kernel()
def count_colours(
    images: npt.NDArray[np.uint8],
    side: int,
    levels: int,
    rows: npt.NDArray[np.int64],
    row_shares: npt.NDArray[np.float64],
    cols: npt.NDArray[np.int64],
    col_shares: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """out (n, side * side, 2 * c + levels ** c) of images (n, h, w, c), for a grid of side * side cells.

    Of each cell: the channels' means and standard deviations, in parts of 255, then the square roots of the
    parts of the cell that have each colour. A row of pixels y lies in the row of cells rows[y], but for
    row_shares[y] of it, which lies in the next; so for columns.
    """
    n, height, width, channels = images.shape
    colours = out.shape[2] - 2 * channels
    counts = np.empty((side * side, colours))
    sums, squares = np.empty((side * side, channels)), np.empty((side * side, channels))
    area = height * width / (side * side)
    for i in range(n):
        counts[:] = 0
        sums[:] = 0
        squares[:] = 0
        for y in range(height):
            for x in range(width):
                colour = 0
                for c in range(channels):
                    colour = colour * levels + int(images[i, y, x, c]) * levels // 256
                for a in range(2):
                    vertical = row_shares[y] if a == 1 else 1 - row_shares[y]
                    if vertical == 0:
                        continue
                    for b in range(2):
                        share = vertical * (col_shares[x] if b == 1 else 1 - col_shares[x])
                        if share == 0:
                            continue
                        cell = (rows[y] + a) * side + cols[x] + b
                        counts[cell, colour] += share
                        for c in range(channels):
                            v = float(images[i, y, x, c])
                            sums[cell, c] += share * v
                            squares[cell, c] += share * v * v
        for cell in range(side * side):
            values = out[i, cell]
            for c in range(channels):
                mean = sums[cell, c] / area
                values[c] = mean / 255
                values[channels + c] = np.sqrt(max(squares[cell, c] / area - mean * mean, 0.0)) / 255
            for j in range(colours):
                values[2 * channels + j] = np.sqrt(counts[cell, j] / area)
