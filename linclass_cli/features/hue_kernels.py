"""The kernel of the histogram of hue: pixel after pixel, image after image; threads take chunks of images.

It repeats scikit-image's float64 arithmetic operation by operation. Whole numbers would be simpler, but a hue
on the border of two bins is rounded by scikit-image to either side of it, depending on the colour: with 16
bins 6 colours in 10,000 would be counted elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linclass_cli.jit import kernel


@kernel(inner=True)
def _hue(red: float, green: float, blue: float) -> float:
    """Hue in [0, 1) of a colour with parts in [0, 1], `skimage.color.rgb2hsv`; 0 for greys."""
    top = max(red, green, blue)
    delta = top - min(red, green, blue)
    if delta == 0.0:
        return 0.0
    if blue == top:
        sector = 4.0 + (red - green) / delta
    elif green == top:
        sector = 2.0 + (blue - red) / delta
    else:
        sector = (green - blue) / delta
    return (sector / 6.0) % 1.0


@kernel()
def hue_kernel(
    images: npt.NDArray[np.uint8],
    parts: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    out: npt.NDArray[np.float32],
) -> None:
    """Histograms (n, bins) of images (n, height * width * 3), divided by the number of pixels.

    ``parts``: (256,) what a byte is in [0, 1]; ``edges``: (bins + 1,), the last bin includes its upper edge.
    """
    bins = edges.size - 1
    pixels = images.shape[1] // 3
    for i in range(images.shape[0]):
        counts = np.zeros(bins, dtype=np.int64)
        for p in range(pixels):
            hue = _hue(parts[images[i, 3 * p]], parts[images[i, 3 * p + 1]], parts[images[i, 3 * p + 2]])
            k = min(int(hue * bins), bins - 1)
            # The product may be rounded across an edge.
            if hue < edges[k]:
                k -= 1
            elif k < bins - 1 and hue >= edges[k + 1]:
                k += 1
            counts[k] += 1
        for k in range(bins):
            out[i, k] = np.float32(counts[k] / pixels)
