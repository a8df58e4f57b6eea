"""Whether a model's confidence is right as often as it says: the reliability diagram."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from linclass_cli.learn.metrics import Calibration
from linclass_cli.show.figures.canvas import blank, colors, muted, paper


def calibration_figure(bins: Calibration, title: str, about: str, probable: bool = True) -> Figure:
    """Accuracy against confidence over equal bins from 0 to 1, with the images of each bin below.

    Bins without images are not shown. ``probable``: the confidence is meant as a probability.
    """
    some = bins.count > 0
    counts, sure, right = bins.count[some], bins.confidence[some], bins.accuracy[some]
    figure = blank(title, about, (7.0, 6.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    blue, orange = colors(2)
    left, width = bins.edges[:-1][some], bins.edges[1]
    bars = top.bar(left, right, width, align="edge", color=blue, edgecolor=paper(), linewidth=1.0, alpha=0.8)
    # From what the model says to what is true: the wider, the worse.
    top.vlines(sure, np.minimum(right, sure), np.maximum(right, sure), color=orange, linewidth=2.2)
    (said,) = top.plot(sure, sure, "o", color=orange, markersize=5)
    (ideal,) = top.plot([0, 1], [0, 1], "--", color=muted(), linewidth=1.4)
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("Accuracy")
    error = f"expected calibration error {100 * bins.error:.2f} %"
    names = ("accuracy", "confidence, the mean of the bin", "perfectly calibrated")
    # Above the bars, which may stand anywhere below.
    top.legend(
        (bars, said, ideal), names, title=error, alignment="left",
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1.2, borderpad=0.2,
    )  # fmt: skip
    bottom.bar(left, 100 * counts / counts.sum(), width, align="edge", color=muted(), edgecolor=paper())
    bottom.set_ylabel("Images (%)")
    bottom.set_xlabel(
        "Confidence: probability of the predicted class"
        if probable
        else "Softmax of the scores: no probability before --calibrate"
    )
    for axes in (top, bottom):
        axes.grid(True)
        axes.set_axisbelow(True)
    return figure
