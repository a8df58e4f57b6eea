"""What has been trained: sorted, filtered, compared, removed."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from linclass_cli.commands.train import proven
from linclass_cli.run_table import differences
from linclass_cli.runs import load_run
from linclass_cli.signals import Stopped
from tests.commands.test_line import FAST


@pytest.fixture
def trained(linclass):
    """run1 and run2: ridge of two strengths; run10: softmax; a: a cross-validation."""
    for name, loss, l2 in (("run1", "ridge", "0.1"), ("run2", "ridge", "10"), ("run10", "softmax", "1")):
        linclass("train", *FAST, "--loss", loss, "--l2", l2, "--name", name, "--json").json  # noqa: B018
    linclass("cv", *FAST, "--loss", "ridge", "--folds", "2", "--l2", "0.5", "--name", "a", "--json")
    return linclass


def names(linclass, *options):
    return [run["run"] for run in linclass("runs", "list", *options, "--json").json]


def test_runs_are_sorted(trained):
    assert names(trained) == ["a", "run1", "run2", "run10"]
    assert names(trained, "--reverse") == ["run10", "run2", "run1", "a"]
    assert names(trained, "--sort", "l2") == ["run1", "a", "run10", "run2"]
    assert names(trained, "--sort", "run", "--reverse")[0] == "run10"
    by_test = [
        run["test_accuracy"] for run in trained("runs", "list", "--sort", "test_accuracy", "--json").json
    ]
    assert by_test == sorted(by_test)
    # The keys that the table shows as its heads, too.
    for head in ("val", "test"):
        assert names(trained, "--sort", head) == names(trained, "--sort", f"{head}_accuracy")
    heads = next(line for line in trained("runs", "list").out.splitlines() if "solver" in line).split()
    assert len(heads) == 7
    for head in heads:
        assert len(names(trained, "--sort", head)) == 4
    # A cross-validation has no validation accuracy: it stands last, whichever way.
    for more in ((), ("--reverse",)):
        assert names(trained, "--sort", "val_accuracy", *more)[-1] == "a"
    assert names(trained, "--sort", "seconds", "--filter", "kind=cv") == ["a"]


def test_runs_are_filtered(trained):
    assert names(trained, "--filter", "loss=ridge") == ["a", "run1", "run2"]
    assert names(trained, "--filter", "loss=ridge", "--filter", "kind=train") == ["run1", "run2"]
    assert names(trained, "--filter", "run=run1*") == ["run1", "run10"]
    assert names(trained, "--filter", "l2=1e-1") == ["run1"]
    assert names(trained, "--filter", "l2!=0.1", "--filter", "l2<=1") == ["a", "run10"]
    assert names(trained, "--filter", "model.scale=standard", "--filter", "val_accuracy>=0") == [
        "run1",
        "run2",
        "run10",
    ]
    assert names(trained, "--filter", "stratify=false") == []
    assert "no run meets that" in trained("runs", "list", "--filter", "loss=hinge").out
    assert "run10" in trained("runs", "list", "--sort", "l2", "--filter", "loss=softmax").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sort", "test_acuracy"), "did you mean test_accuracy"),
        (("--sort", "tset"), "did you mean test"),
        (("--sort", "off"), "did you mean of"),
        (("--filter", "los=ridge"), "did you mean loss"),
        (("--filter", "ridge"), "KEY=VALUE"),
        (("--filter", "l2>=much"), "compares numbers"),
    ],
)
def test_what_cannot_be_asked_for_is_an_error(trained, options, words):
    result = trained("runs", "list", *options)
    assert (result.code, words in result.error) == (3, True)


def test_compare_shows_only_what_differs(trained):
    found = trained("runs", "compare", "run1", "run2", "--json").json
    assert found["runs"] == ["run1", "run2"]
    assert found["config"] == {"model.l2": [0.1, 10.0]}
    assert "objective" in found["metrics"]
    assert not {"n_train", "loss"} & set(found["metrics"])
    assert found["environment"] == {}
    shown = trained("runs", "compare", "run1", "run2", "run10").out
    assert "model.loss" in shown
    assert "scale" not in shown
    assert trained("runs", "compare", "run1", "run1").code == 2
    assert trained("runs", "compare", "run1", "run3").code == 4
    shutil.copytree("cache/runs/run1", "cache/runs/twin")
    assert "nothing differs" in trained("runs", "compare", "run1", "twin").out


def test_remove_asks_first(trained, monkeypatch):
    for answer, left in (("n\n", True), ("\n", True), ("yes\n", False)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        result = trained("runs", "remove", "run1", "--json")
        assert "run1" in result.err
        assert ("run1" in names(trained)) == left
        assert [one["run"] for one in json.loads(result.out)] == ([] if left else ["run1"])
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = trained("runs", "remove", "run2")
    assert (result.code, "--yes" in result.error) == (2, True)
    assert "removed run2, a" in trained("runs", "remove", "run2", "a", "--yes").out
    assert names(trained) == ["run10"]
    assert [path.name for path in Path("cache/runs").iterdir()] == ["run10"]


def test_a_run_that_may_not_be_looked_into_is_passed_over(trained, monkeypatch):
    def refused(real):
        def ask(path, *more):
            if "run2" in Path(path).parts:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, *more)

        return ask

    for owner, name in ((Path, "is_file"), (os, "open")):
        monkeypatch.setattr(owner, name, refused(getattr(owner, name)))
    result = trained("runs", "list", "--json")
    assert [run["run"] for run in result.json] == ["a", "run1", "run10"]
    assert "warning: cannot read cache/runs/run2/run.json" in result.err


def test_ctrl_c_at_the_question_is_told_on_a_line_of_its_own(trained, monkeypatch, capsys):
    class Interrupted(io.StringIO):
        def readline(self):
            raise Stopped(signal.SIGINT)

    monkeypatch.setattr("sys.stdin", Interrupted())
    with pytest.raises(Stopped):
        trained("runs", "remove", "run1")
    assert capsys.readouterr().err.endswith("[y/N] \n")
    assert "run1" in names(trained)


def test_remove_removes_all_or_nothing_and_damaged_runs_too(trained):
    assert trained("runs", "remove", "run1", "run3", "--yes").code == 4
    assert trained("runs", "remove", "run1", "../runs/run2", "--yes").code == 3
    assert len(names(trained)) == 4
    Path("cache/runs/run1/run.json").write_text("{")
    Path("cache/runs/claimed").mkdir()
    assert trained("runs", "remove", "claimed", "--yes").code == 4  # under way
    assert trained("runs", "remove", "run1", "--yes").code == 0
    assert not Path("cache/runs/run1").exists()
    elsewhere = Path("elsewhere")
    shutil.move("cache/runs/run2", elsewhere)
    Path("cache/runs/run2").symlink_to(elsewhere.resolve())
    assert trained("runs", "remove", "run2", "--yes").code == 0
    assert (elsewhere / "run.json").is_file()


def test_a_setting_that_came_later_is_at_its_default(trained):
    """Runs of an earlier version lack settings; that is no difference."""
    run = load_run(Path("cache"), "run1")
    config = {**run.config, "model": {k: v for k, v in run.config["model"].items() if k != "calibrate"}}
    older = replace(run, config=config)
    assert differences([older, run])["config"] == {}
    # So with metrics: none is as good as not there.
    assert run.metrics["groups"] is None
    bare = replace(run, metrics={key: value for key, value in run.metrics.items() if key != "groups"})
    assert differences([bare, run])["metrics"] == {}
    warm = replace(run, config={**config, "model": {**config["model"], "calibrate": True}})
    assert differences([older, warm])["config"] == {"model.calibrate": [False, True]}


def test_a_large_gap_is_no_power_of_ten():
    assert proven({"gap_bound": 9.02}) == "at most 902 % above the optimum"
    assert proven({"gap_bound": 4.75e-7}) == "at most 4.8e-05 % above the optimum"


def test_a_shown_run_has_the_keys_that_filter(trained):
    """Settings as `config show` writes them, shares in percent, times with their unit."""
    lines = [line.split(maxsplit=1) for line in trained("runs", "show", "run1").out.splitlines()]
    facts = {line[0]: line[1] for line in lines if len(line) == 2}
    assert (facts["model.l2"], facts["model.calibrate"], facts["data.name"]) == ("0.1", "false", "textures")
    assert facts["test_accuracy"].endswith(" %")
    assert facts["seconds"].endswith(" s")
    for key in ("model.l2=0.1", "feature.name=" + facts["feature.name"]):
        assert "run1" in names(trained, "--filter", key)
