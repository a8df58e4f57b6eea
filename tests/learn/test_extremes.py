"""Every solver on features of any scale: it converges, or says that it did not, or gives one clear error.

Never NaN, a traceback or a warning; and what a scaling takes away changes no bit of what is learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig
from linclass_cli.errors import InputError
from linclass_cli.learn import gram
from linclass_cli.learn.cells import Cell
from linclass_cli.learn.crossval import cross_validate, fold_rows
from linclass_cli.learn.fit import train
from linclass_cli.learn.objective import Problem, evaluate, objective
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.learn.solvers import SOLVERS
from tests.learn.conftest import blobs, plain_part
from tests.learn.test_fit import features_of, run
from tests.tiers import slow

WAYS = (
    *((loss, "newton") for loss in ("softmax", "squared-hinge", "ridge")),
    *((loss, "lbfgs") for loss in ("softmax", "hinge", "squared-hinge", "ridge")),
    *((loss, "sgd") for loss in ("softmax", "hinge", "squared-hinge", "ridge")),
    ("hinge", "smoothed"),
    ("ridge", "closed"),
)
TROUBLES = ("all", "one column", "constant", "nearly constant", "outlier", "offset", "each column")
dtypes = st.sampled_from([np.float32, np.float64])
a_few = settings(max_examples=settings().max_examples // 4)  # of what is tried for each way to solve


@dataclass(frozen=True)
class Case:
    """Features with some trouble in them, and what is fitted to them."""

    trouble: str
    tens: float
    scale: str
    way: tuple[str, str]
    l2: float = 1e-3
    dtype: type = np.float32
    n: int = 60
    d: int = 5
    k: int = 3
    rare: bool = False
    seed: int = 1

    def features(self):
        """X (n, d), y (n,)."""
        X, y = blobs(self.n, self.d, self.k, self.seed, np.float64)
        rng, far = np.random.default_rng(self.seed), 10.0**self.tens
        if self.trouble == "all":
            X *= far
        elif self.trouble == "one column":
            X[:, 0] *= far
        elif self.trouble == "constant":
            X[:, 0] = far
        elif self.trouble == "nearly constant":
            X[:, 0] = far * (1 + 1e-13 * rng.normal(size=self.n))
        elif self.trouble == "outlier":
            X[rng.integers(self.n), 0] = far
        elif self.trouble == "offset":
            X += far
        else:
            X *= 10.0 ** rng.uniform(-abs(self.tens), abs(self.tens), self.d)
        if self.rare:  # the others have as few images as any part must have
            y = np.where(rng.random(self.n) < 0.8, 0, y)
            y[: 4 * self.k] = np.arange(4 * self.k) % self.k
        return X.astype(self.dtype), y

    def config(self):
        loss, solver = self.way
        limits = {"epochs": 3} if solver == "sgd" else {"max_iterations": 60}
        return Config(
            model=ModelConfig(loss=loss, l2=self.l2, scale=self.scale),
            solver=SolverConfig(name=solver, **limits),
            cv=CvConfig(folds=2, l2=(1e-3, 1.0)),
        )


@st.composite
def cases(draw):
    k = draw(st.integers(2, 6))
    return Case(
        draw(st.sampled_from(TROUBLES)),
        draw(st.floats(-30, 30)),
        draw(st.sampled_from(["standard", "range", "none"])),
        draw(st.sampled_from(WAYS)),
        draw(st.sampled_from([0.0, 1e-3, 1.0])),
        draw(dtypes),
        draw(st.integers(8 * k, 90)),
        draw(st.integers(1, 70)),
        k,
        draw(st.booleans()),
        draw(st.integers(0, 2**32 - 1)),
    )


def assert_ends_well(start, case):
    X, y = case.features()
    try:
        events, outcome = run(start(features_of(X, y, X, y), tuple("abcdef"[: case.k]), case.config()))
    except InputError as error:
        # Scaled features are never too large for a fit.
        if case.scale != "none" or "\n" in str(error):
            raise
        return
    m = outcome.metrics
    assert np.isfinite([m["objective"], m["gradient_norm"], m["train_accuracy"], m["test_accuracy"]]).all()
    assert m["test_loss"] is None or np.isfinite(m["test_loss"])
    assert np.isfinite(outcome.model.weight).all()
    assert np.isfinite(outcome.model.bias).all()
    for event in events:
        assert np.isfinite(getattr(event, "objective", 0.0))
    assert m["gap_bound"] is None or m["gap_bound"] >= 0


# What was found by these properties, or is feared most.
@example(Case("all", 30, "none", ("softmax", "newton")))
@example(Case("each column", 30, "none", ("hinge", "smoothed")))
@example(Case("all", 12, "none", ("ridge", "sgd"), dtype=np.float64))
@example(Case("outlier", 30, "standard", ("squared-hinge", "newton")))
@example(Case("outlier", 30, "none", ("ridge", "closed"), seed=3))
@example(Case("constant", 30, "standard", ("softmax", "lbfgs"), dtype=np.float64))
@example(Case("constant", 0, "standard", ("hinge", "lbfgs"), n=16, d=1, k=2, rare=True))
@example(Case("nearly constant", 30, "standard", ("ridge", "lbfgs"), dtype=np.float64))
@given(cases())
def test_a_fit_ends_well(case):
    assert_ends_well(train, case)


@example(Case("all", 30, "none", ("squared-hinge", "newton")))
@example(Case("outlier", 30, "standard", ("ridge", "closed")))
@given(cases().filter(lambda case: case.way != ("softmax", "sgd")))
def test_a_cross_validation_ends_well(case):
    assert_ends_well(cross_validate, case)


@slow
@pytest.mark.parametrize("most_factor", [0, 1000], ids=["diagonal", "factor"])
@a_few
@given(cases().filter(lambda case: case.way[1] in ("newton", "smoothed")))
def test_newton_ends_well_as_with_many_features(most_factor, case):
    with mock.patch.multiple(gram, MOST_EIGEN=0, MOST_FACTOR=most_factor):
        assert_ends_well(train, case)
        assert_ends_well(cross_validate, case)


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
@pytest.mark.parametrize("scale", ["standard", "range"])
@pytest.mark.parametrize("far", [1e6, 1e12, 1e30])
def test_an_outlier_in_one_fold_leaves_the_others_alone(loss, scale, far):
    """The folds share what they compute; each must still end where a fit on it alone does."""
    X, y = blobs(300, 4, 3)
    X[7, 1], X[11, 2] = far, -far
    c = Config(model=ModelConfig(loss=loss, scale=scale), cv=CvConfig(folds=3, l2=(1e-2, 1.0)))
    fold_of = fold_rows(y, 3, c, None)
    events, outcome = run(cross_validate(features_of(X, y, X, y), tuple("abc"), c))
    assert outcome.metrics["converged"]
    cells = [event for event in events if isinstance(event, Cell) and event.fold is not None]
    for cell in cells:
        part = plain_part(X, y).take(np.flatnonzero(fold_of != cell.fold))
        part = replace(part, scaling=fit_scaling(scale, X, part.rows))
        *_, last = SOLVERS[c.solver_name](Problem(part, loss, cell.l2, 3))
        assert cell.objective == pytest.approx(last.at.value, rel=2e-5)
        held = replace(part, rows=np.flatnonzero(fold_of == cell.fold), y=y[fold_of == cell.fold])
        assert cell.val_accuracy == pytest.approx(evaluate(held, loss, last.W, last.b)[1], abs=0.03)


@pytest.mark.parametrize(("loss", "solver"), WAYS)
@pytest.mark.parametrize("scale", ["standard", "range"])
@a_few
@given(p=st.integers(-95, 95), dtype=dtypes)
def test_what_scaling_takes_away_changes_no_bit(loss, solver, scale, p, dtype):
    """Features times a power of two are scaled to the same bits: all that follows is the same."""
    X, y = blobs(70, 7, 3, dtype=dtype)
    options = {"epochs": 2} if solver == "sgd" else {"max_iterations": 30} if solver != "closed" else {}
    rows, ends = np.arange(70), []
    for features in (X, X * X.dtype.type(2.0**p)):
        part = plain_part(features, y, scale)
        *_, last = SOLVERS[solver](Problem(part, loss, 1e-2, 3), **options)
        ends.append((last.at.value, last.converged, last.W.tobytes(), last.b.tobytes()))
    assert ends[0] == ends[1]
    one, other = fit_scaling(scale, X, rows), fit_scaling(scale, X * X.dtype.type(2.0**p), rows)
    np.testing.assert_array_equal(one.factor, other.factor * 2.0**p)


@pytest.mark.parametrize(("loss", "solver"), WAYS)
@a_few
@given(n=st.integers(1, 40), d=st.integers(1, 40), k=st.integers(2, 30), seed=st.integers(0, 999))
def test_few_rows_and_classes_without_any(loss, solver, n, d, k, seed):
    """Even one row of one column: what is minimised ends at or below where it began."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)).astype(np.float32), rng.integers(0, rng.integers(1, k + 1), n)
    options = {"epochs": 2} if solver == "sgd" else {"max_iterations": 40} if solver != "closed" else {}
    problem = Problem(plain_part(X, y, "standard"), loss, 1e-2, k)
    *_, last = SOLVERS[solver](problem, **options)
    start = objective(problem, np.zeros((k, d)), np.zeros(k)).value
    assert np.isfinite(last.W).all()
    assert np.isfinite(last.b).all()
    assert last.at.value <= start * (1 + 1e-3)
    assert objective(problem, last.W, last.b).value == pytest.approx(last.at.value, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("scale", ["standard", "range"])
@a_few
@given(tens=st.floats(-30, 30), dtype=dtypes)
def test_scaled_features_are_never_far_from_one(trouble, scale, tens, dtype):
    X, _ = Case(trouble, tens, scale, WAYS[0], dtype=dtype).features()
    rows = np.arange(len(X))
    s = fit_scaling(scale, X, rows)
    Z = (X - s.mean.astype(dtype)) * s.factor.astype(dtype)
    assert np.abs(Z).max() <= np.sqrt(len(X)) + 1e-3
