"""``python -m benchmarks.chart RATIOS.json PICTURE.png``: how many times the peers take, as one picture.

The JSON is a list of ``[work, peer, ratio]``, as docs/benchmarks.md reports them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib.figure import Figure


def draw(rows: list[tuple[str, str, float]]) -> Figure:
    """A bar a row, on a logarithmic axis that begins at linclass's own time."""
    figure = Figure(figsize=(8.0, 0.42 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    axes.barh(places, [ratio for *_, ratio in rows], color="#0072B2", height=0.62, left=0)
    for place, (_, peer, ratio) in zip(places, rows, strict=True):
        axes.annotate(
            f"{ratio:.3g} ×  {peer}", (ratio, place), (5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(list(places), [work for work, *_ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, 12 * max(ratio for *_, ratio in rows))
    axes.set_xlabel("Time of the peer over linclass's")
    axes.axvline(1, color="black", linewidth=1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure


def main() -> None:
    source, target = sys.argv[1:]
    rows = [tuple(row) for row in json.loads(Path(source).read_text())]
    draw(rows).savefig(target, dpi=120, metadata={"Software": None})
    print(target)


if __name__ == "__main__":
    main()
