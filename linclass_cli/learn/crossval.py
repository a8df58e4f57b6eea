"""Cross-validation: folds x strengths, the choice of a strength, and a refit on everything."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from linclass_cli.class_weights import load_weighting
from linclass_cli.config import Config
from linclass_cli.groups import load_groups
from linclass_cli.halves import work_dtype
from linclass_cli.learn.cells import Cell, Progress, Solved, make_cell
from linclass_cli.learn.fit import evaluate_model, make_model, make_problem, proven_gap
from linclass_cli.learn.journal import EMPTY, Journal, Recalled, Snapshot, State
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Part, known
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.splits import assign_folds, check_classes
from linclass_cli.learn.temperature import fit_temperature, part_scores
from linclass_cli.learn.ways import fold_cells, iterates
from linclass_cli.runs import Outcome
from linclass_cli.spread import AnyRows
from linclass_cli.store import Features


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


def cross_validate(
    features: Features, classes: tuple[str, ...], config: Config, journal: Journal = EMPTY
) -> Generator[Cell | Progress | Recalled, None, Outcome]:
    """What the command ``cv`` does between the features and the run record.

    Yields every cell as it is done, and the steps in between where all folds are solved together.

    Each fold has its own scaling and is solved from the strongest l2 to the weakest; solvers that can start
    somewhere start at the last solution. The weights of a cell are those its solver ended with: choosing the
    best step on the held-out images would flatter them.

    Calibrated, the refitted model has the temperature of the least log loss on the scores that each fold's
    fit of the chosen strength gives the images it never saw, as scikit-learn's CalibratedClassifierCV has it
    where it is no ensemble. Goes on behind the cells of the journal.
    """
    began = time.perf_counter() - journal.seconds
    y, k = features.train.y, len(classes)
    groups = load_groups(config.split.groups, len(y))
    fold_of = fold_rows(y, k, config, groups.of if groups else None, classes)
    strengths = list(config.cv.l2)
    cells, resume = [Cell(**line) for line in journal.lines()], journal.state()
    kept: list[Solved] = []
    if resume is not None:
        kept = _unpack(cells, resume) if cells and config.model.calibrate else []
        yield Recalled(list(cells))
    weighting = load_weighting(config.model.class_weight, classes)
    for event in fold_cells(features, fold_of, k, config, weighting, resume):
        if isinstance(event, Progress):
            journal.keep(None, _snapshot(event.snapshot, kept))
            yield event
            continue
        cells.append(event.cell)
        if config.model.calibrate:
            kept.append(replace(event, W=event.W.astype(np.float32), b=event.b.astype(np.float32)))
        journal.keep(asdict(event.cell), _snapshot(event.snapshot, kept))
        yield event.cell
    by_place = {(cell.l2, cell.fold): cell.val_accuracy for cell in cells}
    accuracy = [[by_place[l2, fold] for fold in range(config.cv.folds)] for l2 in strengths]
    choice = choose(strengths, accuracy)
    l2 = chosen_l2(choice, config)

    cell_began = time.perf_counter()
    everything = make_problem(features, np.arange(len(y)), l2, k, config, weighting)
    *_, final = iterates(everything, config)
    bound, seconds = proven_gap(everything, final), time.perf_counter() - cell_began
    cells.append(make_cell(None, everything.l2, final, bound, (None, None), [], seconds))
    yield cells[-1]
    model = make_model(everything, final.W, final.b, classes, features.key)
    if config.model.calibrate:
        solved = [one for one in kept if one.cell.l2 == l2]
        temperature = fit_temperature(held_out_scores(features.train.X, y, fold_of, k, solved), y)
        model = replace(model, temperature=temperature, calibrated=True)
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
        "test_loss": known(test_loss),
        "temperature": model.temperature if model.calibrated else None,
        "objective": final.at.value,
        "gradient_norm": final.at.gradient_norm,
        "gap_bound": cells[-1].gap_bound,
        "converged": all(cell.converged for cell in cells),
        "seconds": time.perf_counter() - began,
    }
    return Outcome(metrics, [asdict(cell) for cell in cells], model)


def _snapshot(inner: Snapshot | None, kept: list[Solved]) -> Snapshot | None:
    """The snapshot of the cells, with the weights that a calibration will want."""
    if inner is None or not kept:
        return inner

    def snapshot() -> State:
        state = inner()
        stacks = {"W": [one.W for one in kept], "b": [one.b for one in kept]}
        stacks |= {name: [getattr(one.scaling, name) for one in kept] for name in ("mean", "factor")}
        tensors = {f"kept_{name}": np.stack(arrays) for name, arrays in stacks.items()}
        return State({**state.tensors, **tensors}, state.facts)

    return snapshot


def _unpack(cells: list[Cell], state: State) -> list[Solved]:
    mean, factor, W, b = (state.tensors[f"kept_{name}"] for name in ("mean", "factor", "W", "b"))
    return [Solved(cell, Scaling(mean[i], factor[i]), W[i], b[i]) for i, cell in enumerate(cells)]


def held_out_scores(X: AnyRows, y: Array, fold_of: Array, k: int, solved: list[Solved]) -> Array:
    """Scores (n, k) of every row of X (n, d), each by the fit of the fold that held it out."""
    scores = np.empty((len(y), k), work_dtype(X))
    for one in solved:
        rows = np.flatnonzero(fold_of == one.cell.fold)
        scores[rows] = part_scores(Part(X, rows, y[rows], one.scaling), one.W, one.b)
    return scores
