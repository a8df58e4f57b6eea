"""Cross-validation: folds x strengths, the choice of a strength, and a refit on everything."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from linclass_cli.config import Config
from linclass_cli.learn.fit import evaluate_model, make_model, make_problem
from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, Problem, evaluate
from linclass_cli.learn.scaling import Scaling, fit_scaling
from linclass_cli.learn.solvers import SOLVERS, Iterate
from linclass_cli.learn.solvers.iterate import check_finite
from linclass_cli.learn.solvers.newton import newton_steps
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
    for fold in range(config.cv.folds):
        check_classes(y[fold_of != fold], k, f"the training part of fold {fold}")
    together = config.solver_name == "newton"
    cells: list[Cell] = []
    for cell in (_folds_together if together else _fold_by_fold)(features, fold_of, k, config):
        cells.append(cell)
        yield cell
    by_place = {(cell.l2, cell.fold): cell.val_accuracy for cell in cells}
    accuracy = [[by_place[l2, fold] for fold in range(config.cv.folds)] for l2 in strengths]
    choice = choose(strengths, accuracy)

    cell_began = time.perf_counter()
    everything = make_problem(features, np.arange(len(y)), choice["best_l2"], k, config)
    final = _solve(everything, config, None)
    cells.append(_cell(None, everything.l2, final, (None, None), time.perf_counter() - cell_began))
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


def _fold_by_fold(features: Features, fold_of: Array, k: int, config: Config) -> Iterator[Cell]:
    """Every cell by itself, each fold from the strongest l2 to the weakest."""
    X, y = features.train.X, features.train.y
    for fold in range(config.cv.folds):
        rows, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        part = make_problem(features, rows, 0.0, k, config).part
        validation = Part(X, held, y[held], part.scaling)
        last: Iterate | None = None
        for l2 in reversed(config.cv.l2):
            began = time.perf_counter()
            problem = Problem(part, config.model.loss, l2, k, config.seed)
            last = _solve(problem, config, last)
            val = evaluate(validation, problem.loss, last.W, last.b)
            yield _cell(fold, l2, last, val, time.perf_counter() - began)


def _folds_together(features: Features, fold_of: Array, k: int, config: Config) -> Iterator[Cell]:
    """All folds in lockstep by Newton's method, from the strongest l2 to the weakest, started at the last."""
    X, y, folds = features.train.X, features.train.y, config.cv.folds
    # Without scaling the features are centred all the same, which the bias takes up: only W is penalised.
    center = fit_scaling("standard", X, np.arange(len(y))).mean
    scalings = [fit_scaling(config.model.scale, X, np.flatnonzero(fold_of != fold)) for fold in range(folds)]
    if config.model.scale == "none":
        scalings = [Scaling(center, np.ones_like(center))] * folds
    W, b = np.zeros((folds, k, X.shape[1])), np.zeros((folds, k))
    options = config.solver.options("newton")
    for l2 in reversed(config.cv.l2):
        began = time.perf_counter()
        problems = FoldProblems(X, y, fold_of, scalings, config.model.loss, l2, k, config.seed)
        *_, state = newton_steps(problems, options["gap"], options["max_iterations"], W, b)
        W, b = state.W, state.b
        seconds = (time.perf_counter() - began) / folds
        for fold in range(folds):
            at = state.at[fold]
            check_finite(at, state.step, "the features are too large; scale them, or raise l2")
            last = Iterate(state.step, W[fold], b[fold], at, bool(state.converged[fold]))
            yield _cell(fold, l2, last, at.held or (None, None), seconds)


def _solve(problem: Problem, config: Config, start: Iterate | None) -> Iterate:
    options = config.solver.options(config.solver_name)
    if config.solver_name in ("newton", "lbfgs") and start is not None:
        options["start"] = (start.W, start.b)
    *_, last = SOLVERS[config.solver_name](problem, **options)
    return last


def _cell(
    fold: int | None, l2: float, last: Iterate, val: tuple[float | None, float | None], seconds: float
) -> Cell:
    at = last.at
    return Cell(
        fold=fold,
        l2=l2,
        iterations=last.iteration,
        objective=at.value,
        gradient_norm=at.gradient_norm,
        converged=last.converged,
        train_accuracy=at.accuracy,
        val_loss=val[0],
        val_accuracy=val[1],
        seconds=seconds,
    )
