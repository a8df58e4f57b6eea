"""Which classes are taken for which: the confusion matrix, each row in shares of its class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from linclass_cli.show.figures.canvas import FONT, HEADER, blank, label, muted, paper, readable_on, shades

Array = np.ndarray[Any, np.dtype[Any]]
_NUMBERS = 20  # classes up to which a cell has room for its number
_NAMES = 120  # classes up to which each has its name at the edge


def confusion_figure(counts: Array, classes: Sequence[str], title: str, about: str) -> Figure:
    """counts, whole numbers (k, k): images of the row's class that were taken for the column's.

    Colours are shares of the row; the shares stand in the cells, in percent, for up to 20 classes. A class
    without images has an empty row.
    """
    k = len(classes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    cell = 0.52 if k <= 10 else 0.42 if k <= _NUMBERS else max(0.13, 8.4 / k) if k <= _NAMES else 9.0 / k
    names = [label(name, 16) for name in classes]
    font = FONT - 1 if k <= _NUMBERS else max(4.5, min(FONT - 2, 72 * cell * 0.85))
    edge = 0.6 + 0.0085 * font * max(map(len, names))
    side = max(2.2, cell * k)
    figure = blank(title, about, (max(6.2, side + edge + 1.2), side + edge + HEADER + 0.1))
    axes = figure.add_subplot()
    # The root of the share: most mistakes are a few percent of a class, and must differ from none.
    picture = axes.imshow(shares, cmap=shades(), norm=PowerNorm(0.5, 0, 1), aspect="equal")
    every = 1 if k <= _NAMES else -(-k // _NAMES)
    at = np.arange(0, k, every)
    axes.set_xticks(at, [names[i] for i in at], rotation=90, size=font)
    axes.set_yticks(at, [names[i] for i in at], size=font)
    axes.tick_params(length=0)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    axes.spines[:].set_visible(False)
    if k <= _NUMBERS:
        _numbers(axes, shares, counts, font - (1 if k <= 10 else 2))
        axes.set_xticks(np.arange(k - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(k - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=paper(), linewidth=1.5, alpha=1.0)
        axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7, aspect=30, pad=0.02)
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], labels=["0", "1", "5", "10", "25", "50", "100 %"])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=FONT - 2)
    bar.set_label("Share of the true class", size=FONT - 1)
    return figure


def _numbers(axes: Any, shares: Array, counts: Array, font: float) -> None:
    """The share in percent in every cell; nothing where there is no image."""
    cmap, norm = shades(), PowerNorm(0.5, 0, 1)
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        ground = cmap(float(norm(share)))[:3]
        text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
        color = muted() if share < 0.02 else readable_on(ground)
        axes.text(
            column, row, text, ha="center", va="center", size=font,
            color=color, weight="bold" if row == column else "normal",
        )  # fmt: skip
