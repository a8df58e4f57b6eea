"""What a fit and a cross-validation went through: accuracy and loss against steps, accuracy against l2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from linclass_cli.runs import Run
from linclass_cli.show.figures.canvas import SIZE, canvas, colors, ink, label, paper, ramp, strength


def accuracy_curves(runs: Sequence[Run]) -> Figure:
    """Training and validation accuracy, in percent, against steps; the kept step is marked."""
    return _curves(runs, "accuracy", "Accuracy (%)", 100.0)


def loss_curves(runs: Sequence[Run]) -> Figure:
    """Training and validation loss, a mean an image without the l2 term, against steps."""
    return _curves(runs, "loss", "Loss (mean per image)", 1.0)


def cv_curves(runs: Sequence[Run]) -> Figure:
    """Mean accuracy over the folds against l2, with standard errors; both choices are marked."""
    figure, axes = canvas(title_of(runs, "accuracy against l2"), about(runs))
    several = len(runs) > 1
    for run, color in zip(runs, colors(len(runs)), strict=True):
        m = run.metrics
        l2, mean = m["l2"], [100 * value for value in m["mean_accuracy"]]
        error = [100 * value for value in m["std_error"]]
        name = f"{label(run.id)}: " if several else ""
        axes.errorbar(
            l2, mean, error, color=color, marker="o", markersize=4, capsize=4, linewidth=1.6,
            label=f"{name}mean of {m['folds']} folds ± standard error",
        )  # fmt: skip
        for key, marker, what in (("one_se_l2", "D", "one standard error"), ("best_l2", "*", "best")):
            at = l2.index(m[key])
            axes.plot(
                m[key], mean[at], marker, markersize=13 if marker == "*" else 15, color=color,
                markerfacecolor=paper() if marker == "D" else color, zorder=3 if marker == "D" else 4,
                label=f"{name}{what}: l2 = {m[key]:.3g}", linestyle="none", markeredgewidth=1.6,
            )  # fmt: skip
    strengths = [value for run in runs for value in run.metrics["l2"]]
    smallest = min((value for value in strengths if value > 0), default=1.0)
    if min(strengths) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=smallest)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Strength of regularisation, l2")
    axes.set_ylabel("Validation accuracy (%)")
    axes.legend(handletextpad=1.0, labelspacing=0.9)
    return figure


def fold_curves(runs: Sequence[Run]) -> Figure:
    """The accuracy on the held-out part of every fold against steps, a colour for each strength of l2.

    Each strength is solved from where the stronger one before it ended, if its solver can start there.
    """
    (run,) = runs
    figure, axes = canvas(title_of(runs, "every fold"), about(runs), (SIZE[0] + 1.0, SIZE[1]))
    strengths = sorted({cell["l2"] for cell in run.history}, reverse=True)
    for l2, color in zip(strengths, ramp(len(strengths)), strict=True):
        name = strength(l2)
        for cell in run.history:
            if cell["l2"] == l2 and cell["fold"] is not None:
                values = [100 * value for value in fold_curve(cell)]
                axes.plot(values, color=color, linewidth=1.2, label=name)
                name = ""
    # All weights zero, where the first strength starts, says nothing, and would squeeze everything else.
    shown = [100 * value for cell in run.history for value in fold_curve(cell)[1:]]
    room = 0.05 * (max(shown) - min(shown)) or 1.0
    axes.set_ylim(min(shown) - room, max(shown) + room)
    axes.set_xlabel(_steps_of(runs))
    axes.set_ylabel("Validation accuracy of each fold (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(title="l2", loc="outside right upper", frameon=False)
    return figure


def fold_curve(cell: dict[str, Any]) -> list[float]:
    """The held-out accuracy of one cell of a cross-validation, step after step; empty where none is kept."""
    return list(cell.get("curve") or [])


def has_fold_curves(run: Run) -> bool:
    return run.kind == "cv" and any(len(fold_curve(cell)) > 1 for cell in run.history)


def history_of(run: Run) -> list[dict[str, Any]]:
    """A training run's steps without its start: all weights zero say nothing, and would squeeze the rest."""
    return [step for step in run.history if step["iteration"] > 0] or run.history


def _curves(runs: Sequence[Run], what: str, ylabel: str, unit: float) -> Figure:
    many = len(runs) > 2
    size = (SIZE[0] + 1.8, SIZE[1]) if many else SIZE
    figure, axes = canvas(title_of(runs, what), about(runs), size)
    for run, color in zip(runs, colors(len(runs)), strict=True):
        history = history_of(run)
        steps = [step["iteration"] for step in history]
        marker = "o" if len(steps) == 1 else None
        name = f"{label(run.id)} ({run.metrics['loss']})" if len(runs) > 1 else ""
        parts = [("train", "training", "--")]
        if all(step[f"val_{what}"] is not None for step in run.history):
            parts.append(("val", "validation", "-"))
        for part, of, style in parts:
            values = [unit * step[f"{part}_{what}"] for step in history]
            own = color if len(runs) > 1 or part == "val" else colors(2)[1]
            # Of many runs each has one entry in the legend, its last line's.
            shown = (name if part == parts[-1][0] else None) if many else f"{name} {of}".strip()
            axes.plot(steps, values, style, color=own, marker=marker, linewidth=1.8, label=shown)
        kept = run.metrics["best_step"]
        at = next(step for step in run.history if step["iteration"] == kept)
        value = unit * at[f"{parts[-1][0]}_{what}"]
        number = f"{value:.2f} %" if what == "accuracy" else f"{value:.3f}"
        step_name = "epoch" if run.metrics["solver"] == "sgd" else "step"
        axes.plot(
            kept, value, "o", color=color, markersize=8, markerfacecolor=paper(), markeredgewidth=1.8,
            label=None if many else f"{name} kept: {step_name} {kept}, {number}".strip(), linestyle="none",
        )  # fmt: skip
    axes.set_xlabel(_steps_of(runs))
    axes.set_ylabel(ylabel)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if many:
        axes.plot([], [], "--", color=ink(), linewidth=1.2, label="training")
        axes.plot([], [], "o", color=ink(), markerfacecolor=paper(), label="kept")
        figure.legend(loc="outside right upper", frameon=False)
    else:
        axes.legend()
    return figure


def _steps_of(runs: Sequence[Run]) -> str:
    solvers = {run.metrics["solver"] == "sgd" for run in runs}
    return {(True,): "Epoch", (False,): "Step of the solver"}.get(tuple(solvers), "Step (sgd: epoch)")


def title_of(runs: Sequence[Run], what: str) -> str:
    """The names of the runs, and what is shown of them."""
    names = ", ".join(label(run.id) for run in runs[:4]) + (" …" if len(runs) > 4 else "")
    return f"{names}: {what}"


def about(runs: Sequence[Run]) -> str:
    """What was fitted to what, and its test accuracy; of several runs, what they have in common."""
    if len(runs) == 1:
        m = runs[0].metrics
        what = "cross-validation of " if runs[0].kind == "cv" else ""
        test = f"test {100 * m['test_accuracy']:.2f} %"
        return f"{what}{m['loss']} by {m['solver']} on {_features(runs[0])}, {test}"
    common = {_features(run) for run in runs}
    return f"{len(runs)} runs on {label(common.pop(), 60)}" if len(common) == 1 else f"{len(runs)} runs"


def _features(run: Run) -> str:
    return f"{run.config['feature']['name']} of {run.config['data']['name']}"
