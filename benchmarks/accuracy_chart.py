"""``python -m benchmarks.accuracy_chart REPORT.json… PICTURE.png``: accuracy against seconds, as one picture.

The JSON is what ``python -m benchmarks accuracy --json`` prints.
"""

from __future__ import annotations

import argparse
import json
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
        # Over the line there is room to the left, because the curve rises; below it, to the right.
        above = entry["ours"] and x > 3 * mine[0][0] and mine.index((x, y)) % 2 == 0
        place, side = ((-5, 9), "right") if above else ((8, -14), "left")
        axes.annotate(f"{name}  {y:.2f}", (x, y), place, textcoords="offset points", size=9, ha=side)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low / 1.2, high * 5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(y=0.1)
    axes.set_xlabel("Seconds: read, extract, fit and test, 2 cores")
    axes.set_ylabel("Test accuracy (%)")
    axes.grid(True)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy_chart", description=__doc__)
    parser.add_argument("reports", nargs="+", type=Path, help="what benchmarks accuracy --json has printed")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    given = parser.parse_args()
    reports = [json.loads(source.read_text()) for source in given.reports]
    machine = reports[0]["hardware"]
    about = f"linclass (dots) and what one writes by hand (squares); {machine['processor']}"
    with themed("light"):
        groups = [group for report in reports for group in report["groups"]]
        figure = draw([entry for group in groups for entry in group["entries"]], about)
        given.picture.write_bytes(render(figure, "png"))
    print(given.picture)


if __name__ == "__main__":
    main()
