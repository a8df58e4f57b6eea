"""``linclass gradcheck``, as a student sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from linclass_cli.learn import gradcheck
from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.objective import objective


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_passes(linclass, loss):
    answer = linclass("gradcheck", "--loss", loss, "--json").json
    assert {"loss", "l2", "n", "d", "k", "objective", "step", "tolerance"} <= set(answer)
    assert (answer["loss"], answer["ok"], len(answer["entries"])) == (loss, True, 32)
    assert answer["relative_error"] < 1e-8


def test_the_table_shows_both_gradients(linclass):
    result = linclass("gradcheck", "--l2", "0.1", "--seed", "3")
    assert "analytic" in result.out
    assert "numeric" in result.out
    assert "dW[0,0]" in result.out
    assert "db[3]" in result.out
    assert "largest relative error of all 32 entries" in result.out
    assert "right" in result.out


def test_a_wrong_gradient_is_exit_code_1_and_the_table(linclass, monkeypatch):
    def wrong(problem, W, b):
        at = objective(problem, W, b)
        return replace(at, db=at.db + 0.01)

    monkeypatch.setattr(gradcheck, "objective", wrong)
    result = linclass("gradcheck")
    assert result.code == 1
    assert "the gradient of softmax is not its slope" in result.error
    assert "WRONG" in result.out


def test_a_student_can_check_a_gradient_at_the_same_point(linclass):
    answer = linclass("gradcheck", "--l2", "0.1", "--out", "point.npz", "--json").json
    with np.load(answer["file"], allow_pickle=False) as at:
        X, y, W, b, l2 = (at[name] for name in ("X", "y", "W", "b", "l2"))
        S = X @ W.T + b
        P = np.exp(S - S.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        loss = -np.log(P[np.arange(30), y]).mean() + l2 / 2 * (W**2).sum()
        assert at["objective"] == pytest.approx(loss, rel=1e-12)
        G = (P - np.eye(4)[y]) / 30
        np.testing.assert_allclose(at["dW"], G.T @ X + l2 * W, atol=1e-12)
        np.testing.assert_allclose(at["db"], G.sum(axis=0), atol=1e-12)


def test_a_loss_that_is_not_known(linclass):
    result = linclass("gradcheck", "--loss", "sofmax")
    assert (result.code, "did you mean softmax" in result.error) == (3, True)
