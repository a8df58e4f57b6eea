"""What each class looks for: its weights as a HOG glyph, as an image, or as bars of hue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linclass_cli.errors import InputError
from linclass_cli.evidence import Part
from linclass_cli.show.figures.canvas import FONT, HEADER, blank, colors, is_dark, label, muted, paper

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 100  # classes in one picture
_CLIP = 99.5  # percentile of the absolute weights that has the full colour


def weights_figure(part: Part, classes: Sequence[str], title: str, about: str) -> Figure:
    """One picture a class, of the weights on the scaled features; all classes share one scale.

    Raises InputError for a feature that is none of ``DRAWN``.
    """
    if part.feature not in DRAWN:
        raise InputError(f"weights on {part.feature} have no picture, only those on {', '.join(DRAWN)}")
    k = len(classes)
    shown = min(k, MOST)
    columns = shown if shown <= 3 else 5 if shown <= 20 else 10
    rows = -(-shown // columns)
    side = 1.75 if shown <= 20 else 1.1
    more = f"; the first {MOST} of {k} classes" if k > MOST else ""
    size = (max(6.0, side * columns), (side + 0.25) * rows + HEADER + 0.45)
    figure = blank(title, about + more, size)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    font = FONT - 1 if side > 1.5 else FONT - 4
    for axes, name in zip(grid.flat, classes[:shown], strict=False):
        axes.set_title(label(name, 18 if side > 1.5 else 15), size=font, pad=3)
    DRAWN[part.feature](figure, list(grid.flat)[:shown], part)
    return figure


def cell_weights(weight: Array, shape: tuple[int, int, int], params: dict[str, Any]) -> Array:
    """HOG weights (k, d) summed over the blocks that a cell is part of: (k, rows, columns, orientations)."""
    cell, block, bins = (params[name] for name in ("pixels_per_cell", "cells_per_block", "orientations"))
    rows, columns = shape[0] // cell, shape[1] // cell
    down, across = rows - block + 1, columns - block + 1
    blocks = weight.reshape(len(weight), down, across, block, block, bins)
    cells = np.zeros((len(weight), rows, columns, bins))
    for y in range(block):
        for x in range(block):
            cells[:, y : y + down, x : x + across] += blocks[:, :, :, y, x]
    return cells


def _glyphs(figure: Figure, grid: list[Any], part: Part) -> None:
    """In every cell a stroke for each orientation, along the edge that it stands for, wide as its weight."""
    cells = cell_weights(part.weight[: len(grid)], part.image_shape, part.params)
    rows, columns, bins = cells.shape[1:]
    # An edge runs across its gradient, as in `skimage.feature.hog(visualize=True)`.
    angle = np.pi * (np.arange(bins) + 0.5) / bins
    half = 0.46 * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    y, x = np.mgrid[:rows, :columns] + 0.5
    center = np.stack([x, y], axis=-1)[:, :, None, :]
    ends = np.stack([center - half, center + half], axis=3).reshape(-1, 2, 2)
    scale = float(np.percentile(np.abs(cells), _CLIP)) or 1.0
    blue, orange = colors(2)
    thick = 3.4 * (4 / max(rows, columns, 4)) ** 0.7 * (1.0 if len(grid) <= 20 else 0.6)
    for axes, values in zip(grid, cells, strict=True):
        flat = np.clip(values.reshape(-1) / scale, -1, 1)
        order = np.argsort(np.abs(flat), kind="stable")
        flat = flat[order]
        strokes = LineCollection(
            list(ends[order]),
            linewidths=list(0.15 + thick * np.abs(flat)),
            colors=[blue if value > 0 else orange for value in flat],
            alpha=list(np.abs(flat) ** 0.8),
            capstyle="round",
        )
        axes.add_collection(strokes)
        axes.set_xlim(0, columns)
        axes.set_ylim(rows, 0)
        axes.set_aspect("equal")
        _framed(axes)
    _legend(figure, "edges that speak for the class", "edges against it")


def _image(figure: Figure, grid: list[Any], part: Part) -> None:
    """The weights where their pixels are: in colour around grey, or from against (orange) to for (blue)."""
    images = part.weight[: len(grid)].reshape(len(grid), *part.image_shape)
    scale = float(np.percentile(np.abs(images), _CLIP)) or 1.0
    blue, orange = colors(2)
    both = LinearSegmentedColormap.from_list("both", (orange, paper(), blue))
    for axes, image in zip(grid, images, strict=True):
        if image.shape[-1] == 3:
            axes.imshow(np.clip(0.5 + 0.5 * image / scale, 0, 1), interpolation="nearest")
        else:
            axes.imshow(image.mean(axis=-1), cmap=both, vmin=-scale, vmax=scale, interpolation="nearest")
        _framed(axes)
    if images.shape[-1] == 3:
        _note(figure, "a colour: more of it speaks for the class; grey: it does not matter")
    else:
        _legend(figure, "bright there speaks for the class", "against it")


def _hues(figure: Figure, grid: list[Any], part: Part) -> None:
    """A bar for each bin of hue, in that hue: up for, down against."""
    values = part.weight[: len(grid)]
    bins = values.shape[1]
    hue = (np.arange(bins) + 0.5) / bins
    paint = hsv_to_rgb(np.stack([hue, np.full(bins, 0.75), np.full(bins, 0.9 if is_dark() else 0.8)], axis=1))
    most = float(np.abs(values).max()) or 1.0
    for axes, bars in zip(grid, values, strict=True):
        axes.set_axis_on()
        axes.bar(hue, bars, 1 / bins, color=paint)
        axes.axhline(0, color=muted(), linewidth=1)
        axes.set_xlim(0, 1)
        axes.set_ylim(-1.05 * most, 1.05 * most)
        axes.set_xticks([])
        axes.set_yticks([])
        _framed(axes)
    _note(figure, "up: this hue speaks for the class; down: against it")


DRAWN = {"hog": _glyphs, "pixels": _image, "hue": _hues}


def _framed(axes: Any) -> None:
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color=muted(), alpha=0.35)


def _note(figure: Figure, text: str) -> None:
    figure.legend([], [], title=text, loc="outside lower left", frameon=False, title_fontsize=FONT - 1)


def _legend(figure: Figure, good: str, bad: str) -> None:
    blue, orange = colors(2)
    lines = [Line2D([], [], color=color, linewidth=4) for color in (blue, orange)]
    figure.legend(lines, [good, bad], loc="outside lower left", ncols=2, frameon=False, handlelength=1.2)
