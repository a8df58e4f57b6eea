"""The most confident errors, as a gallery: the image, what it is, what it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from linclass_cli.evidence import Mistake
from linclass_cli.show.figures.canvas import FONT, HEADER, blank, ink, label, wrong

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 20
_COLUMNS = 5
_WIDE, _HIGH, _EDGE = 1.95, 2.32, 0.14  # inches of a picture with its two lines, and between two
_LETTERS = 27


def mistakes_figure(mistakes: Sequence[Mistake], title: str, about: str) -> Figure:
    """Up to 20 mistakes, five in a row, the most confident first."""
    shown = mistakes[:MOST]
    columns = min(_COLUMNS, max(4, len(shown)))  # the header wants some room
    rows = -(-len(shown) // columns)
    width, height = columns * _WIDE + _EDGE, rows * _HIGH + HEADER + 0.05
    figure = blank(title, about, (width, height))
    figure.set_layout_engine("none")  # every picture has its place
    for place, one in enumerate(shown):
        left = _EDGE + place % columns * _WIDE
        bottom = height - HEADER - (place // columns + 1) * _HIGH
        side = _WIDE - _EDGE
        axes = figure.add_axes((left / width, (bottom + 0.12) / height, side / width, side / height))
        axes.imshow(
            pixels_of(one.image), interpolation="nearest", cmap="gray", vmin=0, vmax=255, aspect="equal"
        )
        axes.set_anchor("NW")
        axes.set_axis_off()
        sure = f" {one.sure}"
        predicted = label(f"predicted {one.predicted}", _LETTERS - len(sure)) + sure
        for text, line, color in ((f"true {one.true}", 1, ink()), (predicted, 0, wrong())):
            y = (bottom + 0.12 + side + 0.06 + 0.17 * line) / height
            figure.text(left / width, y, label(text, _LETTERS), size=FONT - 2.5, color=color)
    return figure


def pixels_of(image: Array) -> Array:
    """An image as matplotlib and Pillow want it: (h, w) for one channel, else (h, w, 3)."""
    return image[..., 0] if image.shape[-1] in (1, 2) else image[..., :3]
