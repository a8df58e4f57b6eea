"""The temperature that makes scores into probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from linclass_cli.learn.metrics import log_loss, log_probabilities
from linclass_cli.learn.temperature import fit_temperature


def made_up(n, k, temperature, seed=0):
    """Scores, and labels drawn from softmax(scores / temperature)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k)).astype(np.float32) * 3
    p = np.exp(log_probabilities(scores, temperature))
    return scores, (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 7.0])
def test_the_true_temperature_is_found(temperature):
    scores, y = made_up(20_000, 4, temperature)
    assert fit_temperature(scores, y) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_no_other_temperature_is_better(seed):
    scores, y = made_up(50, 3, 2.0, seed)
    best = minimize_scalar(
        lambda t: log_loss(log_probabilities(scores, np.exp(t)), y), bounds=(-5, 5), method="bounded"
    )
    found = log_loss(log_probabilities(scores, fit_temperature(scores, y)), y)
    assert found <= best.fun + 1e-7


def test_scores_that_tell_everything_or_nothing_have_an_end():
    scores = np.eye(3, dtype=np.float32)
    coldest = fit_temperature(scores, np.arange(3))
    assert 0 < coldest < 0.01
    assert fit_temperature(scores, (np.arange(3) + 1) % 3) > 100
    assert fit_temperature(np.zeros((3, 3), np.float32), np.arange(3)) == 1.0
    assert np.isfinite(log_probabilities(scores * 1e4, coldest)).all()
