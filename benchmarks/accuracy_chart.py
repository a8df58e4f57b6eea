"""``python -m benchmarks.accuracy_chart REPORT.json PICTURE.png``: accuracy against seconds, as one picture.

The JSON is what ``python -m benchmarks accuracy --json`` prints.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from linclass_cli.show.figures.canvas import HEADER, blank, colors, render, themed


def draw(entries: list[dict[str, Any]], about: str) -> Figure:
    """A point an entry: seconds of the whole way, on a logarithmic axis, and test accuracy in percent."""
    figure = blank("Accuracy against time, CIFAR-10", about, (8.0, 5.0 + HEADER))
    axes = figure.add_subplot()
    ours, theirs = colors(2)
    done = [e for e in entries if e["timing"] and e["accuracy"] is not None]
    mine = sorted((e["timing"]["median"], 100 * e["accuracy"]) for e in done if e["ours"])
    front = [point for i, point in enumerate(mine) if all(point[1] > other[1] for other in mine[:i])]
    axes.plot(*zip(*front, strict=True), color=ours, linewidth=1.2, alpha=0.5)
    for entry in done:
        x, y = entry["timing"]["median"], 100 * entry["accuracy"]
        name = entry["name"].replace("linclass train --preset ", "")
        color, mark = (ours, "o") if entry["ours"] else (theirs, "s")
        axes.plot(x, y, mark, color=color, markersize=8)
        # Over the line, where there is room to the left: the curve rises.
        place, side = ((-5, 9), "right") if entry["ours"] and x > 3 * mine[0][0] else ((8, -14), "left")
        axes.annotate(f"{name}  {y:.2f}", (x, y), place, textcoords="offset points", size=9, ha=side)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.2, high * 4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.1)
    axes.set_xlabel("Seconds: read, extract, fit and test, 2 cores")
    axes.set_ylabel("Test accuracy (%)")
    axes.grid(True)
    return figure


def main() -> None:
    source, target = sys.argv[1:]
    report = json.loads(Path(source).read_text())
    machine = report["hardware"]
    about = f"linclass (dots) and what one writes by hand (squares); {machine['processor']}"
    with themed("light"):
        figure = draw([entry for group in report["groups"] for entry in group["entries"]], about)
        Path(target).write_bytes(render(figure, "png"))
    print(target)


if __name__ == "__main__":
    main()
