"""``pass``: one loss and gradient over X, and fifty of them, against numpy and against the machine's limits.

A pass has to read X once (n d 4 bytes) and to do two products with it (4 n d k operations); the floor is the
larger of the two over the measured bandwidth and the measured peak.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import exact, machine, many, ours
from benchmarks.data import N_TRAIN, Array, load, prepare_features
from benchmarks.measure import THREADS, EntryError, alternate, note
from benchmarks.options import Options
from benchmarks.report import Entry, Group, Report
from benchmarks.workers import Prepared, Worker, crew

LOSSES = ("softmax", "hinge")
L2 = 1e-3
INNER = 5  # passes in one timed call


def weights(k: int, d: int) -> tuple[Array, Array]:
    """Where the pass is taken: small random W float32 (k, d) and b (k,)."""
    rng = np.random.default_rng(3)
    scale = np.float32(0.1 / np.sqrt(d))
    return rng.standard_normal((k, d), np.float32) * scale, rng.standard_normal(k, np.float32) * scale


def linclass(folder: str, loss: str, inner: int = INNER) -> Prepared:
    """`linclass_cli.learn.objective.objective`."""
    from linclass_cli.learn.objective import objective

    data = load(folder)
    problem = ours.make_problem(data.X, data.y, loss, L2, data.k)
    W, b = weights(data.k, data.X.shape[1])
    ours.enter_threads(THREADS)

    def run() -> Any:
        for _ in range(inner):
            value = objective(problem, W, b)
        return value.value, value.dW, value.db

    return Prepared(run)


def numpy_pass(X: Array, y: Array, loss: str, l2: float, W: Array, b: Array) -> tuple[float, Array, Array]:
    """What one writes in numpy, in float32: two matrix products, and the loss in place."""
    n, at = len(y), np.arange(len(y))
    S = X @ W.T
    S += b
    if loss == "softmax":
        S -= S.max(axis=1, keepdims=True)
        of_label = S[at, y]
        np.exp(S, out=S)
        total = S.sum(axis=1, keepdims=True)
        value = float((np.log(total[:, 0]) - of_label).mean(dtype=np.float64))
        S /= total
        S[at, y] -= 1
    else:
        S -= S[at, y][:, None] - 1
        S[at, y] = 0
        np.maximum(S, 0, out=S)
        value = float(S.sum(dtype=np.float64)) / n
        S = (S > 0).astype(np.float32)
        S[at, y] = -S.sum(axis=1)
    dW = S.T @ X
    dW /= n
    dW += np.float32(l2) * W
    return value + 0.5 * l2 * float((W * W).sum(dtype=np.float64)), dW, S.mean(axis=0)


def numpy_entry(folder: str, loss: str, inner: int = INNER, threads: int = THREADS) -> Prepared:
    """:func:`numpy_pass`, with so many threads of BLAS."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    data = load(folder)
    W, b = weights(data.k, data.X.shape[1])

    def run() -> Any:
        for _ in range(inner):
            found = numpy_pass(data.X, data.y, loss, L2, W, b)
        return found

    return Prepared(run)


def run(options: Options) -> Report:
    """Both losses, then fifty problems."""
    rounds = options.rounds or (5 if options.quick else 21)
    with tempfile.TemporaryDirectory() as folder:
        rows = options.rows or (10_000 if options.quick else N_TRAIN)
        what = prepare_features(Path(folder), options.cache_dir, rows)
        report = Report("pass", what, options.quick, rounds)
        note("the machine's bandwidth and peak")
        limits = machine.limits(0.25 if options.quick else 1.0)
        for loss in LOSSES:
            if options.wants(loss):
                report.groups.append(measure(loss, folder, rounds, limits))
        report.groups.append(many.measure(folder, max(1, rounds // 4), limits))
    report.notes += [
        f"medians are of single passes; each timed call does {INNER} of them, one after the other.",
        "difference: from float64, relative: of the value, or of the gradient to its largest entry.",
    ]
    return report


def start_all(start: Any, group: Group, wanted: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Worker]:
    """Start a worker for each entry and let it do its first call; what fails is noted in its entry."""
    workers = {}
    for name, (target, arguments) in wanted.items():
        entry = Entry(name, ours=name.startswith("linclass"))
        group.entries.append(entry)
        note(f"{group.title}: {name}")
        try:
            worker = start(target, **arguments)
            worker.run()
        except EntryError as error:
            entry.error = str(error)
            continue
        entry.prepared, entry.first = worker.prepared, worker.first
        workers[name] = worker
    return workers


def measure(loss: str, folder: str, rounds: int, limits: dict[str, float]) -> Group:
    data = load(folder)
    (n, d), k = data.X.shape, data.k
    group = Group(f"{loss}, one pass, {n:,} × {d} × {k} float32", "ms")
    shared = {"folder": folder, "loss": loss}
    wanted = {
        "linclass objective": ("benchmarks.passes:linclass", shared),
        "numpy, two products": ("benchmarks.passes:numpy_entry", shared),
        "numpy, two products, one thread": ("benchmarks.passes:numpy_entry", {**shared, "threads": 1}),
    }
    with crew() as start:
        workers = start_all(start, group, wanted)
        samples = alternate({name: worker.run for name, worker in workers.items()}, rounds, pause=0.05)
    value, dW, db = exact.value_and_gradient(data.X, data.y, loss, L2, *weights(k, d))
    for entry in group.entries:
        if entry.name in workers:
            entry.measured(samples[entry.name], INNER)
            mine, mine_dW, mine_db = workers[entry.name].value
            off = max(np.abs(mine_dW - dW).max(), np.abs(mine_db - db).max())
            entry.objective = float(mine)
            entry.difference = float(max(off / np.abs(dW).max(), abs(mine / value - 1)))
    group.compare()
    _add_rates(group, limits, 4.0 * n * d, 4.0 * n * d * k)
    return group


def _add_rates(group: Group, limits: dict[str, float], size: float, operations: float) -> None:
    """GB/s and GFLOP/s of the linclass entry, beside what the machine can do."""
    group.facts |= limits
    floor = max(size / limits["memory read GB/s"], operations / limits["sgemm peak GFLOP/s"]) / 1e9
    group.facts["floor, ms"] = floor * 1e3
    for entry in group.entries:
        if entry.timing:
            seconds = entry.timing.median
            read, done = size / seconds / 1e9, operations / seconds / 1e9
            entry.note = (
                f"X at {read:.1f} GB/s ({read / limits['memory read GB/s']:.0%} of the bandwidth), "
                f"{done:.0f} GFLOP/s ({done / limits['sgemm peak GFLOP/s']:.0%} of the peak)"
            )
