"""Fits and cross-validations on small features, fold by fold against scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig, SplitConfig
from linclass_cli.errors import InputError
from linclass_cli.learn.cells import Cell, Progress
from linclass_cli.learn.crossval import choose, cross_validate
from linclass_cli.learn.fit import evaluate_model, fit, make_problem, train
from linclass_cli.learn.objective import Part, evaluate
from linclass_cli.learn.solvers import SOLVERS
from linclass_cli.learn.splits import assign_folds, hold_out
from linclass_cli.store import Block, Features
from tests.learn.conftest import blobs

CLASSES = ("a", "b", "c")


def features(n: int = 300, d: int = 6, seed: int = 0, noise_labels: float = 0.0) -> Features:
    X, y = blobs(n + 90, d, 3, seed)
    rng = np.random.default_rng(seed)
    flip = rng.random(n) < noise_labels
    y[:n][flip] = rng.integers(0, 3, flip.sum())
    return features_of(X[:n], y[:n], X[n:], y[n:])


def features_of(X, y, X_test, y_test) -> Features:
    return Features(Block(X, y), Block(X_test, y_test), "k" * 64, {}, Path("nowhere"))


def config(loss: str = "softmax", solver: str = "auto", **sections) -> Config:
    return Config(model=ModelConfig(loss=loss, l2=0.01), solver=SolverConfig(name=solver), **sections)


def run(generator):
    seen = []
    while True:
        try:
            seen.append(next(generator))
        except StopIteration as end:
            return seen, end.value


def validate(f: Features, c: Config):
    events, outcome = run(cross_validate(f, CLASSES, c))
    return [event for event in events if isinstance(event, Cell)], outcome


@pytest.mark.parametrize(
    ("loss", "solver"),
    [
        ("softmax", "lbfgs"),
        ("hinge", "sgd"),
        ("hinge", "smoothed"),
        ("squared-hinge", "lbfgs"),
        ("ridge", "closed"),
        ("softmax", "sgd"),
    ],
)
def test_train_learns_and_reports(loss, solver):
    f = features()
    steps, outcome = run(train(f, CLASSES, config(loss, solver)))
    m = outcome.metrics
    assert m["solver"] == solver
    assert m["n_train"] + m["n_val"] == 300
    assert m["n_val"] == 60
    assert m["test_accuracy"] > 0.75
    assert [step.iteration for step in steps] == [line["iteration"] for line in outcome.history]
    assert evaluate_model(outcome.model, f.test.X, f.test.y) == (m["test_loss"], m["test_accuracy"])
    assert m["converged"] is (solver != "sgd")


def test_the_kept_weights_are_those_of_the_best_validation_step():
    """Not of the last step, not an alias of weights that later steps change."""
    f = features(120, noise_labels=0.6)
    c = replace(config(), solver=SolverConfig(name="sgd", learning_rate=0.5, epochs=40))
    steps, outcome = run(train(f, CLASSES, c))
    accuracies = [step.val_accuracy for step in steps]
    best = int(np.argmax(accuracies))
    assert outcome.metrics["best_step"] == steps[best].iteration
    assert accuracies[-1] < accuracies[best]
    assert outcome.metrics["val_accuracy"] == accuracies[best]
    _, held = hold_out(f.train.y, 0.2, 0)
    model = outcome.model
    problem = make_problem(f, hold_out(f.train.y, 0.2, 0)[0], 0.01, 3, c)
    part = Part(f.train.X, held, f.train.y[held], problem.part.scaling)
    assert evaluate(part, "softmax", model.weight, model.bias)[1] == accuracies[best]


def test_without_validation_the_last_step_is_kept():
    _, outcome = run(train(features(), CLASSES, config(split=SplitConfig(val_fraction=0.0))))
    m = outcome.metrics
    assert m["val_accuracy"] is None
    assert m["val_loss"] is None
    assert m["n_train"] == 300
    assert m["best_step"] == m["steps"]


def test_validation_is_scaled_by_the_training_part():
    f = features()
    f.train.X[:] = f.train.X * 10 + 5
    rows, held = hold_out(f.train.y, 0.2, 0)
    before = make_problem(f, rows, 0.01, 3, config()).part.scaling
    f.train.X[held] = 1e3
    after = make_problem(f, rows, 0.01, 3, config()).part.scaling
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.factor, after.factor)


def test_the_test_part_decides_nothing():
    f = features()
    _, one = run(train(f, CLASSES, config()))
    f.test.X[:] = 0
    _, two = run(train(f, CLASSES, config()))
    np.testing.assert_array_equal(one.model.weight, two.model.weight)
    assert one.metrics["test_accuracy"] != two.metrics["test_accuracy"]


def test_a_model_refuses_features_of_another_size():
    f = features()
    _, outcome = run(train(f, CLASSES, config()))
    with pytest.raises(InputError, match="wants 6 features, and there are 4"):
        evaluate_model(outcome.model, f.test.X[:, :4], f.test.y)


def test_a_class_without_images_is_an_error():
    with pytest.raises(InputError, match="class d has no image in the training part"):
        run(train(features(), (*CLASSES, "d"), config()))


@pytest.mark.parametrize("loss", ["softmax", "ridge"])
def test_cv_equals_scikit_learn_fold_by_fold(loss):
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    f = features(210, noise_labels=0.3)
    X, y = f.train.X.astype(np.float64), f.train.y
    strengths = (1e-3, 1e-1, 1.0)
    c = config(loss, cv=CvConfig(folds=3, l2=strengths))
    cells, outcome = validate(f, c)
    assert len(cells) == 10
    assert outcome.metrics["converged"]
    fold_of = assign_folds(y, 3, 0)
    for i, l2 in enumerate(strengths):
        for fold in range(3):
            fitting, held = fold_of != fold, fold_of == fold
            scaler = StandardScaler().fit(X[fitting])
            n = fitting.sum()
            if loss == "softmax":
                peer = LogisticRegression(C=1 / (n * l2), tol=1e-8, max_iter=5000)
            else:
                peer = RidgeClassifier(alpha=l2 * n)
            peer.fit(scaler.transform(X[fitting]), y[fitting])
            want = peer.score(scaler.transform(X[held]), y[held])
            assert outcome.metrics["fold_accuracy"][i][fold] == pytest.approx(want, abs=1.01 / held.sum())


@pytest.mark.parametrize("scale", ["standard", "none"])
@pytest.mark.parametrize("loss", ["softmax", "hinge", "squared-hinge", "ridge"])
def test_a_cell_of_cv_is_what_a_fit_on_that_fold_gives(loss, scale):
    f = features(200, noise_labels=0.2)
    c = config(loss, "smoothed" if loss == "hinge" else "auto", cv=CvConfig(folds=4, l2=(1e-4, 1e-2)))
    c = replace(c, model=replace(c.model, scale=scale))
    cells, outcome = validate(f, c)
    assert len(cells) == 9
    assert outcome.metrics["converged"]
    fold_of = assign_folds(f.train.y, 4, 0)
    for cell in cells[:-1]:
        problem = make_problem(f, np.flatnonzero(fold_of != cell.fold), cell.l2, 3, c)
        *_, last = SOLVERS[c.solver_name](problem, **c.solver.options(c.solver_name))
        assert cell.objective == pytest.approx(last.at.value, rel=1e-5)
        held = np.flatnonzero(fold_of == cell.fold)
        part = Part(f.train.X, held, f.train.y[held], problem.part.scaling)
        assert cell.val_accuracy == pytest.approx(evaluate(part, loss, last.W, last.b)[1], abs=0.021)
        assert cell.curve[-1] == cell.val_accuracy
        assert cell.gap_bound <= (1e-3 if loss == "hinge" else 1e-4)


def test_cv_shows_the_validation_curve_of_every_fold_as_it_goes():
    f = features(200)
    events, _ = run(cross_validate(f, CLASSES, config(cv=CvConfig(folds=3, l2=(1e-2, 1e-1)))))
    steps = [event for event in events if isinstance(event, Progress)]
    cells = [event for event in events if isinstance(event, Cell)]
    for cell in cells[:-1]:
        assert cell.curve == [s.val_accuracy[cell.fold] for s in steps if s.l2 == cell.l2]


def test_a_class_that_a_fold_has_all_of_is_an_error():
    f = features(30)
    f.train.y[:] = np.where(f.train.y == 2, 0, f.train.y)
    f.train.y[4] = 2
    folds = CvConfig(folds=3)
    with pytest.raises(InputError, match="class c has 1 image, fewer than the 3 folds"):
        run(cross_validate(f, CLASSES, config(cv=folds)))
    with pytest.raises(InputError, match="class c has no image in the training part of fold"):
        run(cross_validate(f, CLASSES, config(cv=folds, split=SplitConfig(stratify=False))))


def test_cv_refits_on_everything_with_the_best_strength():
    f = features(200)
    c = config(cv=CvConfig(folds=4, l2=(1e-3, 10.0)))
    cells, outcome = validate(f, c)
    m = outcome.metrics
    assert cells[-1].fold is None
    assert cells[-1].l2 == m["best_l2"]
    problem = make_problem(f, np.arange(200), m["best_l2"], 3, c)
    *_, last = SOLVERS["newton"](problem)
    np.testing.assert_array_equal(outcome.model.weight, last.W.astype(np.float32))
    assert evaluate_model(outcome.model, f.test.X, f.test.y)[1] == m["test_accuracy"]


def test_the_choices_of_a_strength():
    strengths = [0.01, 0.1, 1.0, 10.0]
    accuracy = [[0.70, 0.80], [0.78, 0.82], [0.77, 0.81], [0.50, 0.60]]
    got = choose(strengths, accuracy)
    assert got["mean_accuracy"] == pytest.approx([0.75, 0.80, 0.79, 0.55])
    assert got["std_error"] == pytest.approx([0.05, 0.02, 0.02, 0.05])
    assert got["best_l2"] == 0.1
    assert got["one_se_l2"] == 1.0
    assert choose([1.0, 2.0], [[0.5, 0.6], [0.6, 0.5]])["best_l2"] == 2.0


def test_steps_arrive_one_by_one():
    f = features()
    c = config()
    problem = make_problem(f, np.arange(300), 0.01, 3, c)
    steps = fit(problem, None, c, CLASSES, "k")
    first = next(steps)
    assert first.iteration == 0
    assert first.objective == pytest.approx(np.log(3))
