"""A run's numbers, as a script reads them and as a person does."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from linclass_cli import evaluation
from linclass_cli.scoring import score_run
from linclass_cli.show.evaluation import show_comparison, show_evaluation
from tests.commands.test_line import FAST

KEYS = {
    *("run", "n", "accuracy", "accuracy_interval", "top5_accuracy", "log_loss", "ece"),
    *("per_class", "confusion"),
}


def nothing(*_):
    pass


def train(linclass, name, *options):
    return linclass("train", *FAST, "--val-fraction", "0", "--name", name, *options, "--json").json


def test_the_numbers_are_scikit_learns(linclass):
    trained = train(linclass, "a")
    m = linclass("evaluate", "a", "--json").json
    assert set(m) >= KEYS
    assert (m["run"], m["n"], m["accuracy"]) == ("a", 348, trained["test_accuracy"])
    assert m["accuracy_interval"][0] < m["accuracy"] < m["accuracy_interval"][1]
    scored = score_run("cache", "a", nothing, nothing)
    y, scores = scored.y, scored.scores.astype(np.float64)
    predicted = scores.argmax(axis=1)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert m["log_loss"] == pytest.approx(sk.log_loss(y, p))
    assert m["log_loss"] == pytest.approx(trained["test_loss"], rel=1e-5)
    assert m["top5_accuracy"] == pytest.approx(sk.top_k_accuracy_score(y, scores, k=5))
    assert m["macro_f1"] == pytest.approx(sk.f1_score(y, predicted, average="macro"))
    assert m["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, predicted))
    assert m["confusion"] == sk.confusion_matrix(y, predicted).tolist()
    want = sk.classification_report(y, predicted, output_dict=True)
    for label, one in enumerate(m["per_class"]):
        theirs = want[str(label)]
        assert (one["class"], one["support"]) == (m["classes"][label], theirs["support"])
        for ours, name in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert one[ours] == pytest.approx(theirs[name])
    assert sum(row["n"] for row in m["calibration"]) == 348


@pytest.mark.parametrize("loss", ["hinge", "squared-hinge", "ridge"])
def test_scores_that_are_no_log_odds_have_no_log_loss(linclass, loss):
    train(linclass, "a", "--loss", loss)
    m = linclass("evaluate", "a", "--json").json
    assert (m["log_loss"], m["ece"], m["calibrated"]) == (None, None, False)
    assert "--calibrate" in linclass("evaluate", "a").out


def test_two_runs_are_compared_on_the_same_images(linclass):
    train(linclass, "a")
    train(linclass, "b", "--l2", "10")
    m = linclass("evaluate", "a", "b", "--json").json
    c = m["comparison"]
    assert (m["run"], m["other"]["run"], c["first"], c["second"]) == ("a", "b", "a", "b")
    assert c["both_right"] + c["only_first"] == round(348 * m["accuracy"])
    assert c["both_right"] + c["only_second"] == round(348 * m["other"]["accuracy"])
    assert c["difference"] == pytest.approx(m["accuracy"] - m["other"]["accuracy"])
    assert 0 <= c["p_value"] < 0.05
    assert "McNemar" in linclass("evaluate", "a", "b").out
    twice = linclass("evaluate", "a", "a")
    assert (twice.code, "two different runs" in twice.error) == (2, True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, width, show, answer):
    """What a terminal of that width shows."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    with monkeypatch.context() as context:
        context.setattr("sys.stdout", terminal)
        show(answer)
    return terminal.getvalue()


def test_the_tables_fit(linclass, monkeypatch):
    train(linclass, "a")
    assert "next: linclass plot a" in linclass("evaluate", "a").out
    train(linclass, "b", "--loss", "ridge")
    one = linclass("evaluate", "a", "--json").json | {"run": "a-name-of-twenty-five-let"}
    two = linclass("evaluate", "a", "b", "--json").json
    for width in (60, 80):
        page = shown(monkeypatch, width, show_evaluation, one)
        assert max(len(line.rstrip()) for line in page.splitlines()) <= width
        for word in ("accuracy", "macro F1", "log loss", "recall", "predicted", "brick", "95 %"):
            assert word in page
        page = shown(monkeypatch, width, show_comparison, two)
        assert max(len(line.rstrip()) for line in page.splitlines()) <= width
        assert "McNemar" in page
    # Where there is no room for the matrix: who is taken for whom.
    assert "taken for" in shown(monkeypatch, 40, show_evaluation, one)


@pytest.mark.parametrize(("k", "tops"), [(2, ""), (3, "2"), (4, "2 3"), (5, "2 3"), (6, "2 3 5")])
def test_a_top_that_says_nothing_is_not_shown(linclass, monkeypatch, k, tops):
    train(linclass, "a")
    real = score_run("cache", "a", nothing, nothing)
    rng = np.random.default_rng(0)
    model = replace(real.model, classes=tuple("abcdef"[:k]))
    scores = rng.standard_normal((40, k)).astype(np.float32)
    scored = replace(real, model=model, scores=scores, y=rng.integers(0, k, 40))
    answer = evaluation.evaluate(scored)
    assert (answer["top5_accuracy"] == 1) == (k <= 5)
    line = [
        line
        for line in shown(monkeypatch, 80, show_evaluation, answer).splitlines()
        if "among the first" in line
    ]
    assert re.findall(r"(\d+):", "".join(line)) == tops.split()
    both = answer | {"other": answer, "comparison": evaluation.compare_runs(scored, scored)}
    assert ("among the first 5" in shown(monkeypatch, 80, show_comparison, both)) == (k > 5)


def test_images_unlike_the_runs_own_are_described(linclass):
    """By their size and channels, not by numbers of features that nobody has heard of."""
    rng = np.random.default_rng(0)
    shapes = {"colour": (16, 16, 3), "grey": (16, 16, 1), "small": (2, 2, 3)}
    for name, shape in shapes.items():
        arrays = {"images": rng.integers(0, 256, (20, *shape), np.uint8), "labels": np.arange(20) % 2}
        np.savez(f"{name}.npz", **arrays)
        linclass("import", f"{name}.npz", "--name", name)
    for name, d in (("vec", 5), ("vec2", 6)):
        np.savez(f"{name}.npz", X=rng.random((20, d)), y=np.arange(20) % 2)
        linclass("import", f"{name}.npz", "--name", name)
    few = ("--loss", "ridge", "--val-fraction", "0", "--name")
    linclass("train", "--data", "colour", "--feature", "colours", *few, "c")
    linclass("train", "--data", "colour", "--feature", "gradients", *few, "g")
    linclass("train", "--data", "vec", *few, "v")
    learned = ("--filters", "4", "--patch-samples", "50", "--rounds", "0")
    linclass("train", "--data", "colour", "--feature", "patches", *learned, *few, "p")
    ours = "was trained on colour images of 16 x 16 pixels (colour), and"
    for run, data, words in (
        ("c", "grey", f"{ours} grey has grey images of 16 x 16 pixels: choose a dataset of images like"),
        ("c", "small", f"{ours} small has colour images of 2 x 2 pixels"),
        ("p", "grey", f"{ours} grey has grey images of 16 x 16 pixels"),
        ("v", "vec2", "was trained on vectors of 5 numbers (vec), and vec2 has vectors of 6 numbers"),
        ("c", "vec", "c judges images, and vec holds vectors: choose a dataset of images"),
        ("v", "grey", "v judges vectors, and grey holds images: choose a dataset of vectors"),
    ):
        failed = linclass("evaluate", run, "--data", data)
        assert failed.code == 3
        assert words in failed.error
        assert "--" not in failed.error  # of options that the command does not have
    assert linclass("evaluate", "g", "--data", "grey").code == 0  # which sees no colours
    shutil.rmtree("cache/datasets/colour")
    assert "features, and there are" in linclass("evaluate", "c", "--data", "grey").error


def test_what_cannot_be_judged_is_an_error(linclass, monkeypatch):
    train(linclass, "a")
    train(linclass, "b")
    assert linclass("evaluate", "c").code == 4
    assert linclass("evaluate", "a", "--data", "nowhere").code == 4
    real = score_run("cache", "a", nothing, nothing)
    none = type(real)(real.run, real.model, real.config, real.scores[:0], real.y[:0])
    monkeypatch.setattr("linclass_cli.scoring.score_run", lambda *_: none)
    assert "no test images" in linclass("evaluate", "a").error
    bad = type(real)(real.run, real.model, real.config, real.scores * np.float32(np.nan), real.y)
    monkeypatch.setattr("linclass_cli.scoring.score_run", lambda *_: bad)
    assert "not finite" in linclass("evaluate", "a").error
    other = type(real)(real.run, real.model, real.config, real.scores[:9], real.y[:9])
    with pytest.raises(evaluation.InputError, match="same images"):
        evaluation.compare_runs(real, other)


@pytest.mark.parametrize("loss", ["softmax", "hinge", "ridge"])
def test_a_calibrated_run_has_probabilities(linclass, loss):
    quick = ("--epochs", "5") if loss == "hinge" else ()
    options = (*FAST, "--loss", loss, *quick, "--json")
    plain = linclass("train", *options, "--name", "a").json
    warm = linclass("train", *options, "--name", "b", "--calibrate").json
    assert plain["temperature"] is None
    assert warm["temperature"] > 0
    assert warm["test_accuracy"] == plain["test_accuracy"]
    m = linclass("evaluate", "b", "--json").json
    assert (m["calibrated"], m["temperature"]) == (True, warm["temperature"])
    scored = score_run("cache", "b", nothing, nothing)
    logits = scored.scores.astype(np.float64) / m["temperature"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert m["log_loss"] == pytest.approx(sk.log_loss(scored.y, p / p.sum(axis=1, keepdims=True)))
    # Better than what the scores say by themselves, for images that neither fit has seen.
    unscaled = scored.scores.astype(np.float64)
    q = np.exp(unscaled - unscaled.max(axis=1, keepdims=True))
    assert m["log_loss"] < sk.log_loss(scored.y, q / q.sum(axis=1, keepdims=True)) + 0.01
    assert "calibrated: softmax" in linclass("evaluate", "b").out


@pytest.mark.parametrize("more", [(), ("--nested",)])
def test_a_calibrated_cross_validation_has_probabilities(linclass, more):
    options = (*FAST, "--loss", "ridge", "--folds", "3", "--l2", "0.1,1", "--calibrate", *more)
    assert "by the held-out folds" in linclass("cv", *options, "--name", "a").out
    temperature = linclass("runs", "show", "a", "--json").json["metrics"]["temperature"]
    m = linclass("evaluate", "a", "--json").json
    assert (m["calibrated"], m["temperature"]) == (True, temperature)
    assert m["log_loss"] < np.log(len(m["classes"]))  # better than to know nothing
    assert m["ece"] < 0.1


def test_a_temperature_wants_a_validation_part(linclass):
    result = linclass("train", *FAST, "--val-fraction", "0", "--calibrate")
    assert (result.code, "--val-fraction 0" in result.error) == (3, True)
    assert linclass("runs", "list", "--json").json == []
