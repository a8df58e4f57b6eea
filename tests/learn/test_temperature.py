"""The temperature that makes scores into probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig
from linclass_cli.learn import crossval
from linclass_cli.learn.metrics import log_loss, log_probabilities
from linclass_cli.learn.splits import assign_folds
from linclass_cli.learn.temperature import fit_temperature
from tests.learn.test_fit import config, features, validate


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


@pytest.mark.parametrize("choose", ["best", "one-se"])
@pytest.mark.parametrize("scale", ["standard", "none"])
@pytest.mark.parametrize(
    ("loss", "solver"), [("softmax", "newton"), ("softmax", "lbfgs"), ("ridge", "closed"), ("hinge", "sgd")]
)
def test_cv_fits_it_to_what_each_fold_says_of_the_images_it_never_saw(
    monkeypatch, loss, solver, scale, choose
):
    seen = []

    def fit(scores, y):
        seen.append((scores, y))
        return fit_temperature(scores, y)

    monkeypatch.setattr(crossval, "fit_temperature", fit)
    f = features(200, noise_labels=0.2)
    c = Config(
        model=ModelConfig(loss=loss, scale=scale, calibrate=True),
        solver=SolverConfig(name=solver, epochs=3 if solver == "sgd" else 100),
        cv=CvConfig(folds=4, l2=(1e-3, 1e-2, 1.0), choose=choose),
    )
    cells, outcome = validate(f, c)
    ((scores, y),) = seen
    np.testing.assert_array_equal(y, f.train.y)
    assert outcome.model.calibrated
    assert outcome.model.temperature == outcome.metrics["temperature"] == fit_temperature(scores, y)
    fold_of = assign_folds(y, 4, c.seed, stratify=True)
    chosen = [cell for cell in cells[:-1] if cell.l2 == outcome.metrics["chosen_l2"]]
    assert len(chosen) == 4
    for cell in chosen:
        held = fold_of == cell.fold
        assert (scores[held].argmax(axis=1) == y[held]).mean() == pytest.approx(cell.val_accuracy)
        if loss == "softmax":
            assert log_loss(log_probabilities(scores[held]), y[held]) == pytest.approx(
                cell.val_loss, rel=1e-4
            )


def test_a_plain_cv_has_none():
    _, outcome = validate(features(200), config(cv=CvConfig(folds=3, l2=(1e-2,))))
    assert (outcome.metrics["temperature"], outcome.model.calibrated) == (None, False)
