"""``cv``: folds × strengths, in process, against LogisticRegressionCV on the same folds; ridge's path.

The features are standardised once, for all folds (linclass would do it a fold; ``scale`` is "none" here), so
that everyone solves the same cells. A cell's optimum is the least that linclass at a tighter setting, or any
entry, reached; the peers' cells are recomputed in float64 from their coefficients.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.cv_peers import Cells
from benchmarks.data import N_TRAIN, load, prepare_features
from benchmarks.measure import THREADS, alternate
from benchmarks.options import Options
from benchmarks.passes import start_all
from benchmarks.report import Group, Report
from benchmarks.workers import Prepared, Worker, crew

FOLDS = 5
LOW, HIGH = 2e-5, 2.0  # scikit-learn's C from 1 down to 1e-5 with 50,000 rows
TARGET = 1e-5


def strengths(count: int) -> list[float]:
    """The strengths of l2, geometric."""
    return [float(f"{x:.6g}") for x in np.geomspace(LOW, HIGH, count)]


def linclass(
    folder: str, loss: str, l2: list[float], solver: str = "auto", gap: float | None = None
) -> Prepared:
    """`linclass_cli.learn.crossval.cross_validate` at its defaults, the refit included."""
    from linclass_cli.config import Config
    from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig
    from linclass_cli.learn.crossval import Cell, cross_validate

    data = load(folder)
    settings: dict[str, Any] = {"name": solver} | ({} if gap is None else {"gap": gap})
    config = Config(
        model=ModelConfig(loss=loss, scale="none"),
        solver=SolverConfig(**settings),
        cv=CvConfig(folds=FOLDS, l2=tuple(l2)),
        threads=THREADS,
    )
    features, classes = ours.make_features(data), tuple(str(i) for i in range(data.k))
    ours.enter_threads(THREADS)

    def run() -> Any:
        events = cross_validate(features, classes, config)
        return [event for event in events if isinstance(event, Cell) and event.fold is not None]

    def collect(cells: Any) -> Cells:
        at = {(cell.fold, cell.l2): cell for cell in cells}
        order = [[at[fold, strength] for strength in l2] for fold in range(FOLDS)]
        values = np.array([[cell.objective for cell in row] for row in order])
        return Cells(values, np.array([[cell.val_accuracy for cell in row] for row in order]))

    return Prepared(run, collect)


def run(options: Options) -> Report:
    """softmax, then ridge."""
    rounds = options.rounds or (1 if options.quick else 3)
    count = 3 if options.quick else 10
    with tempfile.TemporaryDirectory() as folder:
        rows = options.rows or (2_000 if options.quick else N_TRAIN)
        what = prepare_features(Path(folder), options.cache_dir, rows)
        report = Report("cv", what, options.quick, rounds)
        for loss in ("softmax", "ridge"):
            if options.wants(loss):
                report.add(_measure(loss, folder, strengths(count), rounds))
    report.notes += [
        "excess: the largest of all cells, relative, over the least known objective of the cell.",
        "difference: the largest of the held-out accuracies (a share) from the first linclass entry's.",
        "linclass's times include the refit on everything; so do the peers' but RidgeClassifier's.",
        "linclass's objectives are those it reports (float32 passes with float64 sums, exact to about 1e-7).",
    ]
    return report


def _measure(loss: str, folder: str, l2: list[float], rounds: int) -> Group:
    data = load(folder)
    title = f"{loss}, {FOLDS} folds × {len(l2)} strengths from {l2[0]:g} to {l2[-1]:g}, {len(data.y):,} rows"
    group = Group(title)
    shared = {"folder": folder, "l2": l2}
    mine = {**shared, "loss": loss}
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "linclass cross_validate": ("benchmarks.cv:linclass", mine)
    }
    if loss == "softmax":
        logistic = "benchmarks.cv_peers:logistic_cv"
        wanted["LogisticRegressionCV, 2 jobs"] = (logistic, {**shared, "tol": 1e-4, "steps": 100})
        wanted["LogisticRegressionCV, tol 1e-5, 2 jobs"] = (logistic, {**shared, "tol": 1e-5, "steps": 1000})
    else:
        wanted["RidgeClassifier, a loop"] = ("benchmarks.cv_peers:ridge_loop", shared)
        wanted["RidgeClassifierCV, these folds"] = (
            "benchmarks.cv_peers:ridge_cv",
            {**shared, "by_folds": True},
        )
        wanted["RidgeClassifierCV, leave one out"] = (
            "benchmarks.cv_peers:ridge_cv",
            {**shared, "by_folds": False},
        )
    with crew() as start:
        workers = start_all(start, group, wanted)
        best = _best(start, mine, workers)
        samples = alternate({name: worker.run for name, worker in workers.items()}, rounds, budget=300)
    reference = next((w.value for name, w in workers.items() if name.startswith("linclass")), None)
    for entry in group.entries:
        if entry.name not in workers:
            continue
        entry.measured(samples[entry.name])
        cells = workers[entry.name].value
        if cells.objective is not None:
            excess = cells.objective / best - 1
            entry.excess = float(excess.max())
            entry.reached = entry.excess <= TARGET
            entry.note = f"{int((excess <= TARGET).sum())} of {excess.size} cells within {TARGET:g}"
        if cells.accuracy is not None:
            entry.accuracy = float(cells.accuracy.mean(axis=0).max())
            if reference is not None:
                entry.difference = float(np.abs(cells.accuracy - reference.accuracy).max())
    group.compare()
    return group


def _best(start: Any, arguments: dict[str, Any], workers: dict[str, Worker]) -> Any:
    """The least objective of each cell that anyone reached, linclass at a tighter setting included."""
    found = [w.value.objective for w in workers.values() if w.value.objective is not None]
    if arguments["loss"] == "softmax":
        tight = start("benchmarks.cv:linclass", **arguments, solver="newton", gap=1e-8)
        tight.run()
        found.append(tight.value.objective)
        tight.stop()
    return np.minimum.reduce(found) if found else math.nan
