"""One fit: split, scale, solve, keep the best weights, and touch the test part once, at the end."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from linclass_cli.class_weights import Weighting, load_weighting
from linclass_cli.config import Config
from linclass_cli.errors import InputError
from linclass_cli.groups import load_groups
from linclass_cli.learn.bounds import gap_bound, relative
from linclass_cli.learn.journal import EMPTY, Journal, Recalled, Snapshot, State
from linclass_cli.learn.objective import Part, Problem, Value, evaluate, known
from linclass_cli.learn.scaling import Scaling, fit_scaling, weigh_parts
from linclass_cli.learn.solvers import SOLVERS, Iterate
from linclass_cli.learn.splits import check_classes, hold_out
from linclass_cli.learn.temperature import check_calibration, fit_temperature, part_scores
from linclass_cli.model import Model
from linclass_cli.runs import Outcome
from linclass_cli.store import Features


@dataclass(frozen=True)
class Step:
    """What one step of a solver reached. ``val_*`` are None without a validation part; losses are without l2.

    ``val_loss`` is None, too, where a feature is so far from those trained on that a score overflows.

    seconds: since the fit began.
    """

    iteration: int
    objective: float
    gradient_norm: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """A model (its weights a copy of the best validation step's) and how the solver ended.

    ``gap_bound``: the last objective's distance to the optimum at most, relative; None without a bound.
    """

    model: Model
    best: Step
    last: Step
    gap_bound: float | None
    converged: bool
    steps: list[Step]


def fit(
    problem: Problem,
    validation: Part | None,
    config: Config,
    classes: tuple[str, ...],
    feature_key: str,
    journal: Journal = EMPTY,
) -> Generator[Step | Recalled, None, Fitted]:
    """Run the configured solver on the problem, yielding a Step for each of its steps.

    Keeps, by value, the weights of the step with the best validation accuracy (the first of equals); without
    a validation part those of the last step. Goes on behind the steps of the journal.
    """
    began = time.perf_counter() - journal.seconds
    steps = [Step(**line) for line in journal.lines()]
    best = -1  # its position
    model: Model | None = None
    options = config.solver.options(config.solver_name)
    resume = journal.state()
    if resume is not None:
        options["resume"], best = resume, resume.facts["best"]
        model = make_model(problem, resume.tensors["best_W"], resume.tensors["best_b"], classes, feature_key)
        yield Recalled(list(steps))
    for iterate in SOLVERS[config.solver_name](problem, **options):
        candidate = make_model(problem, iterate.W, iterate.b, classes, feature_key)
        val = evaluate(validation, problem.loss, iterate.W, iterate.b) if validation else (None, None)
        step = _step(iterate.iteration, iterate.at, val, time.perf_counter() - began)
        if steps and steps[-1].iteration == step.iteration:
            continue  # the last one again, with what is known of it by then
        steps.append(step)
        if model is None or val[1] is None or val[1] > (steps[best].val_accuracy or 0.0):
            best, model = len(steps) - 1, candidate
        journal.keep(asdict(step), _snapshot(iterate, best, model))
        yield step
    assert model is not None
    return Fitted(model, steps[best], steps[-1], proven_gap(problem, iterate), iterate.converged, steps)


def proven_gap(problem: Problem, last: Iterate) -> float | None:
    """The objective's distance to the optimum at most, relative: the solver's own proof, or another."""
    gap = last.gap if last.gap is not None else gap_bound(problem, last.at, last.W, last.b)
    return relative(gap, last.at.value)


def train(
    features: Features, classes: tuple[str, ...], config: Config, journal: Journal = EMPTY
) -> Generator[Step | Recalled, None, Outcome]:
    """What the command ``train`` does between the features and the run record."""
    began = time.perf_counter() - journal.seconds
    check_calibration(config)
    y, k = features.train.y, len(classes)
    groups = load_groups(config.split.groups, len(y))
    split = config.split
    rows, held = hold_out(y, split.val_fraction, config.seed, split.stratify, groups.of if groups else None)
    check_classes(y[rows], k, "the training part", classes)
    weighting = load_weighting(config.model.class_weight, classes)
    problem = make_problem(features, rows, config.model.l2, k, config, weighting)
    validation = held_part(problem.part, held, y[held]) if len(held) else None
    fitted = yield from fit(problem, validation, config, classes, features.key, journal)
    model = fitted.model
    if config.model.calibrate and validation is not None:
        temperature = fit_temperature(part_scores(validation, model.weight, model.bias), validation.y)
        model = replace(model, temperature=temperature, calibrated=True)
    weights = problem.part.class_weights
    test_loss, test_accuracy = evaluate_model(model, features.test.X, features.test.y, weights)
    metrics = {
        "loss": config.model.loss,
        "solver": config.solver_name,
        "l2": config.model.l2,
        "n_train": len(rows),
        "n_val": len(held),
        "n_test": len(features.test.y),
        "groups": groups and groups.facts,
        "class_weights": None if weights is None else dict(zip(classes, weights.tolist(), strict=True)),
        "train_accuracy": fitted.best.train_accuracy,
        "val_accuracy": fitted.best.val_accuracy,
        "test_accuracy": test_accuracy,
        "train_loss": fitted.best.train_loss,
        "val_loss": fitted.best.val_loss,
        "test_loss": known(test_loss),
        "temperature": model.temperature if model.calibrated else None,
        "best_step": fitted.best.iteration,
        "steps": fitted.last.iteration,
        "objective": fitted.last.objective,
        "gradient_norm": fitted.last.gradient_norm,
        "gap_bound": fitted.gap_bound,
        "converged": fitted.converged,
        "seconds": time.perf_counter() - began,
    }
    return Outcome(metrics, [asdict(step) for step in fitted.steps], model)


def make_problem(
    features: Features, rows: Any, l2: float, k: int, config: Config, weighting: Weighting | None = None
) -> Problem:
    """The problem of the given training rows, with a scaling, and class weights, learned from them alone."""
    X, y = features.train.X, features.train.y
    scaling = weigh_parts(fit_scaling(config.model.scale, X, rows), features.parts, config.model.part_weights)
    weights = weighting.of(y[rows], k) if weighting else None
    return Problem(Part(X, rows, y[rows], scaling, weights), config.model.loss, l2, k, config.seed)


def held_part(trained: Part, rows: Any, y: Any) -> Part:
    """Other rows of the same features, scaled and weighed as those that were trained on; labels y (m,)."""
    return replace(trained, rows=rows, y=y)


def make_model(problem: Problem, W: Any, b: Any, classes: tuple[str, ...], feature_key: str) -> Model:
    """A model that owns float32 copies of the weights: no later step can change it.

    Raises InputError where they are beyond float32.
    """
    scaling = problem.part.scaling
    weight, bias = np.array(W, np.float32), np.array(b, np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError(
            f"the weights are beyond {np.finfo(np.float32).max:.1e}: scale the features, or raise l2"
        )
    return Model(
        weight=weight,
        bias=bias,
        mean=scaling.mean,
        factor=scaling.factor,
        classes=classes,
        loss=problem.loss,
        feature_key=feature_key,
    )


def evaluate_model(model: Model, X: Any, y: Any, class_weights: Any = None) -> tuple[float, float]:
    """(mean loss, accuracy) of a stored model on features X (n, d) and labels y (n,).

    The loss is that of the objective: weighed, where there are class_weights (k,).

    Raises InputError where the features are not those that the model was made for.
    """
    if X.shape[1] != model.weight.shape[1]:
        raise InputError(f"the model wants {model.weight.shape[1]} features, and there are {X.shape[1]}")
    part = Part(X, np.arange(len(y)), y, Scaling(model.mean, model.factor), class_weights)
    return evaluate(part, model.loss, model.weight, model.bias)


def _snapshot(iterate: Iterate, best: int, model: Model) -> Snapshot | None:
    """The solver's snapshot with the best step so far, its position and its model."""
    solver = iterate.snapshot
    if solver is None:
        return None

    def snapshot() -> State:
        state = solver()
        tensors = {**state.tensors, "best_W": model.weight, "best_b": model.bias}
        return State(tensors, {**state.facts, "best": best})

    return snapshot


def _step(iteration: int, at: Value, val: tuple[float | None, float | None], seconds: float) -> Step:
    return Step(
        iteration, at.value, at.gradient_norm, at.mean_loss, at.accuracy, known(val[0]), val[1], seconds
    )
