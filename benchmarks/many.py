"""The other half of ``pass``: 50 problems (5 folds × 10 strengths) over the same X, against 50 passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.data import Array, load
from benchmarks.measure import THREADS, alternate
from benchmarks.report import Group
from benchmarks.workers import Prepared, crew

FOLDS, STRENGTHS = 5, 10
PROBLEMS = FOLDS * STRENGTHS
LOSS = "softmax"


def _folds(n: int) -> Array:
    return np.arange(n) % FOLDS


def _weights(k: int, d: int) -> tuple[Array, Array]:
    """W (problems, k, d) and b (problems, k), float64; problem p holds out fold p % FOLDS."""
    rng = np.random.default_rng(4)
    return rng.standard_normal((PROBLEMS, k, d)) * 0.1 / np.sqrt(d), np.zeros((PROBLEMS, k))


def _l2(p: int) -> float:
    return float(2e-5 * 10 ** (p // FOLDS * 5 / (STRENGTHS - 1)))


def linclass(folder: str) -> Prepared:
    """linclass's pass over many problems, `linclass_cli.learn.folds`."""
    from linclass_cli.learn.folds import FoldProblems

    data = load(folder)
    k = data.k
    W, b = _weights(k, data.X.shape[1])
    which = np.arange(PROBLEMS)
    scaling = ours.make_problem(data.X, data.y, LOSS, 0.0, k).part.scaling
    l2 = np.array([_l2(p) for p in which])
    problems = FoldProblems(
        data.X, data.y, _folds(len(data.y)), which % FOLDS, [scaling] * PROBLEMS, LOSS, l2, k, 0
    )
    ours.enter_threads(THREADS)
    return Prepared(
        lambda: problems.values(which, W, b), lambda found: np.array([value.value for value in found])
    )


def linclass_singly(folder: str) -> Prepared:
    """Fifty single passes of linclass, each over its own rows."""
    from linclass_cli.learn.objective import objective

    data = load(folder)
    W, b = _weights(data.k, data.X.shape[1])
    rows = [np.flatnonzero(_folds(len(data.y)) != fold) for fold in range(FOLDS)]
    problems = [
        ours.make_problem(data.X, data.y, LOSS, _l2(p), data.k, rows[p % FOLDS]) for p in range(PROBLEMS)
    ]
    ours.enter_threads(THREADS)

    def run() -> Any:
        return np.array([objective(problems[p], W[p], b[p]).value for p in range(PROBLEMS)])

    return Prepared(run)


def numpy_singly(folder: str) -> Prepared:
    """Fifty passes of numpy; each fold's rows were copied before, outside the timing."""
    from benchmarks.passes import numpy_pass

    data = load(folder)
    W, b = (part.astype(np.float32) for part in _weights(data.k, data.X.shape[1]))
    fold_of = _folds(len(data.y))
    parts = [(data.X[fold_of != fold], data.y[fold_of != fold]) for fold in range(FOLDS)]

    def run() -> Any:
        return np.array([numpy_pass(*parts[p % FOLDS], LOSS, _l2(p), W[p], b[p])[0] for p in range(PROBLEMS)])

    return Prepared(run)


def measure(folder: str, rounds: int, limits: dict[str, float]) -> Group:
    """Seconds for all fifty, and GFLOP/s of the products with all rows."""
    from benchmarks.passes import start_all

    data = load(folder)
    (n, d), k = data.X.shape, data.k
    group = Group(
        f"{LOSS}, {PROBLEMS} problems ({FOLDS} folds × {STRENGTHS} strengths), {n:,} × {d} × {k}", "ms"
    )
    wanted = {
        "linclass, many at once": ("benchmarks.many:linclass", {"folder": folder}),
        "linclass, one by one": ("benchmarks.many:linclass_singly", {"folder": folder}),
        "numpy, one by one": ("benchmarks.many:numpy_singly", {"folder": folder}),
    }
    with crew() as start:
        workers = start_all(start, group, wanted)
        samples = alternate({name: worker.run for name, worker in workers.items()}, rounds)
    reference = next((w.value for name, w in workers.items() if name.startswith("numpy")), None)
    for entry in group.entries:
        if entry.name in workers:
            entry.measured(samples[entry.name])
            rows = n if entry.name.endswith("at once") else n * (FOLDS - 1) / FOLDS
            rate = 4 * rows * d * k * PROBLEMS / entry.timing.median / 1e9 if entry.timing else 0.0
            share = rate / limits["sgemm peak GFLOP/s"]
            entry.note = f"{rate:.0f} GFLOP/s ({share:.0%} of the peak)"
            if reference is not None:
                entry.difference = float(np.abs(workers[entry.name].value / reference - 1).max())
    group.compare()
    return group
