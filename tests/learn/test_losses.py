"""The row kernels against their naive twins, float64 finite differences and scikit-learn."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from linclass_cli.config_sections import LossName
from linclass_cli.learn.losses import LOSS_NUMBER, LOSSES, count_correct, exp_rows, log_of, loss_rows
from tests import naive

SHAPES = [(1, 2), (3, 3), (7, 10), (5, 101)]


def some_scores(m: int, k: int, scale: float = 2.0, seed: int = 0):
    """A row for each image, as the twins take them."""
    rng = np.random.default_rng(seed)
    return rng.normal(scale=scale, size=(m, k)), rng.integers(0, k, m)


def by_class(S):
    """Scores of images (m, k) as the kernels take them, (k, m): a copy."""
    return np.array(np.transpose(S), order="C")


def run_kernel(loss: str, S, y, width: float | None = None):
    """(losses, gradients (m, k)) of the scores of images S (m, k)."""
    T, out = by_class(S), np.empty(len(y))
    if width is None:
        LOSSES[loss](T, y, out)
    else:
        loss_rows(LOSS_NUMBER[loss], width, T, y, out)
    return out, T.T


def test_the_names_are_those_of_the_config():
    assert tuple(LOSSES) == get_args(LossName)
    assert set(naive.LOSSES) == set(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_kernel_equals_its_twin(loss, m, k):
    S, y = some_scores(m, k)
    out, G = run_kernel(loss, S, y)
    for i in range(m):
        value, g = naive.LOSSES[loss](S[i], y[i])
        assert out[i] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(G[i], g, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_slope_of_the_loss(loss):
    S, y = some_scores(6, 4)
    _, G = run_kernel(loss, S, y)
    h = 1e-6
    for i in range(6):
        for j in range(4):
            up, down = S.copy(), S.copy()
            up[i, j] += h
            down[i, j] -= h
            slope = (run_kernel(loss, up, y)[0][i] - run_kernel(loss, down, y)[0][i]) / (2 * h)
            assert G[i, j] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("width", [0.1, 1.0, 5.0])
@pytest.mark.parametrize(("m", "k"), SHAPES)
def test_the_smoothed_hinge_equals_its_twin(width, m, k):
    S, y = some_scores(m, k)
    out, G = run_kernel("hinge", S, y, width)
    hinge, _ = run_kernel("hinge", S, y)
    for i in range(m):
        value, g = naive.smooth_hinge_loss(S[i], y[i], width)
        assert out[i] == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose(G[i], g, rtol=1e-12, atol=1e-13)
        assert 0 <= out[i] - hinge[i] <= (k - 1) * width / 8 + 1e-12


def test_the_smoothed_hinges_gradient_is_its_slope():
    S, y = some_scores(6, 4)
    h = 1e-6
    _, G = run_kernel("hinge", S, y, 2.0)
    for j in range(4):
        ends = []
        for sign in (1, -1):
            moved = S.copy()
            moved[:, j] += sign * h
            ends.append(run_kernel("hinge", moved, y, 2.0)[0])
        np.testing.assert_allclose(G[:, j], (ends[0] - ends[1]) / (2 * h), atol=1e-7)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1.5e-7), (np.float64, 1e-15)])
def test_exponentials_are_those_of_numpy(dtype, rtol):
    S = np.random.default_rng(0).normal(scale=10, size=(200, 7)).astype(dtype)
    S[0] = S[0, 0]
    want = np.exp((S - S.max(axis=1, keepdims=True)).astype(np.float64))
    T = by_class(S)
    np.testing.assert_array_equal(exp_rows(T), S.max(axis=1))
    np.testing.assert_allclose(T.T, want, rtol=rtol)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1.2e-7), (np.float64, 1e-15)])
def test_logarithms_are_those_of_numpy(dtype, rtol):
    x = np.concatenate([np.linspace(1, 2, 1000), np.geomspace(2, 1e30, 1000), [1 + 1e-6, 1]]).astype(dtype)
    np.testing.assert_allclose(log_of(x), np.log(x.astype(np.float64)), rtol=rtol)
    assert np.isnan(log_of(np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_of_what_is_no_number(dtype):
    T = by_class(np.array([[0, np.nan, 1], [np.inf, 0, 1], [-np.inf, 0, 0]], dtype))
    with np.errstate(invalid="ignore"):  # numpy warns where the kernel is plain Python
        exp_rows(T)
    S = T.T
    assert np.isnan(S[0]).any()
    assert np.isnan(S[1]).any()
    np.testing.assert_allclose(S[2], [0, 1, 1], atol=1e-37)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_number_chooses_the_same_kernel(loss):
    S, y = some_scores(5, 3)
    for one, other in zip(run_kernel(loss, S, y), run_kernel(loss, S, y, 0.0), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_stay_finite(loss, dtype):
    S = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0]], dtype)
    out, G = run_kernel(loss, S, np.array([1, 0, 2]))
    assert np.isfinite(out).all()
    assert np.isfinite(G).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_nan_score_is_not_hidden(loss):
    out, _ = run_kernel(loss, np.array([[0.0, np.nan, 1.0]]), np.array([0]))
    assert np.isnan(out[0])


def test_softmax_normalises_over_the_classes_and_equals_log_loss():
    from sklearn.metrics import log_loss

    S, y = some_scores(40, 5)
    out, G = run_kernel("softmax", S, y)
    P = G.copy()
    P[np.arange(40), y] += 1
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    assert out.mean() == pytest.approx(log_loss(y, P, labels=range(5)), rel=1e-12)


def test_hinge_losses_equal_scikit_learns():
    from sklearn.metrics import hinge_loss

    S, y = some_scores(30, 2)
    # With two classes Weston and Watkins' loss is the binary hinge of the difference.
    decision = S[:, 1] - S[:, 0]
    assert run_kernel("hinge", S, y)[0].mean() == pytest.approx(hinge_loss(y, decision), rel=1e-12)


def test_at_the_kink_the_slope_is_zero():
    out, G = run_kernel("hinge", np.array([[1.0, 0.0]]), np.array([0]))
    assert out[0] == 0
    np.testing.assert_array_equal(G, [[0, 0]])


def test_correct_means_largest_and_the_first_of_equals():
    S = by_class([[1.0, 1.0], [0.0, 1.0], [2.0, 1.0]])
    assert count_correct(S, np.array([0, 1, 1]), 3) == 2
    assert count_correct(S, np.array([1, 1, 0]), 3) == 2
    assert count_correct(S, np.array([0, 1, 0]), 2) == 2
