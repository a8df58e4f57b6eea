"""Cross-validation: folds x strengths, the choice of a strength, and a refit on everything."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from linclass_cli.config import Config
from linclass_cli.learn.fit import evaluate_model, make_model, make_problem
from linclass_cli.learn.objective import Part, Problem, evaluate
from linclass_cli.learn.solvers import SOLVERS, Iterate
from linclass_cli.learn.splits import assign_folds, check_classes
from linclass_cli.runs import Outcome
from linclass_cli.store import Features


@dataclass(frozen=True)
class Cell:
    """One fold with one strength: where its fit ended, and the accuracy on the images it never saw.

    ``fold`` is None for the refit on everything, which has no held-out part.
    """

    fold: int | None
    l2: float
    iterations: int
    objective: float
    gradient_norm: float
    converged: bool
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


def choose(strengths: list[float], accuracy: Any) -> dict[str, Any]:
    """The best strength, and the one-standard-error choice, from accuracy (strengths, folds).

    Standard error: standard deviation over the folds (divisor folds - 1) over the root of their number. The
    second choice is the strongest l2 whose mean is within one standard error of the best mean (Breiman et al.
    1984; Hastie, Tibshirani and Friedman, section 7.10). Of equal means the stronger is best.
    """
    accuracy = np.asarray(accuracy, np.float64)
    mean = accuracy.mean(axis=1)
    error = accuracy.std(axis=1, ddof=1) / np.sqrt(accuracy.shape[1])
    order = np.argsort(strengths, kind="stable")
    best = max(order, key=lambda i: (mean[i], strengths[i]))
    near = [i for i in order if mean[i] >= mean[best] - error[best]]
    return {
        "mean_accuracy": mean.tolist(),
        "std_error": error.tolist(),
        "best_l2": strengths[best],
        "one_se_l2": strengths[near[-1]],
    }


def cross_validate(
    features: Features, classes: tuple[str, ...], config: Config
) -> Generator[Cell, None, Outcome]:
    """What the command ``cv`` does between the features and the run record; yields every cell as it is done.

    Each fold has its own scaling and is solved from the strongest l2 to the weakest; solvers that can start
    somewhere start at the last solution. The weights of a cell are those its solver ended with: choosing the
    best step on the held-out images would flatter them.
    """
    began = time.perf_counter()
    y, k = features.train.y, len(classes)
    fold_of = assign_folds(y, config.cv.folds, config.seed, config.split.stratify)
    strengths = list(config.cv.l2)
    cells: list[Cell] = []
    for fold in range(config.cv.folds):
        rows, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        check_classes(y[rows], k, f"the training part of fold {fold}")
        problem = make_problem(features, rows, strengths[-1], k, config)
        validation = Part(features.train.X, held, y[held], problem.part.scaling)
        last: Iterate | None = None
        for l2 in reversed(strengths):
            cell_began = time.perf_counter()
            problem = Problem(problem.part, problem.loss, l2, k, config.seed)
            last = _solve(problem, config, last)
            val_loss, val_accuracy = evaluate(validation, problem.loss, last.W, last.b)
            cells.append(_cell(fold, l2, last, val_loss, val_accuracy, time.perf_counter() - cell_began))
            yield cells[-1]
    by_place = {(cell.l2, cell.fold): cell.val_accuracy for cell in cells}
    accuracy = [[by_place[l2, fold] for fold in range(config.cv.folds)] for l2 in strengths]
    choice = choose(strengths, accuracy)

    cell_began = time.perf_counter()
    everything = make_problem(features, np.arange(len(y)), choice["best_l2"], k, config)
    final = _solve(everything, config, None)
    cells.append(_cell(None, everything.l2, final, None, None, time.perf_counter() - cell_began))
    yield cells[-1]
    model = make_model(everything, final.W, final.b, classes, features.key)
    test_loss, test_accuracy = evaluate_model(model, features.test.X, features.test.y)
    metrics = {
        "loss": config.model.loss,
        "solver": config.solver_name,
        "folds": config.cv.folds,
        "l2": strengths,
        "mean_accuracy": choice["mean_accuracy"],
        "std_error": choice["std_error"],
        "fold_accuracy": accuracy,
        "best_l2": choice["best_l2"],
        "one_se_l2": choice["one_se_l2"],
        "n_train": len(y),
        "n_test": len(features.test.y),
        "train_accuracy": final.at.accuracy,
        "test_accuracy": test_accuracy,
        "test_loss": test_loss,
        "objective": final.at.value,
        "gradient_norm": final.at.gradient_norm,
        "converged": all(cell.converged for cell in cells),
        "seconds": time.perf_counter() - began,
    }
    return Outcome(metrics, [asdict(cell) for cell in cells], model)


def _solve(problem: Problem, config: Config, start: Iterate | None) -> Iterate:
    options = config.solver.options(config.solver_name)
    if config.solver_name in ("newton", "lbfgs") and start is not None:
        options["start"] = (start.W, start.b)
    *_, last = SOLVERS[config.solver_name](problem, **options)
    return last


def _cell(
    fold: int | None,
    l2: float,
    last: Iterate,
    val_loss: float | None,
    val_accuracy: float | None,
    seconds: float,
) -> Cell:
    at = last.at
    return Cell(
        fold,
        l2,
        last.iteration,
        at.value,
        at.gradient_norm,
        last.converged,
        at.accuracy,
        val_loss,
        val_accuracy,
        seconds,
    )
