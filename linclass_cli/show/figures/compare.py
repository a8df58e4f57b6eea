"""Several runs beside each other: test accuracy with intervals, and how they got there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from linclass_cli.runs import Run
from linclass_cli.show.figures.canvas import FONT, HEADER, blank, colors, label
from linclass_cli.show.figures.curves import history_of

Interval = tuple[float, float]


def compare_figure(runs: Sequence[Run], intervals: Sequence[Interval], title: str, about: str) -> Figure:
    """Test accuracies with their 95 % intervals (shares), and the accuracy against steps or seconds.

    Each run has its colour in both parts. The curves are those of training runs: on the validation part, or
    on the training part where there was none. Solvers that count different steps are put over seconds.
    """
    trained = [run for run in runs if run.kind == "train"]
    several = len({run.config["data"]["name"] for run in runs}) > 1
    height = max(3.4, (0.6 if several else 0.42) * len(runs) + 1.6)
    figure = blank(title, about, (10.5 if trained else 6.5, height + HEADER))
    left: Any = figure.add_subplot(1, 2 if trained else 1, 1)
    # Where the colours begin again, the curves are dashed.
    dashes = [("-", "--", ":", "-.")[i // 7 % 4] for i in range(len(runs))]
    paint = {
        run.id: look for run, look in zip(runs, zip(colors(len(runs)), dashes, strict=True), strict=True)
    }
    for row, (run, (low, high)) in enumerate(zip(runs, intervals, strict=True)):
        value = 100 * run.metrics["test_accuracy"]
        color, _ = paint[run.id]
        left.plot([100 * low, 100 * high], [row, row], color=color, linewidth=2.4, solid_capstyle="butt")
        left.plot(value, row, "o", color=color, markersize=8)
        left.annotate(
            f"{value:.2f}", (value, row), (0, 7), textcoords="offset points", ha="center", size=FONT - 2
        )  # fmt: skip
    left.set_yticks(range(len(runs)), [_name(run, several) for run in runs])
    left.set_ylim(len(runs) - 0.5, -0.7)
    left.margins(x=0.15)
    left.set_xlabel("Test accuracy (%) with 95 % interval")
    left.grid(True, axis="x")
    if trained:
        _curves(figure.add_subplot(1, 2, 2), trained, paint)
    return figure


def _curves(axes: Any, runs: Sequence[Run], paint: dict[str, tuple[str, str]]) -> None:
    by_epoch = {run.metrics["solver"] == "sgd" for run in runs}
    key, xlabel = ("iteration", "Epoch" if True in by_epoch else "Step of the solver")
    if len(by_epoch) > 1:
        key, xlabel = "seconds", "Seconds"
    held = all(run.history[0]["val_accuracy"] is not None for run in runs)
    part = "val_accuracy" if held else "train_accuracy"
    for run in runs:
        history, (color, dash) = history_of(run), paint[run.id]
        axes.plot(
            [step[key] for step in history], [100 * step[part] for step in history],
            dash, color=color, linewidth=1.8, marker="o" if len(history) < 12 else None, markersize=4,
        )  # fmt: skip
    times = [step["seconds"] for run in runs for step in history_of(run)] if key == "seconds" else []
    if times and max(times) > 30 * max(min(times), 1e-3):  # one fit long done before another has begun
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda *_: "")
    elif not times:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(f"{'Validation' if held else 'Training'} accuracy (%)")
    axes.grid(True)


def _name(run: Run, several: bool) -> str:
    """A run and what was fitted; where there are several datasets, to which of them."""
    fitted = f"{label(run.id, 18)}\n{run.metrics['loss']}, {run.config['feature']['name']}"
    return f"{fitted}\nof {label(run.config['data']['name'], 18)}" if several else fitted
