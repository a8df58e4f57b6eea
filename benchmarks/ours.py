"""linclass, as an entry: its solvers by name, at the settings that its own config allows."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from benchmarks.data import Array, load
from benchmarks.measure import THREADS
from benchmarks.workers import Prepared


def solvers_for(loss: str) -> list[str]:
    """The solvers in linclass's registry that its settings accept for a loss."""
    from linclass_cli.errors import SettingsError
    from linclass_cli.learn.solvers import SOLVERS
    from linclass_cli.settings import resolve

    accepted = []
    for name in SOLVERS:
        try:
            flags = {"model.loss": ("--loss", loss), "solver.name": ("--solver", name)}
            resolve(flags, environment={}, folder=_nowhere())
        except SettingsError:
            continue
        accepted.append(name)
    return accepted


def settings_of(solver: str, target: float) -> list[dict[str, Any]]:
    """Settings to try for a solver, the loosest first, for an objective within ``target`` of the optimum."""
    from linclass_cli.learn.solvers import SOLVERS

    known = inspect.signature(SOLVERS[solver]).parameters
    if "gap" in known:  # what is proven: the true distance is far less
        return [{"gap": target * part} for part in (3e4, 3e3, 300.0, 30.0, 3.0, 0.3, 0.03)]
    if "duality_gap" in known:
        return [{"duality_gap": target}]
    if "tolerance" in known:
        return [{"tolerance": t} for t in (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 1e-7)]
    if "epochs" in known:
        return [{"epochs": 20, "learning_rate": rate, "decay": 0.2} for rate in (3e-3, 1e-3)]
    return [{}]


def fit(folder: str, loss: str, l2: float, solver: str) -> Prepared:
    """A whole fit on standardised features; (W, b, what the solver says of itself)."""
    from linclass_cli.learn.solvers import SOLVERS

    data = load(folder)
    problem = make_problem(data.X, data.y, loss, l2, data.k)
    enter_threads(THREADS)

    def run(**settings: Any) -> Any:
        *_, last = SOLVERS[solver](problem, **settings)
        return last

    return Prepared(
        run, lambda last: (last.W, last.b, f"{last.iteration} steps, converged: {last.converged}")
    )


def make_problem(X: Array, y: Array, loss: str, l2: float, k: int, rows: Array | None = None) -> Any:
    """linclass's Problem of features that are standardised already (or of some of their rows)."""
    from linclass_cli.learn.objective import Part, Problem
    from linclass_cli.learn.scaling import Scaling

    rows = np.arange(len(y)) if rows is None else rows
    scaling = Scaling(np.zeros(X.shape[1]), np.ones(X.shape[1]))
    return Problem(Part(X, rows, y[rows], scaling), loss, l2, k)


def make_features(data: Any) -> Any:
    """linclass's Features around arrays in memory."""
    from pathlib import Path

    from linclass_cli.store import Block, Features

    train, test = Block(data.X, data.y), Block(data.X_test, data.y_test)
    return Features(train, test, "benchmark", {}, Path("benchmark"))


def enter_threads(count: int) -> None:
    """linclass's own thread limits, for the rest of this process (which belongs to one entry)."""
    from linclass_cli.threads import use_threads

    context = use_threads(count)
    context.__enter__()
    _HELD.append(context)  # leaving it would undo the limits


_HELD: list[Any] = []


def _nowhere() -> Any:
    """A folder without a linclass.toml."""
    from pathlib import Path

    return Path(__file__).parent
