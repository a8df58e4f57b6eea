"""A run's model on images again: the numbers that the run was judged by."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from linclass_cli import scoring
from linclass_cli.errors import InputError, MissingError
from linclass_cli.runs import load_model, load_run
from linclass_cli.scoring import linear_scores, run_config, score_run
from tests.commands.test_line import FAST


def nothing(*_):
    pass


@pytest.fixture
def answer(linclass):
    return linclass("train", *FAST, "--l2", "0.01", "--val-fraction", "0", "--json").json


@pytest.mark.parametrize("part", ["train", "test"])
def test_scores_give_the_accuracy_of_the_run(answer, part):
    scored = score_run("cache", answer["run"], nothing, nothing, part=part)
    assert scored.scores.dtype == np.float32
    assert scored.scores.shape == (answer[f"n_{part}"], 6)
    assert np.mean(scored.scores.argmax(axis=1) == scored.y) == answer[f"{part}_accuracy"]


def test_the_config_is_that_of_the_run(answer, tmp_path):
    run = load_run(tmp_path / "cache", "run1")
    config = run_config(run, "cache")
    assert json.dumps(config.record()) == json.dumps(run.config)
    assert run_config(run, "cache", "cifar10").data.name == "cifar10"
    run.config["model"]["loss"] = "unheard-of"
    with pytest.raises(InputError, match="run1"):
        run_config(run, "cache")


def test_what_does_not_fit_is_an_error(answer, tmp_path, monkeypatch):
    model = load_model(tmp_path / "cache", "run1")
    with pytest.raises(InputError, match="wants 36 features, and there are 35"):
        linear_scores(model, np.zeros((2, 35), np.float32))
    with pytest.raises(MissingError, match="run2"):
        score_run("cache", "run2", nothing, nothing)
    monkeypatch.setattr(scoring, "load_model", lambda *_: replace(model, classes=("a", "b")))
    with pytest.raises(InputError, match=r"2 classes \(a, b\), and textures has 6 classes"):
        score_run("cache", "run1", nothing, nothing)
