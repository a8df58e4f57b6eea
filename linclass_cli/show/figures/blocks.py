"""A figure in characters: two pixels in each, one over the other, and its texts as texts.

The figure is laid out so that a letter of its (only) font is one column wide and half as wide as a line is
high; then what it draws is taken down to two pixels a character, and what it writes is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from linclass_cli.show.figures.canvas import ink, is_dark, muted, rgb
from linclass_cli.show.terminal import Cell, Colour

Array = np.ndarray[Any, np.dtype[Any]]
# What is written, and in which colour, by row and column.
Letters = dict[tuple[int, int], tuple[str, Colour]]
_FONT = 12.0  # points
_LETTER = 0.60205 * _FONT  # points that a letter of DejaVu Sans Mono is wide
_FINE = 8  # pixels that are drawn for one that is shown, in both directions
_SOLID = 0.33  # share of a pixel that is to be covered for it to be shown
_LINE = 4.5  # points that a line is wide: over half a pixel


class _Written(RendererAgg):
    """Draws all but texts, and keeps these: (x, y of the baseline, text, colour, angle), in pixels."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)  # type: ignore[no-untyped-call]
        self.words: list[tuple[float, float, str, Colour, float]] = []

    def draw_text(self, gc: Any, x: float, y: float, s: str, *rest: Any, **more: Any) -> None:  # noqa: ARG002
        red, green, blue = (round(255 * part) for part in gc.get_rgb()[:3])
        self.words.append((x, y, s, (red, green, blue), rest[1]))


def in_blocks(figure: Figure, columns: int, lines: int, colours: bool = True) -> list[list[Cell]]:
    """The figure, changed for it, in rows of ``columns`` cells; about as many as ``lines`` where it can.

    Its header, the first two texts, is left out. colours: False where only ink and no ink differ.
    """
    rows = _prepare(figure, columns, lines)
    renderer = _Written(columns * _FINE, 2 * rows * _FINE, figure.dpi)
    figure.draw(renderer)
    return cells(_pixels(renderer, rows, columns), _words(renderer, rows, columns), colours)


def _prepare(figure: Figure, columns: int, lines: int) -> int:
    """Make the figure one of characters; its rows."""
    header = figure.texts[:2]
    for text in header:
        text.remove()
    width, height = figure.get_size_inches()
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0, 0, 1, 1), w_pad=0.05, h_pad=0.05)
    bars = [image.colorbar for axes in figure.axes for image in axes.get_images() if image.colorbar]
    for bar in bars:
        bar.remove()
    flat = [axes for axes in figure.axes if axes.get_images()]
    rows = round(columns / 2 * height / width)
    if not flat and len(figure.axes) < 5:
        rows = min(rows, lines - 4)
    elif bars:
        (axes,) = figure.axes
        rows = _prepare_matrix(axes, columns)
    for axes in figure.axes:
        _prepare_axes(axes, columns)
        axes.spines[:].set(visible=len(figure.axes) < 5)  # around many small ones they would be all there is
    for legend in figure.legends:
        _prepare_legend(legend)
    for one in figure.findobj(Text):
        one.set(fontsize=_FONT, fontfamily="DejaVu Sans Mono", fontweight="normal")
    figure.set_dpi(72 / _LETTER * _FINE)
    figure.set_size_inches(columns * _LETTER / 72, 2 * rows * _LETTER / 72)
    figure.patch.set_alpha(0)
    return int(rows)


def _prepare_matrix(axes: Any, columns: int) -> int:
    """A confusion matrix: cells as wide as there is room, names cut to them; the rows that it wants."""
    k = axes.get_images()[0].get_array().shape[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    edge = min(12, max(map(len, names)))
    room = (columns - edge - 3) // k - 1
    axes.set_aspect("auto")
    axes.set_yticks(axes.get_yticks(), [name[:edge] for name in names])
    axes.set_xticks(
        axes.get_xticks(), [name[:room] for name in names] if room > 0 else [""] * len(names), rotation=0
    )
    axes.grid(visible=False, which="both")
    axes.set_ylabel("")
    axes.set_xlabel("columns: predicted, rows: true")
    if k > 60:
        axes.set_yticks([])
        return int(columns // 2)
    return int(k * (2 if k <= 12 else 1) + 3)


def _prepare_axes(axes: Any, columns: int) -> None:
    axes.patch.set_alpha(0)
    axes.spines[:].set(linewidth=_LINE * 0.7, color=muted(), alpha=1)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    if axes.get_ylabel():
        axes.set_title(axes.get_ylabel(), loc="left")
        axes.set_ylabel("")
    for line in axes.get_lines():
        _prepare_line(line)
    for strokes in axes.findobj(LineCollection):
        strokes.set_linewidths([max(1.5 * width, 0.1) for width in strokes.get_linewidths()])
    if axes.get_legend() is not None:
        _prepare_legend(axes.get_legend())
    most = max(4, columns // 2)
    for text in axes.texts:
        text.set_text(text.get_text()[:most])


def _prepare_legend(legend: Any) -> None:
    legend.set_frame_on(False)
    for line in legend.get_lines():
        _prepare_line(line)


def _prepare_line(line: Any) -> None:
    line.set_linewidth(max(2 * _LINE if line.get_linewidth() >= 4 else _LINE, line.get_linewidth()))
    line.set_markersize(max(9.0, line.get_markersize()) if line.get_marker() not in ("None", "") else 0)


def _pixels(renderer: Any, rows: int, columns: int) -> Array:
    """(2 rows, columns, 4) from 0 to 1: colours, and the share of each pixel that is covered."""
    fine = np.asarray(renderer.buffer_rgba(), dtype=np.float64) / 255
    fine = fine.reshape(2 * rows, _FINE, columns, _FINE, 4)
    cover = fine[..., 3]
    share = cover.mean(axis=(1, 3))
    colour = (fine[..., :3] * cover[..., None]).mean(axis=(1, 3)) / np.maximum(share, 1e-9)[..., None]
    return np.concatenate([colour, share[..., None]], axis=2)


def _words(renderer: Any, rows: int, columns: int) -> Letters:
    """The letters by their place; a text ends before the next one begins."""
    placed: dict[int, list[tuple[int, str, Colour]]] = {}
    for x, y, text, colour, _ in renderer.words:
        row = int((y - 0.35 * _FINE * _FONT / _LETTER) // (2 * _FINE))
        if 0 <= row < rows:
            placed.setdefault(row, []).append((max(0, round(x / _FINE)), text, colour))
    letters: Letters = {}
    for row, words in placed.items():
        words.sort(key=lambda word: word[0])
        ends = [word[0] - 1 for word in words[1:]] + [columns]
        for (column, text, colour), end in zip(words, ends, strict=True):
            room = end - column
            shown = text if len(text) <= room else text[: max(0, room - 1)] + "…" if room > 1 else ""
            letters |= {(row, column + i): (letter, colour) for i, letter in enumerate(shown)}
    return letters


def cells(pixels: Array, letters: Letters, colours: bool) -> list[list[Cell]]:
    """The characters of pixels (2 rows, columns, 4), colour and cover from 0 to 1, with letters over them."""
    if not colours:
        # Ink or none: dark on the light theme's paper, bright on the dark one's.
        bright = pixels[..., :3].mean(axis=2)
        pixels[..., 3] *= (bright > 0.45) if is_dark() else (bright < 0.55)
    own = rgb(ink())
    return [
        [_cell(pixels[2 * row, column], pixels[2 * row + 1, column], letters.get((row, column)), own)
         for column in range(pixels.shape[1])]
        for row in range(pixels.shape[0] // 2)
    ]  # fmt: skip


def _cell(top: Array, bottom: Array, letter: tuple[str, Colour] | None, own: Colour) -> Cell:
    upper, lower = _colour(top), _colour(bottom)
    if letter is not None and letter[0] != " ":
        text, colour = letter
        back = upper if upper and lower else None
        # Text on the terminal's own ground has the terminal's own colour, whatever the theme.
        return text, None if back is None and colour == own else colour, back
    if upper and lower:
        return ("█", upper, None) if upper == lower else ("▀", upper, lower)
    if upper or lower:
        return ("▀" if upper else "▄"), upper or lower, None
    return " ", None, None


def _colour(pixel: Array) -> Colour | None:
    if pixel[3] < _SOLID:
        return None
    red, green, blue = (round(255 * float(part)) for part in pixel[:3])
    return red, green, blue
