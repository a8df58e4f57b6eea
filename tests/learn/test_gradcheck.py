"""The gradient check: right gradients pass, wrong ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from linclass_cli.learn import gradcheck
from linclass_cli.learn.gradcheck import check_gradient, made_up_point, slopes
from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.objective import objective


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_kernels_pass(loss, l2, seed):
    found = check_gradient(made_up_point(seed), loss, l2)
    assert found.ok
    assert found.relative_error < 1e-8
    assert len(found.entries) == 4 * 7 + 4
    assert found.entries[8].name == "dW[1,1]"
    assert found.entries[-1].name == "db[3]"


@pytest.mark.parametrize(
    "bug",
    [
        lambda at, W, b: replace(at, db=at.db + 0.1 * b),  # the regulariser added to the bias
        lambda at, W, b: replace(at, dW=at.dW - 0.1 * W),  # and forgotten for the weights
        lambda at, W, b: replace(at, dW=at.dW * 30),  # no 1/n
        lambda at, W, b: replace(at, dW=at.dW[::-1]),
        lambda at, W, b: replace(at, dW=at.dW + 1e-4 * np.eye(4, 7)),
    ],
)
def test_a_wrong_gradient_does_not(monkeypatch, bug):
    monkeypatch.setattr(gradcheck, "objective", lambda p, W, b: bug(objective(p, W, b), W, b))
    assert not check_gradient(made_up_point(0), "softmax", 0.1).ok


def test_slopes_of_a_function_that_is_known():
    W, b = np.arange(6.0).reshape(2, 3), np.array([0.5, -1.0])
    found = slopes(lambda V, c: float((V**2).sum() + c @ [3.0, 4.0]), W, b)
    np.testing.assert_allclose(found, [0, 2, 4, 6, 8, 10, 3, 4], rtol=1e-9, atol=1e-9)


def test_no_margin_is_near_a_kink():
    for seed in range(20):
        point = made_up_point(seed)
        S = point.X @ point.W.T + point.b
        excess = np.delete(S - S[np.arange(30), point.y][:, None] + 1, 0, axis=0)
        assert np.abs(excess).min() > 1e-3
        assert np.abs(1 - np.abs(S)).min() > 1e-3
