"""The presets, on small pictures and with small dictionaries; and the weights of joined features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.config import PRESETS
from linclass_cli.runs import load_model
from tests.tiers import slow

SMALL = ("--filters", "8", "--patch-samples", "500", "--rounds", "1")
LEARNED = ("patches-fast", "patches", "patches-best")
JOINED = ("--data", "textures", "--feature", "hog+pixels", "--loss", "ridge", "--val-fraction", "0")


@slow
@pytest.mark.parametrize("preset", ["hog-best", *LEARNED])
def test_a_preset_fits_all_training_images(linclass, preset):
    small = SMALL if preset in LEARNED else ()
    # Of one channel there is little to count: textures are known by their gradients.
    found = linclass("train", "--preset", preset, "--data", "textures", *small, "--name", "it", "--json").json
    assert (found["n_train"], found["n_val"], found["converged"]) == (1800, 0, True)
    assert found["test_accuracy"] > 0.9
    config = json.loads(Path("cache/runs/it/run.json").read_text())["config"]
    assert config["feature"]["augment"] == "flip"
    loss = "ridge" if preset == "patches-best" else "squared-hinge"
    assert (config["model"]["loss"], config["solver"]["gap"]) == (loss, 1e-3)


def test_every_preset_is_described():
    text = Path(__file__).parents[2].joinpath("docs", "accuracy.md").read_text()
    assert [p.stem for p in PRESETS.glob("*.toml") if f"`{p.stem}`" not in text and p.stem != "course"] == []


def test_help_names_every_preset(linclass):
    text = " ".join(linclass("train", "--help").out.replace("│", " ").split())
    assert "come with linclass: course, hog-best, patches, patches-best, patches-fast" in text


def test_another_loss_and_solver_overrule_a_preset(linclass):
    more = ("--loss", "softmax", "--solver", "sgd", "--epochs", "1", "--json")
    found = linclass("train", "--preset", "hog-best", "--data", "textures", *more).json
    assert (found["loss"], found["solver"]) == ("softmax", "sgd")


def test_weights_of_parts_are_factors_of_their_columns(linclass):
    """Pixels by a tenth: as a ridge of a hundred times their l2, by numpy."""
    linclass("train", *JOINED, "--part-weights", "1,0.1", "--l2", "0.01", "--name", "weighed")
    linclass("train", *JOINED, "--l2", "0.01", "--name", "plain")
    weighed, plain = (load_model(Path("cache"), name) for name in ("weighed", "plain"))
    ratio = weighed.factor / plain.factor
    np.testing.assert_allclose(ratio, np.repeat([1.0, 0.1], [324, 1024]))
    from linclass_cli.data.readers import load_dataset
    from linclass_cli.features import make_extractor

    data = load_dataset("textures", Path("cache"))
    extractor = make_extractor("hog+pixels")
    X = np.empty((1800, 1348), np.float32)
    extractor(data.train.images, X)
    Z = (X - weighed.mean) * plain.factor
    T = np.where(np.arange(weighed.weight.shape[0]) == data.train.labels[:, None], 1.0, 0.0)
    l2 = 0.01 * np.repeat([1.0, 100.0], [324, 1024])
    W = np.linalg.solve(Z.T @ Z / len(Z) + np.diag(l2), Z.T @ (T - T.mean(axis=0)) / len(Z))
    scores = Z @ W
    ours = ((X - weighed.mean) * weighed.factor) @ weighed.weight.T
    np.testing.assert_allclose(ours, scores, atol=2e-3)
    assert np.abs(((X - plain.mean) * plain.factor) @ plain.weight.T - scores).max() > 0.05


def test_cv_predict_and_evaluate_know_the_weights(linclass):
    given = ("--part-weights", "1,0.2", "--folds", "2", "--l2", "1e-2,1e-1", "--name", "it", "--json")
    by_folds = linclass("cv", *JOINED[:4], *given).json
    one = linclass("train", *JOINED[:4], *given[:2], "--l2", str(by_folds["best_l2"]), "--val-fraction", "0")
    assert one.code == 0
    found = linclass("evaluate", "it", "--json").json
    assert found["accuracy"] == by_folds["test_accuracy"]


def test_weights_may_have_exponents(linclass):
    runs = [
        linclass("train", *JOINED, "--part-weights", weights, "--name", name, "--json").json
        for name, weights in (("a", "1e-1,1"), ("b", "0.1,1E0"))
    ]
    one, two = (load_model(Path("cache"), name) for name in "ab")
    assert runs[0]["objective"] == runs[1]["objective"]
    assert np.array_equal(one.weight, two.weight)


def test_a_presets_weights_are_left_out_as_the_error_says(linclass):
    given = ("--preset", "patches-best", "--data", "textures", "--feature", "patches", *SMALL)
    failed = linclass("train", *given)
    assert failed.code == 3
    assert failed.error.endswith('and patches has 1; --part-weights "" leaves them as they are')
    assert linclass("train", *given, "--part-weights", "").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--part-weights", "1"), "one number is wanted for each"),
        (("--part-weights", "1,2,3"), "hog+pixels has 2"),
        (("--part-weights", "1,0"), "above 0"),
        (("--part-weights", "1,1e-10"), "from 1e-9 to 1e6"),
        (("--part-weights", "1e7,1"), "from 1e-9 to 1e6"),
        (("--part-weights", "1,1e"), "model.part_weights"),
        (("--part-weights", "1,x"), "model.part_weights"),
        (("--part-weights", "-1,1"), "model.part_weights"),
    ],
)
def test_wrong_weights_are_said(linclass, options, words):
    failed = linclass("train", *JOINED, *options)
    assert failed.code == 3
    assert words in failed.err
    assert len(failed.err.strip().splitlines()) == 1
