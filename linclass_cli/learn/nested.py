"""Nested cross-validation: how accurate the whole procedure is, the choice of l2 included.

The accuracy of the best strength, on the folds that chose it, flatters. Here each outer fold is held out of
everything: inner folds of the rest choose a strength, a model is fitted to that rest, and judged on the fold.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from linclass_cli.class_weights import Weighting, load_weighting
from linclass_cli.config import Config
from linclass_cli.groups import load_groups
from linclass_cli.learn.cells import Cell, Progress
from linclass_cli.learn.crossval import choose, chosen_l2, cross_validate, fold_rows
from linclass_cli.learn.fit import held_part, make_problem
from linclass_cli.learn.journal import EMPTY, Journal, Recalled, State
from linclass_cli.learn.losses import Array
from linclass_cli.learn.metrics import wilson_interval
from linclass_cli.learn.objective import evaluate
from linclass_cli.learn.ways import fold_cells, iterates
from linclass_cli.runs import Outcome
from linclass_cli.store import Features


@dataclass(frozen=True)
class Inner:
    """What the inner cross-validation of an outer fold yields."""

    outer: int
    event: Cell | Progress


@dataclass(frozen=True)
class Outer:
    """An outer fold: the strength that was chosen without it, and the accuracy on its images."""

    fold: int
    l2: float
    accuracy: float
    n: int


def nested_cross_validate(
    features: Features, classes: tuple[str, ...], config: Config, journal: Journal = EMPTY
) -> Generator[Inner | Outer | Cell | Progress | Recalled, None, Outcome]:
    """What ``cv --nested`` does: the outer folds, and then :func:`crossval.cross_validate` on everything.

    The outcome's metrics have ``nested``: accuracy, accuracy_interval, std_error, fold_accuracy, fold_l2.
    Goes on behind the lines of the journal: those of each outer fold are a part of it, and its result one of
    the part "outer".
    """
    began = time.perf_counter() - journal.seconds
    y, k = features.train.y, len(classes)
    groups = load_groups(config.split.groups, len(y))
    of = groups.of if groups else None
    weighting = load_weighting(config.model.class_weight, classes)
    fold_of = fold_rows(y, k, config, of, classes)
    outers = [Outer(**line) for line in journal.lines("outer")]
    for fold in range(config.cv.folds):
        cells = [Cell(**line) for line in journal.lines(str(fold))]
        if cells:
            yield Recalled([*(Inner(fold, cell) for cell in cells), *outers[fold : fold + 1]])
        if fold < len(outers):
            continue
        rows = np.flatnonzero(fold_of != fold)
        of_rows = None if of is None else _renumbered(of[rows])
        inner_folds = fold_rows(y[rows], k, config, of_rows, classes)
        resume = journal.state(str(fold))
        for event in fold_cells(features, inner_folds, k, config, weighting, resume, rows):
            if isinstance(event, Progress):
                journal.keep(None, event.snapshot, str(fold))
                yield Inner(fold, event)
                continue
            cells.append(event.cell)
            journal.keep(asdict(event.cell), event.snapshot, str(fold))
            yield Inner(fold, event.cell)
        l2 = chosen_l2(choose(*_table(cells, config)), config)
        outers.append(_judge(features, fold, fold_of, l2, k, config, weighting))
        journal.keep(asdict(outers[-1]), lambda: State({}, {}), "outer")
        yield outers[-1]
    outcome = yield from cross_validate(features, classes, config, journal)
    metrics = outcome.metrics | {"nested": summary(outers), "seconds": time.perf_counter() - began}
    return replace(outcome, metrics=metrics)


def summary(outers: list[Outer]) -> dict[str, Any]:
    """All outer folds together, as JSON-able values.

    The 95 % interval is the wider of two at each end: Wilson's, as if all images were judged by one model,
    and Student's over the folds, which sees that they were not, and that groups vary more than images.
    """
    from scipy.special import stdtrit

    accuracy = np.array([outer.accuracy for outer in outers])
    n = sum(outer.n for outer in outers)
    correct = sum(round(outer.accuracy * outer.n) for outer in outers)
    error = float(accuracy.std(ddof=1) / np.sqrt(len(outers)))
    reach = error * float(stdtrit(len(outers) - 1, 0.975))
    low, high = wilson_interval(correct, n)
    return {
        "accuracy": correct / n,
        "accuracy_interval": [
            max(0.0, min(low, correct / n - reach)),
            min(1.0, max(high, correct / n + reach)),
        ],
        "std_error": error,
        "fold_accuracy": accuracy.tolist(),
        "fold_l2": [outer.l2 for outer in outers],
    }


def _judge(
    features: Features,
    fold: int,
    fold_of: Array,
    l2: float,
    k: int,
    config: Config,
    weighting: Weighting | None,
) -> Outer:
    """Fit on everything but the fold, and count on the fold."""
    y = features.train.y
    held = np.flatnonzero(fold_of == fold)
    problem = make_problem(features, np.flatnonzero(fold_of != fold), l2, k, config, weighting)
    *_, last = iterates(problem, config)
    part = held_part(problem.part, held, y[held])
    return Outer(fold, l2, evaluate(part, problem.loss, last.W, last.b)[1], len(held))


def _table(cells: list[Cell], config: Config) -> tuple[list[float], list[list[float | None]]]:
    by_place = {(cell.l2, cell.fold): cell.val_accuracy for cell in cells}
    strengths = list(config.cv.l2)
    return strengths, [[by_place[l2, fold] for fold in range(config.cv.folds)] for l2 in strengths]


def _renumbered(groups: Array) -> Array:
    """The groups that are left, in 0 .. their number - 1."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
