"""Groups, nested cross-validation and the choice of a strength, as commands."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands.test_line import FAST
from tests.tiers import slow

CV = ("cv", *FAST, "--folds", "3", "--l2", "1e-2,1,1000")


def test_nested_cv_says_what_the_choice_is_worth(linclass):
    m = linclass(*CV, "--nested", "--json").json
    nested = m["nested"]
    low, high = nested["accuracy_interval"]
    assert low < nested["accuracy"] < high
    assert len(nested["fold_accuracy"]) == len(nested["fold_l2"]) == 3
    assert set(nested["fold_l2"]) <= set(m["l2"])
    record = json.loads((Path(m["path"]) / "run.json").read_text())
    assert record["config"]["cv"]["nested"] is True
    assert linclass("plot", m["run"], "--json").code == 0
    shown = linclass(*CV, "--nested", "--choose", "one-se").out
    assert "nested, the choice included" in shown
    assert "(one SE), refitted on all 1,800" in shown


def test_the_refit_takes_the_choice_that_is_asked_for(linclass):
    best = linclass(*CV, "--json").json
    strong = linclass(*CV, "--choose", "one-se", "--json").json
    assert (best["chosen_l2"], strong["chosen_l2"]) == (best["best_l2"], strong["one_se_l2"])
    assert best["nested"] is None
    assert best["fold_accuracy"] == strong["fold_accuracy"]


def test_groups_are_checked_before_anything_is_computed(linclass):
    Path("groups.txt").write_text("a\nb\n" * 10)
    for command in ("train", "cv"):
        result = linclass(command, *FAST, "--groups", "groups.txt")
        assert (result.code, "20 values: expected is 1,800, one for each training image" in result.error) == (
            3,
            True,
        )
        assert linclass(command, *FAST, "--groups", "nowhere.txt").code == 4
    assert not Path("cache/features").exists()
    Path("groups.txt").write_text("".join(f"{i // 30}\n" for i in range(1800)))
    m = linclass("train", *FAST, "--groups", "groups.txt", "--json").json
    assert m["groups"]["count"] == 60
    assert m["n_val"] % 30 == 0
    config = json.loads((Path(m["path"]) / "run.json").read_text())["config"]
    assert config["split"]["groups"] == "groups.txt"
    assert linclass("evaluate", m["run"], "--json").json["accuracy"] == m["test_accuracy"]
    m = linclass("cv", *FAST, "--groups", "groups.txt", "--folds", "3", "--l2", "0.1", "--json").json
    assert m["groups"]["count"] == 60


def test_class_weights_are_in_the_record_and_change_the_fit(linclass):
    plain = linclass("train", *FAST, "--json").json
    even = linclass("train", *FAST, "--class-weight", "balanced", "--json").json
    assert plain["class_weights"] is None
    assert set(even["class_weights"]) == {"brick", "cell", "grass", "gravel", "moon", "text"}
    Path("w.json").write_text('{"text": 20}')
    heavy = linclass("train", *FAST, "--class-weight", "w.json", "--json").json
    assert heavy["class_weights"] == {**dict.fromkeys(even["class_weights"], 1.0), "text": 20.0}
    recall = [linclass("evaluate", m["run"], "--json").json["per_class"][5]["recall"] for m in (plain, heavy)]
    assert recall[1] > recall[0]
    record = json.loads((Path(heavy["path"]) / "run.json").read_text())
    assert record["config"]["model"]["class_weight"] == "w.json"
    assert linclass("cv", *FAST, "--class-weight", "w.json", "--folds", "2", "--l2", "0.1").code == 0
    result = linclass("train", *FAST, "--class-weight", "balancd")
    assert (result.code, "balanced" in result.error) == (4, True)


@slow
def test_a_best_strength_at_the_end_of_those_tried_says_where_to_look_on(linclass):
    strong = linclass("cv", *FAST, "--folds", "3", "--l2", "10,1000").out
    assert "the best is the smallest that was tried; for smaller ones: `--l2 0.1:10:5`" in strong
    weak = linclass("cv", *FAST, "--folds", "3", "--l2", "1e-9,1e-2").out
    assert "the best is the largest that was tried; for larger ones: `--l2 0.01:1:5`" in weak
    assert "that was tried" not in linclass("cv", *FAST, "--folds", "3", "--l2", "1e-9,1e-2,1000").out
