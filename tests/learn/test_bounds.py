"""What is proven of the distance to the optimum, against optima found by others."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.learn.bounds import _balance, gap_bound, hinge_lower_bound, relative
from linclass_cli.learn.objective import Problem, objective
from linclass_cli.learn.solvers import lbfgs, smoothed
from tests.learn.conftest import blobs, plain_part


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_nothing_smooth_is_further_from_its_optimum_than_the_bound(loss):
    X, y = blobs(300, 6, 4, dtype=np.float64)
    problem = Problem(plain_part(X, y), loss, 0.05, 4)
    *_, best = lbfgs(problem, tolerance=1e-10, max_iterations=5000)
    rng = np.random.default_rng(0)
    for size in (0.0, 1e-4, 1e-2, 1.0):
        W = best.W + size * rng.normal(size=best.W.shape)
        b = best.b + size * rng.normal(size=best.b.shape)
        at = objective(problem, W, b)
        bound = gap_bound(problem, at, W, b)
        assert at.value - best.at.value <= bound + 1e-12
    assert gap_bound(problem, best.at, best.W, best.b) < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [0.05, 0.5, 3.0])
def test_the_hinge_is_nowhere_below_its_lower_bounds(width, dtype):
    X, y = blobs(200, 5, 4, dtype=dtype)
    problem = Problem(plain_part(X, y), "hinge", 0.1, 4)
    *_, best = smoothed(problem, duality_gap=1e-5)
    rng = np.random.default_rng(1)
    for size in (0.0, 1e-3, 0.1, 1.0):
        W = best.W + size * rng.normal(size=best.W.shape)
        lower = hinge_lower_bound(problem.part, 0.1, W, best.b, width)
        assert lower <= best.at.value * (1 + 1e-6)


@pytest.mark.parametrize(("l2", "gap"), [(0.3, 1e-4), (0.01, 1e-4)])
def test_two_classes_are_an_svm_of_libsvm(l2, gap):
    """With u = w1 - w0: hinge(1 - t (u x + c)) and l2/4 ||u||^2, so C = 2 / (n l2)."""
    from sklearn.svm import SVC

    X, y = blobs(250, 4, 2, dtype=np.float64, spread=0.5)
    problem = Problem(plain_part(X, y), "hinge", l2, 2)
    *_, last = smoothed(problem, duality_gap=gap)
    assert last.converged
    svm = SVC(kernel="linear", C=2 / (250 * l2), tol=1e-8).fit(X, y)
    u = svm.coef_[0]
    want = objective(problem, np.stack([-u / 2, u / 2]), np.array([-0.5, 0.5]) * svm.intercept_[0]).value
    assert last.at.value == pytest.approx(want, rel=2 * gap)
    assert last.at.value - want <= last.gap + 1e-9
    np.testing.assert_allclose(last.W[1] - last.W[0], u, atol=0.02)


def test_more_classes_meet_the_gap_that_is_asked_for():
    X, y = blobs(1500, 10, 6)
    for gap in (1e-2, 1e-3, 1e-4):
        *_, last = smoothed(Problem(plain_part(X, y, "standard"), "hinge", 0.01, 6), duality_gap=gap)
        assert last.converged
        assert relative(last.gap, last.at.value) <= gap


def test_without_l2_nothing_is_proven():
    X, y = blobs(100, 3, 3)
    problem = Problem(plain_part(X, y), "hinge", 0.0, 3)
    *_, last = smoothed(problem, max_iterations=50)
    assert last.gap is None
    assert not last.converged
    assert gap_bound(problem, last.at, last.W, last.b) is None
    assert relative(None, 1.0) is None


@pytest.mark.parametrize("k", [2, 3, 7])
def test_balanced_flows_give_what_they_take(k):
    rng = np.random.default_rng(k)
    counts = np.full(k, 10)
    for scale in (0.1, 1.0, 5.0):
        flows = 5 + scale * rng.uniform(-1, 1, size=(k, k))
        np.fill_diagonal(flows, 0)
        less, more = _balance(flows, counts)
        even = flows * (1 - less)
        even += more * (counts[:, None] - even)
        np.testing.assert_allclose(even.sum(axis=0), even.sum(axis=1), rtol=1e-12)
        assert ((less >= 0) & (less <= 1) & (more >= 0) & (more <= 1)).all()
    nothing = np.zeros((k, k))
    np.testing.assert_array_equal(_balance(nothing, counts)[0], nothing)
    nothing[0, 1] = np.nan
    assert _balance(nothing, counts) is None
