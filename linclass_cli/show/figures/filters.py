"""The dictionary of the feature ``patches``, as the patterns of pixels that its filters look for."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from linclass_cli.show.figures.blocks import cells
from linclass_cli.show.figures.canvas import DPI, FONT, HEADER, blank, muted
from linclass_cli.show.figures.mistakes import pixels_of
from linclass_cli.show.terminal import Cell

Array = np.ndarray[Any, np.dtype[Any]]
ROWS, COLUMNS = 15, 20  # at most
_WIDE = 1080  # dots of a picture of many filters; of a few, each has _LARGEST
_LARGEST = 180
_GAP = 9  # of the room of a filter, one part is paper
_EDGE = 18  # dots
_NOTE = 80  # dots under the picture, for the two lines that say how to read it
_LINES = 50  # pixels that are shown in a terminal, one over the other, about
_LEAST = 960  # dots that these and the header want


def filters_figure(filters: Array, title: str, about: str) -> Figure:
    """The first 300 of filters (f, size, size, channels), 15 rows of 20; fewer are drawn larger.

    They are shown in whitened space, as Coates and Ng (2011) do: taken back to pixels, either the whitening's
    own noise hides the pattern, or what natural images are full of, a smooth ground, does.
    """
    shown = filters[: ROWS * COLUMNS]
    columns = min(COLUMNS, max(int(np.ceil(np.sqrt(len(shown) * COLUMNS / ROWS))), min(len(shown), 5)))
    room, size = min(_LARGEST, _WIDE // columns), shown.shape[1]
    fine = max(1, (room - room // _GAP) // size)
    picture = _mosaic(visible(shown), columns, fine, max(1, fine * size // (_GAP - 1)))
    high, wide = picture.shape[:2]
    # Whole dots, and one for each of the picture's: in a PNG every pixel of a filter is of one size.
    width, height = max(_LEAST, wide + 2 * _EDGE), round(HEADER * DPI) + high + _NOTE
    figure = blank(title, about, (width / DPI, height / DPI))
    figure.set_layout_engine("none")
    axes = figure.add_axes((_EDGE / width, _NOTE / height, wide / width, high / height))
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    note = (
        f"{_which(len(shown), len(filters))}, in whitened space\n"
        "each scaled to its own range: mid-grey is 0, bright is above, dark below"
    )
    figure.text(_EDGE / width, (_NOTE - 14) / height, note, size=FONT - 2, color=muted(), va="top")
    return figure


def filters_in_blocks(filters: Array, columns: int, colours: bool = True) -> list[list[Cell]]:
    """The first of filters (f, size, size, channels), two pixels a character, in rows of ``columns``."""
    few = filters[:, :: -(-filters.shape[1] // columns), :: -(-filters.shape[2] // columns)]
    step = few.shape[1] + 1
    across = (columns + 1) // step
    picture = _mosaic(visible(few[: across * max(1, _LINES // step)]), across, 1, 1)
    pixels = np.zeros((len(picture) + len(picture) % 2, columns, 4))
    pixels[: len(picture), : picture.shape[1]] = picture / 255
    return cells(pixels, {}, colours)


def _which(shown: int, there: int) -> str:
    if there == 1:
        return "the only filter"
    count = f"{shown:,} of {there:,}" if shown < there else f"all {there:,}"
    return f"{count} filters, those with the largest weights first"


def visible(filters: Array) -> Array:
    """Filters (f, size, size, channels) as colours (f, size, size, 3), from 0 to 1; 0 is mid-grey.

    Each is divided by its own largest value; one of zeros is all grey.
    """
    planes = np.stack([np.asarray(pixels_of(one), np.float64).reshape(*one.shape[:2], -1) for one in filters])
    most = np.abs(planes).max(axis=(1, 2, 3), keepdims=True)
    return np.broadcast_to(0.5 + 0.5 * planes / np.where(most > 0, most, 1), (*planes.shape[:3], 3))


def _mosaic(filters: Array, columns: int, fine: int, gap: int) -> Array:
    """Colours (f, size, size, 3) side by side, uint8 (height, width, 4), with nothing between them.

    ``fine``: side of a filter's pixel, ``gap``: between two filters.
    """
    count, size = filters.shape[:2]
    rows = -(-count // columns)
    side = size * fine
    step = side + gap
    places = np.zeros((rows * columns, step, step, 4), np.uint8)
    solid = np.round(255 * filters).astype(np.uint8).repeat(fine, axis=1).repeat(fine, axis=2)
    places[:count, :side, :side, :3] = solid
    places[:count, :side, :side, 3] = 255
    mosaic = places.reshape(rows, columns, step, step, 4).swapaxes(1, 2)
    return mosaic.reshape(rows * step, columns * step, 4)[:-gap, :-gap]
