"""``scaling``: how linclass's time and memory grow in n, d, k, folds × strengths and threads, with exponents.

Exponents are slopes of log(median) over log(size), by least squares. Memory is what the resident set grew by
at its highest during a call, X not counted (where the system can tell).
"""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Any

from benchmarks.data import Data, synthetic
from benchmarks.measure import THREADS, EntryError, alternate, exponent, note
from benchmarks.options import Options
from benchmarks.report import Entry, Group, Report
from benchmarks.workers import Prepared, crew

BASE = {"n": 8000, "d": 160, "k": 10, "problems": 10, "threads": THREADS}
SIZES: dict[str, list[int]] = {
    "n": [4000, 8000, 16_000, 32_000],
    "d": [40, 80, 160, 320, 640],
    "k": [5, 10, 20, 40, 80],
    "problems": [5, 10, 20, 40],
    "threads": [1, 2],
}
AXES = {"pass": ("n", "d", "k", "threads"), "fit": ("n", "d", "k", "threads"), "cv": ("n", "problems")}
INNER = {"pass": 10, "fit": 1, "cv": 1}
FOLDS = 5


def entry(kind: str, n: int, d: int, k: int, problems: int, threads: int) -> Prepared:
    """One size; collects the bytes that the last call needed at its highest."""
    import numpy as np

    from benchmarks import ours

    X, y, X_test, y_test = synthetic(n, n // 5, d, k)
    data = Data(X, y.astype(np.int64), X_test, y_test.astype(np.int64))
    ours.enter_threads(threads)
    work = {"pass": _pass, "fit": _fit, "cv": _cv}[kind](data, k, problems)

    def run() -> int | None:
        before = _peak(reset=True)
        for _ in range(INNER[kind]):
            work()
        after = _peak(reset=False)
        return None if before is None or after is None else after - before

    return Prepared(run)


def _pass(data: Data, k: int, _: int) -> Any:
    from benchmarks import ours
    from benchmarks.passes import weights
    from linclass_cli.learn.objective import objective

    problem, (W, b) = ours.make_problem(data.X, data.y, "softmax", 1e-3, k), weights(k, data.X.shape[1])
    return lambda: objective(problem, W, b)


def _fit(data: Data, k: int, _: int) -> Any:
    from benchmarks import ours
    from linclass_cli.config import Config
    from linclass_cli.learn.solvers import SOLVERS

    problem = ours.make_problem(data.X, data.y, "softmax", 1e-3, k)
    config = Config()
    options = config.solver.options(config.solver_name)
    return lambda: list(SOLVERS[config.solver_name](problem, **options))[-1]


def _cv(data: Data, k: int, problems: int) -> Any:
    from benchmarks import ours
    from linclass_cli.config import Config
    from linclass_cli.config_sections import CvConfig, ModelConfig
    from linclass_cli.learn.crossval import cross_validate

    count = max(1, problems // FOLDS)
    l2 = tuple(1e-3 * 2**i for i in range(count))
    config = Config(model=ModelConfig(scale="none"), cv=CvConfig(folds=FOLDS, l2=l2))
    features, classes = ours.make_features(data), tuple(str(i) for i in range(k))
    return lambda: list(cross_validate(features, classes, config))


def _peak(reset: bool) -> int | None:
    """The resident set in bytes: now, its highest mark being lowered to that, or the highest since then."""
    with contextlib.suppress(OSError, StopIteration, AttributeError):
        if reset:
            ctypes.CDLL(None).malloc_trim(0)  # what was freed must not hide what is taken
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmRSS:" if reset else "VmHWM:"))
        return int(line.split()[1]) * 1024
    return None


def run(options: Options) -> Report:
    """Every axis of every kind, the others held at a base."""
    rounds = options.rounds or (2 if options.quick else 5)
    base = ", ".join(f"{name} {value:,}" for name, value in BASE.items())
    what = f"synthetic (see benchmarks/data.py), float32; what does not vary is at {base}"
    report = Report("scaling", what, options.quick, rounds)
    for kind, axes in AXES.items():
        for axis in axes:
            note(f"{kind}: {axis}")
            sizes = SIZES[axis][:3] if options.quick else SIZES[axis]
            report.groups.append(measure(kind, axis, sizes, rounds))
    report.notes += [
        "first s: the first call, with loading or compilation of kernels.",
        "fit and cv at linclass's defaults, softmax; their steps differ from size to size.",
    ]
    return report


def measure(kind: str, axis: str, sizes: list[int], rounds: int) -> Group:
    """One axis: the sizes take turns, each in a process of its own."""
    group = Group(f"{kind}: {axis}", "ms")
    with crew() as start:
        workers = {}
        for size in sizes:
            one = Entry(f"{axis} = {size:,}", ours=True)
            group.entries.append(one)
            try:
                worker = start("benchmarks.scaling:entry", kind=kind, **{**BASE, axis: size})
                worker.run()
            except EntryError as error:
                one.error = str(error)
                continue
            one.first, workers[one.name] = worker.first, worker
        memory: dict[str, int] = {}

        def turn(name: str) -> float:
            seconds = workers[name].run()
            if workers[name].value is not None:
                memory[name] = max(memory.get(name, 0), workers[name].value)
            return seconds

        calls = {name: (lambda name=name: turn(name)) for name in workers}
        samples = alternate(calls, rounds, pause=0.02)
    for one in group.entries:
        if one.name in samples:
            one.measured(samples[one.name], INNER[kind])
            if one.name in memory:
                one.note = f"{memory[one.name] / 2**20:.1f} MB beyond X"
    timed = [(size, one.timing.median) for size, one in zip(sizes, group.entries, strict=True) if one.timing]
    if len(timed) > 1:
        group.facts[f"time grows as {axis} to the power of"] = exponent(*map(list, zip(*timed, strict=True)))
    used = [
        (size, memory[one.name])
        for size, one in zip(sizes, group.entries, strict=True)
        if memory.get(one.name, 0) > 1 << 20
    ]
    if len(used) > 1:
        group.facts[f"memory grows as {axis} to the power of"] = exponent(*map(list, zip(*used, strict=True)))
    return group
