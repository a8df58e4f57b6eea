"""``fit``: whole fits, each at the loosest of its tolerances that reaches the target, judged in float64."""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import exact, ours, peers
from benchmarks.data import N_TRAIN, Data, load, prepare_features
from benchmarks.measure import THREADS, EntryError, alternate, note
from benchmarks.options import Options
from benchmarks.report import Entry, Group, Report
from benchmarks.rivals import Settings, rivals
from benchmarks.workers import Worker, crew


@dataclass(frozen=True)
class Case:
    """What is fitted, and how near to the optimum, relative to its value."""

    loss: str
    l2: float
    target: float


QUICK_ROWS = 3000
CASES = (
    Case("softmax", 2e-3, 1e-6),
    Case("softmax", 2e-5, 1e-6),
    Case("squared-hinge", 2e-2, 1e-5),
    Case("hinge", 2e-2, 1e-3),
    Case("ridge", 2e-2, 1e-6),
)


def run(options: Options) -> Report:
    """All cases; quick: few rows, neither saga nor LinearSVC."""
    rounds = options.rounds or (2 if options.quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        rows = options.rows or (QUICK_ROWS if options.quick else N_TRAIN)
        what = prepare_features(Path(folder), options.cache_dir, rows)
        report = Report("fit", what, options.quick, rounds)
        for case in CASES:
            if options.wants(case.loss):
                report.add(measure(case, folder, options, rounds))
    report.notes += [
        "excess: relative, over the best known optimum, in float64 at the returned weights.",
        "Tolerances are the loosest of a short list that reach the target, found before the timing.",
        "LIBLINEAR and LinearSVC penalise the bias: as the weight of a constant feature 10, next to nothing.",
        "threads: a peer that can use several takes as many as it was faster with, in two tries each.",
        "first s: the first call of a process, which compiles or loads; imports are not in it.",
    ]
    return report


@dataclass
class _Try:
    worker: Worker
    entry: Entry
    settings: Settings
    judge: str | None
    threads: bool


def measure(case: Case, folder: str, options: Options, rounds: int) -> Group:
    """Calibrate every entry, then let them take turns."""
    group = Group(f"{case.loss}, l2 = {case.l2:g}, to within {case.target:g} of the optimum")
    data = load(folder)
    with crew() as start:
        tries = _line_up(case, folder, options, group, start)
        best = _optimum(case, folder, start, group)
        for one in tries:
            best = min(best, _calibrate(one, case, data, best))
        _judge(tries, case, best)
        calls = {
            t.entry.name: lambda t=t: t.worker.run(**t.entry.settings) for t in tries if not t.entry.error
        }
        samples = alternate(calls, rounds)
    for t in tries:
        if t.entry.name in samples:
            t.entry.measured(samples[t.entry.name])
    group.facts["best known optimum"] = f"{best:.9f}"
    group.compare()
    return group


def _line_up(case: Case, folder: str, options: Options, group: Group, start: Any) -> list[_Try]:
    shared = {"folder": folder, "loss": case.loss, "l2": case.l2}
    wanted: list[tuple[Entry, str, dict[str, Any], Settings, str | None, bool]] = [
        (
            Entry(f"linclass {solver}", ours=True),
            "benchmarks.ours:fit",
            {"solver": solver},
            ours.settings_of(solver, case.target),
            case.loss,
            False,
        )
        for solver in ours.solvers_for(case.loss)
    ]
    wanted += [
        (
            Entry(r.name, note=r.note),
            f"benchmarks.peers:{r.function}",
            r.arguments,
            r.settings,
            r.judge,
            r.threads,
        )
        for r in rivals(case.loss)
        if not (r.slow and options.quick) and options.wants_entry(r.name)
    ]
    tries = []
    for entry, target, arguments, settings, judge, threads in wanted:
        group.entries.append(entry)
        try:
            worker = start(
                target, limit=20 if options.quick else 300, **_accepted(target, shared), **arguments
            )
        except EntryError as error:
            entry.error = str(error)
            continue
        entry.prepared = worker.prepared
        tries.append(_Try(worker, entry, settings, judge, threads))
    return tries


def _accepted(target: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that the function takes: not every peer heeds the loss or l2."""
    function = getattr(ours if target == "benchmarks.ours:fit" else peers, target.partition(":")[2])
    known = inspect.signature(function).parameters
    return {name: value for name, value in shared.items() if name in known}


def _optimum(case: Case, folder: str, start: Any, group: Group) -> float:
    """By float64 solvers that share no code with linclass."""
    note(f"{case.loss} {case.l2:g}: the optimum, in float64")
    worker = start("benchmarks.exact:optimum_entry", folder=folder, loss=case.loss, l2=case.l2)
    worker.run()
    worker.stop()
    found = worker.value
    group.facts["reference (float64)"] = f"{found['objective']:.9f}"
    group.facts["the reference is above the least by at most, relative"] = found["bound"] / found["objective"]
    return float(found["objective"])


def _calibrate(one: _Try, case: Case, data: Data, best: float) -> float:
    """Run with ever tighter settings until the target is met, the last ones are tried, or it fails."""
    entry, least = one.entry, float("inf")
    for settings in one.settings:
        note(f"{case.loss} {case.l2:g}: {entry.name} {settings}")
        try:
            one.worker.run(**settings)
        except EntryError as error:
            _after_failure(one, settings, str(error))
            return least
        W, b, remark, *known = one.worker.value
        entry.first = one.worker.first
        value = exact.objective(data.X, data.y, one.judge, case.l2, W, b) if one.judge else None
        if value is not None and entry.objective is not None and not value < entry.objective:
            continue
        entry.settings, entry.objective = settings, value
        entry.accuracy = known[0] if known else exact.accuracy(data.X_test, data.y_test, W, b)
        entry.remark = remark
        if one.judge == case.loss and value is not None:
            least = min(least, value)
            if value <= best * (1 + case.target):
                break
    _choose_threads(one)
    return least


def _choose_threads(one: _Try) -> None:
    """A peer may be faster with one thread than with all: give it what suits it."""
    if not one.threads or one.worker.last > 30:
        return
    try:
        took = {
            n: min(one.worker.run(threads=n, **one.entry.settings) for _ in range(2)) for n in (THREADS, 1)
        }
    except EntryError as error:
        one.entry.error = str(error)
        return
    one.entry.settings = {**one.entry.settings, "threads": min(took, key=lambda n: took[n])}


def _after_failure(one: _Try, settings: dict[str, Any], why: str) -> None:
    """What was reached before counts, in a new process, warmed up; without it the entry is out."""
    entry = one.entry
    if entry.accuracy is None:
        entry.error = why
        return
    entry.note = "; ".join(part for part in (entry.note, f"tried {settings}: {why}") if part)
    try:
        one.worker.start()
        one.worker.run(**entry.settings)
    except EntryError as error:
        entry.error = str(error)


def _judge(tries: list[_Try], case: Case, best: float) -> None:
    for one in tries:
        entry = one.entry
        if one.judge == case.loss and entry.objective is not None:
            entry.excess = entry.objective / best - 1
            entry.reached = entry.excess <= case.target
