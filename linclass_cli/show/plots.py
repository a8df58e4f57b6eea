"""From runs to figures: `Run` → matplotlib ``Figure`` → file. No pyplot, no display."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure

from linclass_cli.atomic import write_bytes
from linclass_cli.errors import InputError
from linclass_cli.runs import Run

# Okabe and Ito (2008): distinguishable with every kind of colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SIZE = (7.0, 4.6)  # inches
DPI = 150
_FONT = 12


def save_figures(runs: Sequence[Run], kind: str, file_format: str, folder: Path | None = None) -> list[Path]:
    """Draw the runs over each other, as ``kind`` (``curves``, ``cv`` or ``auto``), into files; their paths.

    The files go to ``folder``, else to the folder of the first run that is drawn.
    Raises InputError where a run has nothing of that kind to show.
    """
    trained = [run for run in runs if run.kind == "train"]
    validated = [run for run in runs if run.kind == "cv"]
    if kind == "cv" and trained:
        raise InputError(
            f"{trained[0].id} is a training run: it has no cv to plot; use --kind curves or auto"
        )
    flat = [run for run in validated if not any(len(_curve(cell)) > 1 for cell in run.history)]
    if kind == "curves" and flat:
        why = "is a cross-validation without curves (its solver takes one step)"
        raise InputError(f"{flat[0].id} {why}; use --kind cv or auto")
    figures: list[tuple[str, Sequence[Run], Callable[[Sequence[Run]], Figure]]] = []
    if trained:
        figures += [("accuracy", trained, accuracy_curves), ("loss", trained, loss_curves)]
    if validated and kind == "curves":
        figures += [("curves", [run], fold_curves) for run in validated]
    elif validated:
        figures.append(("cv", validated, cv_curves))
    files = []
    for name, of, draw in figures:
        # In a folder that is not the run's own, the names of runs keep their figures apart.
        suffix = _suffix(of) if len(of) > 1 or folder else ""
        path = (folder or of[0].path) / f"{name}{suffix}.{file_format}"
        write_bytes(path, render(draw(of), file_format))
        files.append(path)
    return files


def render(figure: Figure, file_format: str) -> bytes:
    """The bytes of a png, svg or pdf file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    stamp = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    with rc_context({"svg.hashsalt": "linclass"}):
        figure.savefig(buffer, format=file_format, dpi=DPI, metadata=stamp)
    return buffer.getvalue()


def accuracy_curves(runs: Sequence[Run]) -> Figure:
    """Training and validation accuracy, in percent, against steps; the kept step is marked."""
    return _curves(runs, "accuracy", "Accuracy (%)", 100.0)


def loss_curves(runs: Sequence[Run]) -> Figure:
    """Training and validation loss, a mean an image without the l2 term, against steps."""
    return _curves(runs, "loss", "Loss (mean per image)", 1.0)


def cv_curves(runs: Sequence[Run]) -> Figure:
    """Mean accuracy over the folds against l2, with standard errors; both choices are marked."""
    figure, axes = _canvas(_titles(runs))
    several = len(runs) > 1
    for run, color in zip(runs, _colors(len(runs)), strict=True):
        m = run.metrics
        l2, mean = m["l2"], [100 * value for value in m["mean_accuracy"]]
        error = [100 * value for value in m["std_error"]]
        label = f"{run.id}: " if several else ""
        axes.errorbar(
            l2, mean, error, color=color, marker="o", markersize=4, capsize=4, linewidth=1.6,
            label=f"{label}mean of {m['folds']} folds ± standard error",
        )  # fmt: skip
        for key, marker, name in (("one_se_l2", "D", "one standard error"), ("best_l2", "*", "best")):
            at = l2.index(m[key])
            axes.plot(
                m[key], mean[at], marker, markersize=13 if marker == "*" else 15, color=color,
                markerfacecolor="white" if marker == "D" else color, zorder=3 if marker == "D" else 4,
                label=f"{label}{name}: l2 = {m[key]:.3g}", linestyle="none", markeredgewidth=1.6,
            )  # fmt: skip
    strengths = [value for run in runs for value in run.metrics["l2"]]
    smallest = min((value for value in strengths if value > 0), default=1.0)
    if min(strengths) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=smallest)
    axes.set_xlabel("Strength of regularisation, l2")
    axes.set_ylabel("Validation accuracy (%)")
    axes.legend(fontsize=_FONT - 2, framealpha=0.8, edgecolor="none", handletextpad=1.0, labelspacing=0.9)
    return figure


def fold_curves(runs: Sequence[Run]) -> Figure:
    """The accuracy on the held-out part of every fold against steps, a colour for each strength of l2.

    Each strength is solved from where the stronger one before it ended, if its solver can start there.
    """
    (run,) = runs
    figure, axes = _canvas(_titles(runs))
    strengths = sorted({cell["l2"] for cell in run.history}, reverse=True)
    colors = colormaps["viridis"]([0.92 * i / max(1, len(strengths) - 1) for i in range(len(strengths))])
    for l2, color in zip(strengths, colors, strict=True):
        label = f"{l2:.3g}"
        for cell in run.history:
            if cell["l2"] == l2 and cell["fold"] is not None:
                values = [100 * value for value in _curve(cell)]
                axes.plot(values, color=color, linewidth=1.2, alpha=0.8, label=label)
                label = ""
    # All weights zero, where the first strength starts, says nothing, and would squeeze everything else.
    shown = [100 * value for cell in run.history for value in _curve(cell)[1:]]
    room = 0.05 * (max(shown) - min(shown)) or 1.0
    axes.set_ylim(min(shown) - room, max(shown) + room)
    axes.set_xlabel("Epoch" if run.metrics["solver"] == "sgd" else "Step of the solver")
    axes.set_ylabel("Validation accuracy of each fold (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.set_figwidth(SIZE[0] + 2.4)  # the legend beside the title, not over it
    figure.legend(title="l2", loc="outside right upper", fontsize=_FONT - 2, frameon=False)
    return figure


def _curve(cell: dict[str, Any]) -> list[float]:
    return list(cell.get("curve") or [])


def _curves(runs: Sequence[Run], what: str, ylabel: str, unit: float) -> Figure:
    figure, axes = _canvas(_titles(runs))
    many = len(runs) > 2
    for run, color in zip(runs, _colors(len(runs)), strict=True):
        # The start of a solver (all weights zero) says nothing, and would squeeze everything else.
        history = [step for step in run.history if step["iteration"] > 0] or run.history
        steps = [step["iteration"] for step in history]
        marker = "o" if len(steps) == 1 else None
        name = f"{run.id} ({run.metrics['loss']})" if len(runs) > 1 else ""
        parts = [("train", "training", "--")]
        if run.history[0][f"val_{what}"] is not None:
            parts.append(("val", "validation", "-"))
        for part, of, style in parts:
            values = [unit * step[f"{part}_{what}"] for step in history]
            own = color if len(runs) > 1 or part == "val" else COLORS[1]
            # Of many runs each has one entry in the legend, its last line's.
            label = (name if part == parts[-1][0] else None) if many else f"{name} {of}".strip()
            axes.plot(steps, values, style, color=own, marker=marker, linewidth=1.8, label=label)
        kept = run.metrics["best_step"]
        at = next(step for step in run.history if step["iteration"] == kept)
        value = unit * at[f"{parts[-1][0]}_{what}"]
        shown = f"{value:.2f} %" if what == "accuracy" else f"{value:.3f}"
        step_name = "epoch" if run.metrics["solver"] == "sgd" else "step"
        axes.plot(
            kept, value, "o", color=color, markersize=8, markerfacecolor="white", markeredgewidth=1.8,
            label=None if many else f"{name} kept: {step_name} {kept}, {shown}".strip(), linestyle="none",
        )  # fmt: skip
    solvers = {run.metrics["solver"] == "sgd" for run in runs}
    axes.set_xlabel(
        {(True,): "Epoch", (False,): "Step of the solver"}.get(tuple(solvers), "Step (sgd: epoch)")
    )
    axes.set_ylabel(ylabel)
    if many:
        axes.plot([], [], "k--", linewidth=1.2, label="training")
        axes.plot([], [], "ko", markerfacecolor="white", label="kept")
        figure.set_figwidth(SIZE[0] + 2.4)
        figure.legend(loc="outside right upper", fontsize=_FONT - 2, frameon=False)
    else:
        axes.legend(fontsize=_FONT - 2, framealpha=0.8, edgecolor="none")
    return figure


def _canvas(title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=_FONT, loc="left")
    axes.xaxis.label.set_fontsize(_FONT)
    axes.yaxis.label.set_fontsize(_FONT)
    axes.tick_params(labelsize=_FONT - 1)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _titles(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return ", ".join(run.id for run in runs[:5]) + (" …" if len(runs) > 5 else "")
    run = runs[0]
    config, m = run.config, run.metrics
    what = "cross-validation of " if run.kind == "cv" else ""
    of = f"{config['feature']['name']} of {config['data']['name']}"
    return f"{run.id}: {what}{m['loss']} by {m['solver']} on {of}, test {100 * m['test_accuracy']:.2f} %"


def _colors(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]


def _suffix(runs: Sequence[Run]) -> str:
    names = [run.id for run in runs]
    return "-" + "-".join(names if len(names) <= 4 else [*names[:3], f"and-{len(names) - 3}-more"])
