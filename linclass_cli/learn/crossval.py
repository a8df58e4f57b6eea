"""Cross-validation: folds x strengths, the choice of a strength, and a refit on everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from linclass_cli.class_weights import Weighting, load_weighting
from linclass_cli.config import Config
from linclass_cli.groups import load_groups
from linclass_cli.learn.bounds import relative, smooth_bound
from linclass_cli.learn.fit import evaluate_model, held_part, make_model, make_problem, proven_gap
from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.gram import MOST_EIGEN
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Problem, Value, evaluate, penalised
from linclass_cli.learn.ridge_path import ridge_path
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

    ``gap_bound``: the objective's distance to the optimum at most, relative; None where nothing proves one.
    ``curve``: the accuracy on the held-out images at the start and after each step.
    ``fold`` is None for the refit on everything, which has no held-out part.
    """

    fold: int | None
    l2: float
    iterations: int
    objective: float
    gradient_norm: float
    gap_bound: float | None
    converged: bool
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    curve: list[float]


@dataclass(frozen=True)
class Progress:
    """All folds with one strength, under way: the held-out accuracy of each, after a step."""

    l2: float
    step: int
    val_accuracy: list[float]


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


def chosen_l2(choice: dict[str, Any], config: Config) -> float:
    """The strength of :func:`choose` that the config asks for."""
    return float(choice["one_se_l2" if config.cv.choose == "one-se" else "best_l2"])


def fold_rows(y: Array, k: int, config: Config, groups: Array | None, classes: tuple[str, ...] = ()) -> Array:
    """The fold of each row, (n,); raises InputError where a class has no image in a fold's training part."""
    fold_of = assign_folds(y, config.cv.folds, config.seed, config.split.stratify, groups, classes)
    for fold in range(config.cv.folds):
        check_classes(y[fold_of != fold], k, f"the training part of fold {fold}", classes)
    return fold_of


def fold_cells(
    features: Features, fold_of: Array, k: int, config: Config, weighting: Weighting | None = None
) -> Iterator[Cell | Progress]:
    """Every fold with every strength of the config."""
    return _way(features, config, weighting)(features, fold_of, k, config, weighting)


def cross_validate(
    features: Features, classes: tuple[str, ...], config: Config
) -> Generator[Cell | Progress, None, Outcome]:
    """What the command ``cv`` does between the features and the run record.

    Yields every cell as it is done, and the steps in between where all folds are solved together.

    Each fold has its own scaling and is solved from the strongest l2 to the weakest; solvers that can start
    somewhere start at the last solution. The weights of a cell are those its solver ended with: choosing the
    best step on the held-out images would flatter them.
    """
    began = time.perf_counter()
    y, k = features.train.y, len(classes)
    groups = load_groups(config.split.groups, len(y))
    fold_of = fold_rows(y, k, config, groups.of if groups else None, classes)
    strengths = list(config.cv.l2)
    cells: list[Cell] = []
    weighting = load_weighting(config.model.class_weight, classes)
    for event in fold_cells(features, fold_of, k, config, weighting):
        if isinstance(event, Cell):
            cells.append(event)
        yield event
    by_place = {(cell.l2, cell.fold): cell.val_accuracy for cell in cells}
    accuracy = [[by_place[l2, fold] for fold in range(config.cv.folds)] for l2 in strengths]
    choice = choose(strengths, accuracy)
    l2 = chosen_l2(choice, config)

    cell_began = time.perf_counter()
    everything = make_problem(features, np.arange(len(y)), l2, k, config, weighting)
    *_, final = iterates(everything, config, None)
    bound, seconds = proven_gap(everything, final), time.perf_counter() - cell_began
    cells.append(_cell(None, everything.l2, final, bound, (None, None), [], seconds))
    yield cells[-1]
    model = make_model(everything, final.W, final.b, classes, features.key)
    weights = everything.part.class_weights
    test_loss, test_accuracy = evaluate_model(model, features.test.X, features.test.y, weights)
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
        "choose": config.cv.choose,
        "chosen_l2": l2,
        "nested": None,
        "groups": groups and groups.facts,
        "class_weights": None if weights is None else dict(zip(classes, weights.tolist(), strict=True)),
        "n_train": len(y),
        "n_test": len(features.test.y),
        "train_accuracy": final.at.accuracy,
        "test_accuracy": test_accuracy,
        "test_loss": test_loss,
        "objective": final.at.value,
        "gradient_norm": final.at.gradient_norm,
        "gap_bound": cells[-1].gap_bound,
        "converged": all(cell.converged for cell in cells),
        "seconds": time.perf_counter() - began,
    }
    return Outcome(metrics, [asdict(cell) for cell in cells], model)


def _way(
    features: Features, config: Config, weighting: Weighting | None
) -> Callable[..., Iterator[Cell | Progress]]:
    if config.solver_name == "newton":
        return _folds_together
    # One Gram matrix for all folds would want one a class where each fold has its own weights.
    if config.solver_name == "closed" and features.train.X.shape[1] <= MOST_EIGEN and not weighting:
        return _by_ridge_path
    return _fold_by_fold


def _fold_by_fold(
    features: Features, fold_of: Array, k: int, config: Config, weighting: Weighting | None
) -> Iterator[Cell]:
    """Every cell by itself, each fold from the strongest l2 to the weakest."""
    y = features.train.y
    for fold in range(config.cv.folds):
        rows, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        part = make_problem(features, rows, 0.0, k, config, weighting).part
        validation = held_part(part, held, y[held])
        last: Iterate | None = None
        for l2 in reversed(config.cv.l2):
            began = time.perf_counter()
            problem = Problem(part, config.model.loss, l2, k, config.seed)
            curve = []
            for iterate in iterates(problem, config, last):
                val = evaluate(validation, problem.loss, iterate.W, iterate.b)
                curve.append(val[1])
            last = iterate
            yield _cell(fold, l2, last, proven_gap(problem, last), val, curve, time.perf_counter() - began)


def _scalings(features: Features, fold_of: Array, config: Config) -> list[Scaling]:
    """One for each fold, learned from its training part; "none" is centred, which the bias takes up."""
    X, n = features.train.X, len(fold_of)
    if config.model.scale == "none":
        center = fit_scaling("standard", X, np.arange(n)).mean
        return [Scaling(center, np.ones_like(center))] * config.cv.folds
    return [
        fit_scaling(config.model.scale, X, np.flatnonzero(fold_of != fold)) for fold in range(config.cv.folds)
    ]


def _by_ridge_path(
    features: Features, fold_of: Array, k: int, config: Config, _: Weighting | None
) -> Iterator[Cell]:
    X, y, began = features.train.X, features.train.y, time.perf_counter()
    scalings = _scalings(features, fold_of, config)
    for fold, l2, at, W, b in ridge_path(X, y, fold_of, scalings, list(config.cv.l2), k):
        check_finite(at, 1, "the features are too large; scale them, or raise l2")
        val = at.held or (None, None)
        bound = relative(smooth_bound(at, l2), at.value)
        now = time.perf_counter()
        curve = [at.held[1]] if at.held else []
        yield _cell(fold, l2, Iterate(1, W, b, at, True), bound, val, curve, now - began)
        began = now


def _folds_together(
    features: Features, fold_of: Array, k: int, config: Config, weighting: Weighting | None
) -> Iterator[Cell | Progress]:
    """All folds in lockstep by Newton's method, from the strongest l2 to the weakest, started at the last."""
    X, y, folds = features.train.X, features.train.y, config.cv.folds
    scalings = _scalings(features, fold_of, config)
    W, b = np.zeros((folds, k, X.shape[1])), np.zeros((folds, k))
    holds, none = np.arange(folds), np.zeros(folds)
    weights = np.stack([weighting.of(y[fold_of != fold], k) for fold in holds]) if weighting else None
    problems = FoldProblems(X, y, fold_of, holds, scalings, config.model.loss, none, k, config.seed, weights)
    options = config.solver.options(config.solver_name)
    known: list[Value] | None = None
    for l2 in reversed(config.cv.l2):
        began = time.perf_counter()
        curves: list[list[float]] = [[] for _ in range(folds)]
        if known is not None:  # another strength changes the objectives, and no loss
            known = [penalised(at, W[p], l2 - problems.l2[p]) for p, at in enumerate(known)]
        problems.l2 = np.full(folds, l2)
        for state in newton_steps(problems, options["gap"], options["max_iterations"], W, b, known):
            shown = [at.held[1] if at.held else 0.0 for at in state.at]
            if state.step == len(curves[0]):  # a last state may stand again, with what is known of it by then
                for curve, value in zip(curves, shown, strict=True):
                    curve.append(value)
                yield Progress(l2, state.step, shown)
        W, b, known = state.W, state.b, state.at
        seconds = (time.perf_counter() - began) / folds
        for fold in range(folds):
            at, gap = state.at[fold], float(state.gap[fold])
            check_finite(at, state.step, "the features are too large; scale them, or raise l2")
            last = Iterate(state.step, W[fold], b[fold], at, bool(state.converged[fold]), gap)
            yield _cell(
                fold, l2, last, relative(gap, at.value), at.held or (None, None), curves[fold], seconds
            )


def iterates(problem: Problem, config: Config, start: Iterate | None) -> Iterator[Iterate]:
    """The steps of the configured solver, from ``start`` where it can start somewhere."""
    options = config.solver.options(config.solver_name)
    if config.solver_name == "lbfgs" and start is not None:
        options["start"] = (start.W, start.b)
    return SOLVERS[config.solver_name](problem, **options)


def _cell(
    fold: int | None,
    l2: float,
    last: Iterate,
    gap_bound: float | None,
    val: tuple[float | None, float | None],
    curve: list[float],
    seconds: float,
) -> Cell:
    at = last.at
    return Cell(
        fold=fold,
        l2=l2,
        iterations=last.iteration,
        objective=at.value,
        gradient_norm=at.gradient_norm,
        gap_bound=gap_bound,
        converged=last.converged,
        train_accuracy=at.accuracy,
        val_loss=val[0],
        val_accuracy=val[1],
        seconds=seconds,
        curve=curve,
    )
