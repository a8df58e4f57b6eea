"""Weights of classes in every pass, solver, bound and fold: against twins, repeated images, scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from linclass_cli.class_weights import Weighting
from linclass_cli.config_sections import CvConfig, ModelConfig
from linclass_cli.learn.bounds import gap_bound, hinge_lower_bound
from linclass_cli.learn.cells import Cell
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import held_part, make_problem, train
from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.objective import Part, Problem, curvature, evaluate, objective, times_hessian
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.learn.solvers import SOLVERS, closed, lbfgs, newton, sgd, smoothed
from linclass_cli.learn.splits import assign_folds
from tests import naive
from tests.learn.conftest import blobs, plain_part
from tests.learn.test_fit import CLASSES, config, features_of, run

WEIGHTS = np.array([2.0, 1.0, 3.0])


def uneven(n: int, d: int, seed: int = 0, dtype=np.float64):
    """Three classes of which the first has most images, and the last few."""
    X, y = blobs(3 * n, d, 3, seed, dtype, spread=0.6)
    keep = np.random.default_rng(seed).random(3 * n) < np.array([1.0, 0.5, 0.2])[y]
    keep[:3] = True
    return X[keep], y[keep]


def weighed(X, y, weights=WEIGHTS) -> Part:
    return replace(plain_part(X, y), class_weights=weights)


def repeated(X, y) -> Part:
    """Every image as often as its weight says."""
    times = WEIGHTS[y].astype(int)
    return plain_part(np.repeat(X, times, axis=0), np.repeat(y, times))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("n", [4, 40, 700])
def test_pass_equals_its_twin(loss, n):
    X, y = uneven(n, 5)
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(3, 5)), rng.normal(size=3)
    weights = np.array([0.3, 1.7, 2.5])
    at = objective(Problem(weighed(X, y, weights), loss, 0.1, 3), W, b)
    value, dW, db, accuracy = naive.objective(X, y, W, b, loss, 0.1, weights)
    assert at.value == pytest.approx(value, rel=1e-10)
    assert at.accuracy == accuracy
    np.testing.assert_allclose(at.dW, dW, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(at.db, db, rtol=1e-9, atol=1e-11)
    assert evaluate(weighed(X, y, weights), loss, W, b)[0] == pytest.approx(at.mean_loss, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_2_is_every_image_twice(loss):
    X, y = uneven(60, 4)
    rng = np.random.default_rng(1)
    W, b, V, v = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(3, 4)), rng.normal(size=3)
    part, twin = weighed(X, y), repeated(X, y)
    per = len(y) / twin.m  # means are over the images that there are
    width = 1.0 if loss == "hinge" else 0.0
    at = objective(Problem(part, loss, 0.0, 3, width=width), W, b)
    want = objective(Problem(twin, loss, 0.0, 3, width=width), W, b)
    assert at.value * per == pytest.approx(want.value, rel=1e-11)
    np.testing.assert_allclose(at.dW * per, want.dW, rtol=1e-9, atol=1e-12)
    Q, mean = curvature(part, loss, W, b, width)
    Q_twin, mean_twin = curvature(twin, loss, W, b, width)
    np.testing.assert_allclose(mean * per, mean_twin, rtol=1e-9, atol=1e-12)
    for got, wanted in zip(
        times_hessian(part, loss, Q, V, v), times_hessian(twin, loss, Q_twin, V, v), strict=True
    ):
        np.testing.assert_allclose(got * per, wanted, rtol=1e-9, atol=1e-12)
    assert part.masses(3).tolist() == twin.masses(3).tolist()


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_of_1_change_no_bit(loss):
    X, y = uneven(700, 6, dtype=np.float32)
    W, b = np.random.default_rng(0).normal(size=(3, 6)), np.zeros(3)
    plain = objective(Problem(plain_part(X, y), loss, 0.1, 3), W, b)
    ones = objective(Problem(weighed(X, y, np.ones(3)), loss, 0.1, 3), W, b)
    assert plain.value == ones.value
    assert plain.dW.tobytes() == ones.dW.tobytes()


@pytest.mark.parametrize(
    ("loss", "solver"),
    [
        ("softmax", newton),
        ("squared-hinge", newton),
        ("ridge", newton),
        ("ridge", closed),
        ("hinge", smoothed),
    ],
)
def test_solvers_meet_the_optimum_of_the_repeated_images(loss, solver):
    X, y = uneven(100, 4)
    twin = repeated(X, y)
    l2 = 0.05
    *_, last = solver(Problem(weighed(X, y), loss, l2, 3))
    *_, want = solver(Problem(twin, loss, l2 * len(y) / twin.m, 3))
    assert last.converged
    tolerance = 2e-3 if loss == "hinge" else 2e-5
    assert last.at.value * len(y) / twin.m == pytest.approx(want.at.value, rel=tolerance)
    if loss != "hinge":
        *_, other = lbfgs(Problem(weighed(X, y), loss, l2, 3), tolerance=1e-8)
        np.testing.assert_allclose(last.W, other.W, atol=2e-2 if solver is newton else 1e-6)


def test_ridge_of_fewer_images_than_features():
    X, y = uneven(8, 40)
    *_, last = closed(Problem(weighed(X, y), "ridge", 0.1, 3))
    *_, want = lbfgs(Problem(weighed(X, y), "ridge", 0.1, 3), tolerance=1e-9)
    np.testing.assert_allclose(last.W, want.W, atol=1e-6)
    np.testing.assert_allclose(last.b, want.b, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_equals_its_twin(loss):
    X, y = uneven(20, 4)
    rate = 1e-2
    (one,) = sgd(Problem(weighed(X, y), loss, 0.01, 3), rate, momentum=0.3, batch_size=10, epochs=1)
    rng = np.random.default_rng(0)
    W, b = rng.uniform(-1e-3, 1e-3, (3, 4)), np.zeros(3)
    order = rng.permutation(len(y))
    steps = np.zeros_like(W), np.zeros_like(b)
    W, b, *_ = naive.sgd_epoch(X, y, order, W, b, *steps, 10, loss, 0.01, rate, 0.3, WEIGHTS)
    np.testing.assert_allclose(one.W, W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.b, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_nothing_smooth_is_further_from_its_optimum_than_the_bound(loss):
    X, y = uneven(100, 5)
    problem = Problem(weighed(X, y), loss, 0.05, 3)
    *_, best = lbfgs(problem, tolerance=1e-10, max_iterations=5000)
    rng = np.random.default_rng(0)
    for size in (0.0, 1e-3, 1.0):
        W = best.W + size * rng.normal(size=best.W.shape)
        at = objective(problem, W, best.b)
        assert at.value - best.at.value <= gap_bound(problem, at, W, best.b) + 1e-12


@pytest.mark.parametrize("width", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("weights", [WEIGHTS, np.array([0.05, 20.0, 1.0])])
def test_the_hinge_is_nowhere_below_its_lower_bounds(width, weights):
    X, y = uneven(80, 4)
    problem = Problem(weighed(X, y, weights), "hinge", 0.1, 3)
    *_, best = smoothed(problem, duality_gap=1e-3)
    assert best.converged
    rng = np.random.default_rng(1)
    for size in (0.0, 1e-3, 0.1, 1.0):
        W = best.W + size * rng.normal(size=best.W.shape)
        lower = hinge_lower_bound(problem.part, 0.1, W, best.b, width)
        assert lower <= best.at.value * (1 + 1e-6)


def test_two_classes_are_a_weighted_svm_of_libsvm():
    from sklearn.svm import SVC

    X, y = blobs(250, 4, 2, dtype=np.float64, spread=0.5)
    weights, l2 = np.array([0.5, 3.0]), 0.05
    problem = Problem(weighed(X, y, weights), "hinge", l2, 2)
    *_, last = smoothed(problem, duality_gap=1e-4)
    assert last.converged
    svm = SVC(kernel="linear", C=2 / (250 * l2), tol=1e-5, class_weight=dict(enumerate(weights))).fit(X, y)
    u = svm.coef_[0]
    want = objective(problem, np.stack([-u / 2, u / 2]), np.array([-0.5, 0.5]) * svm.intercept_[0]).value
    assert last.at.value == pytest.approx(want, rel=3e-4)


@pytest.mark.parametrize("ratio", [10, 100])
def test_a_class_that_outweighs_what_cannot_be_told_apart(ratio):
    X, y = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    part = weighed(X, y, np.array([ratio**0.5, ratio**-0.5]))
    *_, last = smoothed(Problem(part, "hinge", 1e-3, 2))
    assert last.converged  # the first steps of narrow kinks are 1e5 times as long as they should be
    # Weights of the features gain next to nothing; the bias says the heavy class: 2 a light image.
    assert last.at.value == pytest.approx(ratio**-0.5, rel=2e-3)


@pytest.mark.parametrize("weighting", [Weighting(None), Weighting(np.array([0.5, 2.0, 7.0]))])
@pytest.mark.parametrize("loss", ["softmax", "ridge"])
def test_scikit_learn_has_the_same_optimum(loss, weighting):
    from sklearn.linear_model import LogisticRegression, RidgeClassifier

    X, y = uneven(150, 4)
    weights, l2 = weighting.of(y, 3), 0.02
    balanced = "balanced" if weighting.given is None else dict(enumerate(weights))
    *_, last = (closed if loss == "ridge" else newton)(Problem(weighed(X, y, weights), loss, l2, 3))
    if loss == "softmax":
        peer = LogisticRegression(C=1 / (len(y) * l2), class_weight=balanced, tol=1e-10, max_iter=5000)
    else:
        peer = RidgeClassifier(alpha=l2 * len(y), class_weight=balanced)
    peer.fit(X, y)
    W, b = peer.coef_, peer.intercept_
    if loss == "ridge":  # on targets of -1 and 1
        W, b = W / 2, (b + 1) / 2
        np.testing.assert_allclose(last.W, W, atol=1e-6)
        np.testing.assert_allclose(last.b, b, atol=1e-6)
    else:
        want = objective(Problem(weighed(X, y, weights), loss, l2, 3), W, b).value
        assert last.at.value == pytest.approx(want, rel=1e-5)
        assert last.at.value >= want * (1 - 1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_all_folds_in_one_pass_are_each_fold_by_itself(loss):
    X, y = uneven(60, 5)
    fold_of = assign_folds(y, 3, 0)
    rows = [np.flatnonzero(fold_of != fold) for fold in range(3)]
    scalings = [fit_scaling("standard", X, r) for r in rows]
    weights = np.stack([Weighting(None).of(y[r], 3) for r in rows])
    problems = FoldProblems(X, y, fold_of, np.arange(3), scalings, loss, np.full(3, 0.1), 3, 0, weights)
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(3, 3, 5)), rng.normal(size=(3, 3))
    V, v = rng.normal(size=(3, 3, 5)), rng.normal(size=(3, 3))
    found = problems.values(np.array([2, 0, 1]), W[[2, 0, 1]], b[[2, 0, 1]])
    means = problems.bend(np.arange(3), W, b, 1.0)
    HV, Hv = problems.times(V, v)
    for i, fold in enumerate([2, 0, 1]):
        part = Part(X, rows[fold], y[rows[fold]], scalings[fold], weights[fold])
        want = objective(Problem(part, loss, 0.1, 3), W[fold], b[fold])
        assert found[i].value == pytest.approx(want.value, rel=1e-10)
        np.testing.assert_allclose(found[i].dW, want.dW, rtol=1e-9, atol=1e-10)
        held = np.flatnonzero(fold_of == fold)
        other = held_part(part, held, y[held])
        assert found[i].held == pytest.approx(evaluate(other, loss, W[fold], b[fold]), rel=1e-10)
        Q, mean = curvature(part, loss, W[fold], b[fold])
        np.testing.assert_allclose(means[fold], mean, rtol=1e-9, atol=1e-12)
        for got, wanted in zip(
            (HV[fold], Hv[fold]), times_hessian(part, loss, Q, V[fold], v[fold]), strict=True
        ):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
def test_cv_and_train_weigh_each_training_part_by_itself(loss):
    X, y = uneven(120, 5, dtype=np.float32)
    f = features_of(X[40:], y[40:], X[:40], y[:40])
    c = config(loss, "smoothed" if loss == "hinge" else "auto", cv=CvConfig(folds=3, l2=(0.02,)))
    c = replace(c, model=ModelConfig(loss=loss, l2=0.02, class_weight="balanced"))
    events, outcome = run(cross_validate(f, CLASSES, c))
    fold_of = assign_folds(f.train.y, 3, 0)
    for cell in (event for event in events if isinstance(event, Cell)):
        rows = np.flatnonzero(fold_of != (-1 if cell.fold is None else cell.fold))
        problem = make_problem(f, rows, 0.02, 3, c, Weighting(None))
        assert problem.part.masses(3) == pytest.approx(np.full(3, len(rows) / 3))
        *_, last = SOLVERS[c.solver_name](problem, **c.solver.options(c.solver_name))
        assert cell.objective == pytest.approx(last.at.value, rel=2e-3 if loss == "hinge" else 1e-5)
        assert cell.gap_bound <= (1e-3 if loss == "hinge" else 1e-4)
    assert list(outcome.metrics["class_weights"]) == list(CLASSES)
    _, trained = run(train(f, CLASSES, c))
    plain = replace(c, model=replace(c.model, class_weight=""))
    _, other = run(train(f, CLASSES, plain))
    assert trained.metrics["class_weights"]["c"] > 1 > trained.metrics["class_weights"]["a"]
    assert other.metrics["class_weights"] is None
    # What weights are for: more of the rare class are found.
    rare = [
        int((((f.test.X - m.mean) * m.factor) @ m.weight.T + m.bias).argmax(axis=1).tolist().count(2))
        for m in (trained.model, other.model)
    ]
    assert rare[0] >= rare[1]
