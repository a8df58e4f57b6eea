"""One pass over X against its naive twin, finite differences, and itself with other threads and tiles."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.objective import Part, Problem, curvature, evaluate, objective, times_hessian
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.threads import use_threads
from tests import naive
from tests.learn.conftest import blobs, plain_part

SHAPES = [(1, 1, 2), (5, 3, 2), (13, 7, 3), (9, 700, 5), (70, 2, 11), (600, 5, 4)]


def weights(d: int, k: int, seed: int = 1):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=0.3, size=(k, d)), rng.normal(size=k)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_pass_equals_its_twin(loss, n, d, k):
    X, y = blobs(n, d, k, dtype=np.float64)
    W, b = weights(d, k)
    at = objective(Problem(plain_part(X, y), loss, 0.1, k), W, b)
    value, dW, db, accuracy = naive.objective(X, y, W, b, loss, 0.1)
    assert at.value == pytest.approx(value, rel=1e-11)
    assert at.accuracy == accuracy
    np.testing.assert_allclose(at.dW, dW, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(at.db, db, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_gradient_for_W_and_b_is_the_slope(loss, l2):
    """Central differences in float64; the bias must feel no l2."""
    X, y = blobs(23, 4, 3, dtype=np.float64)
    W, b = weights(4, 3)
    problem = Problem(plain_part(X, y), loss, l2, 3)
    at = objective(problem, W, b)
    h = 1e-5

    def slope(change_W, change_b):
        up = objective(problem, W + change_W, b + change_b).value
        return (up - objective(problem, W - change_W, b - change_b).value) / (2 * h)

    for c in range(3):
        unit = np.zeros(3)
        unit[c] = h
        assert at.db[c] == pytest.approx(slope(0 * W, unit), abs=1e-8)
        for j in range(4):
            step = np.zeros_like(W)
            step[c, j] = h
            assert at.dW[c, j] == pytest.approx(slope(step, 0 * b), abs=1e-8)


def test_float32_is_close_to_float64():
    X, y = blobs(2000, 50, 10)
    W, b = weights(50, 10)
    one = objective(Problem(plain_part(X, y), "softmax", 0.01, 10), W, b)
    two = objective(Problem(plain_part(X.astype(np.float64), y), "softmax", 0.01, 10), W, b)
    assert one.value == pytest.approx(two.value, rel=1e-7)
    np.testing.assert_allclose(one.dW, two.dW, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_threads_change_no_bit(loss):
    X, y = blobs(3000, 17, 5)
    W, b = weights(17, 5)
    problem = Problem(plain_part(X, y, "standard"), loss, 0.01, 5)
    results = []
    for threads in (1, 2):
        with use_threads(threads):
            results.append(objective(problem, W, b))
    assert results[0].value == results[1].value
    np.testing.assert_array_equal(results[0].dW, results[1].dW)
    np.testing.assert_array_equal(results[0].db, results[1].db)


def test_rows_and_scaling_are_applied_on_the_way():
    X, y = blobs(400, 6, 3, dtype=np.float64)
    rows = np.arange(0, 400, 3)
    scaling = fit_scaling("standard", X, rows)
    W, b = weights(6, 3)
    part = Part(X, rows, y[rows], scaling)
    Z = (X[rows] - X[rows].mean(axis=0)) / X[rows].std(axis=0)
    value, dW, _, accuracy = naive.objective(Z, y[rows], W, b, "softmax", 0.0)
    at = objective(Problem(part, "softmax", 0.0, 3), W, b)
    assert at.value == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(at.dW, dW, atol=1e-11)
    assert evaluate(part, "softmax", W, b) == (pytest.approx(value, rel=1e-11), accuracy)


@pytest.mark.parametrize("loss", ["softmax", "hinge", "squared-hinge", "ridge"])
@pytest.mark.parametrize(("n", "d", "k"), [(5, 3, 2), (13, 7, 3), (70, 2, 11), (600, 5, 4)])
def test_products_with_the_hessian_equal_their_twin(loss, n, d, k):
    X, y = blobs(n, d, k, dtype=np.float64)
    W, b = weights(d, k)
    V, v = weights(d, k, seed=2)
    part = plain_part(X, y)
    Q, mean = curvature(part, loss, W, b, 1.5)
    HV, Hv = times_hessian(part, loss, Q, V, v)
    want_V, want_v = naive.hessian_times(X, y, W, b, loss, V, v, 1.5)
    np.testing.assert_allclose(HV, want_V, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(Hv, want_v, rtol=1e-10, atol=1e-12)
    want = sum(naive.curvature(W @ x + b, label, loss, 1.5) for x, label in zip(X, y, strict=True)) / n
    np.testing.assert_allclose(mean, want, rtol=1e-11, atol=1e-14)
