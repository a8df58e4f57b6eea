"""Shapes and data that nobody tuned for: correct, and the same in train and cv."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig, SplitConfig
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.learn.objective import Problem, objective
from linclass_cli.learn.solvers import SOLVERS
from tests.learn.conftest import blobs, plain_part
from tests.learn.test_fit import features_of, run
from tests.tiers import few

LOSSES = ("softmax", "hinge", "squared-hinge", "ridge")
SHAPES = [
    (60, 1, 2),
    (50, 10, 3),
    (50, 324, 10),
    (400, 5, 100),
    (2100, 8, 1000),
    (60, 20_000, 3),
]


def solver_of(loss: str) -> SolverConfig:
    return SolverConfig(name="smoothed" if loss == "hinge" else "auto")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "d", "k"), few(SHAPES, 3))
def test_train_on_any_shape(loss, n, d, k):
    X, y = blobs(n, d, k)
    c = Config(
        solver=solver_of(loss), model=ModelConfig(loss=loss, l2=0.1), split=SplitConfig(val_fraction=0)
    )
    steps, outcome = run(train(features_of(X, y, X, y), tuple(map(str, range(k))), c))
    m = outcome.metrics
    assert m["converged"], m
    assert m["gap_bound"] <= 1e-3
    assert m["test_accuracy"] == pytest.approx(m["train_accuracy"], abs=1.5 / n)
    assert np.isfinite([step.objective for step in steps]).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "d", "k"), few([(50, 100, 3), (60, 1, 2), (300, 5, 100), (60, 3000, 3)]))
def test_cv_on_any_shape(loss, n, d, k):
    X, y = blobs(n, d, k)
    c = Config(solver=solver_of(loss), model=ModelConfig(loss=loss), cv=CvConfig(folds=2, l2=(0.1, 1.0)))
    _, outcome = run(cross_validate(features_of(X, y, X, y), tuple(map(str, range(k))), c))
    assert outcome.metrics["converged"]


@pytest.mark.parametrize("loss", LOSSES)
def test_duplicated_and_constant_features(loss):
    X, y = blobs(400, 4, 3)
    wide = np.concatenate([X, X, np.full((400, 2), 7, np.float32)], axis=1)
    values = []
    for l2, features in ((0.1, X), (0.2, wide)):
        # Each pair shares the weight of one: half the penalty.
        problem = Problem(plain_part(features, y, "standard"), loss, l2, 3)
        solver = {"hinge": "smoothed", "ridge": "closed"}.get(loss, "newton")
        options = {"duality_gap": 1e-4} if loss == "hinge" else {}
        *_, last = SOLVERS[solver](problem, **options)
        assert last.converged
        values.append(last.at.value)
        np.testing.assert_allclose(last.W[:, 8:], 0, atol=1e-6)
    assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_float64_features_are_solved_in_float64(loss):
    X, y = blobs(500, 6, 3, dtype=np.float64)
    X = X + 1e4  # in float32 too large a mean for what varies
    problem = Problem(plain_part(X, y, "standard"), loss, 0.01, 3)
    solver = {"hinge": "smoothed", "ridge": "closed"}.get(loss, "newton")
    options = {"duality_gap": 1e-4} if loss == "hinge" else {} if loss == "ridge" else {"gap": 1e-12}
    *_, last = SOLVERS[solver](problem, **options)
    assert last.converged
    plain = Problem(plain_part((X - X.mean(axis=0)) / X.std(axis=0), y), loss, 0.01, 3)
    assert objective(plain, last.W, last.b).value == pytest.approx(last.at.value, rel=1e-9)
