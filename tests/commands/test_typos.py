"""Typing errors: what was probably meant is said, whatever it is the name of."""

from __future__ import annotations

import pytest

from tests.commands.test_line import FAST


@pytest.mark.parametrize(
    ("typed", "code", "meant"),
    [
        ("train --lss hinge", 2, "No such option: --lss; did you mean --loss?"),
        ("cv --fold 3", 2, "did you mean --folds?"),
        ("train --no-stratfy", 2, "did you mean --no-stratify?"),
        ("train --sover sgd", 2, "did you mean --solver?"),
        ("--verson", 2, "did you mean --version?"),
        ("--json train", 2, "options stand behind the command, as in `linclass train --json`"),
        ("runs --threads 2 list", 2, "options stand behind the command"),
        ("trian", 2, "No such command 'trian'; did you mean train?; `linclass --help`"),
        ("runs lst", 2, "did you mean list?"),
        ("train --loss sofmax", 3, "did you mean softmax?"),
        ("train --loss svm", 3, "did you mean hinge?"),
        ("train --loss squared_hinge", 3, "did you mean squared-hinge?"),
        ("train --solver nweton", 3, "did you mean newton?"),
        ("train --scale standrd", 3, "did you mean standard?"),
        ("train --block-norm L2Hys", 3, "did you mean L2-Hys?"),
        ("extract --feature hgo", 3, "did you mean hog?"),
        ("extract --feature hog+heu", 3, "did you mean hue?"),
        ("train --data textre", 4, "did you mean textures?"),
        ("download cifr10", 4, "did you mean cifar10?"),
        ("train --preset cuorse", 4, "did you mean course?"),
        ("import photos --name pets --fit crob", 3, "--fit crob: allowed is crop, pad, stretch; did you"),
        ("predict run1 photos --format jsnl", 3, "did you mean jsonl?"),
        ("plot run1 --kind curvs", 3, "did you mean curves?"),
        ("plot run1 --format sgv", 3, "did you mean svg?"),
        ("gradcheck --loss rigde", 3, "did you mean ridge?"),
    ],
)
def test_what_was_meant(linclass, typed, code, meant):
    result = linclass(*typed.split())
    assert meant in result.error
    assert result.code == code
    assert result.out == ""


@pytest.mark.parametrize("command", ["plot {}", "runs show {}", "evaluate {}"])
def test_runs(linclass, command):
    linclass("train", *FAST, "--loss", "ridge", "--name", "baseline")
    result = linclass(*command.format("basline").split())
    assert (result.code, "did you mean baseline?" in result.error) == (4, True)


def test_keys_of_files_and_of_the_environment(linclass, monkeypatch, tmp_path):
    (tmp_path / "linclass.toml").write_text("[model]\nlos = 'ridge'\n")
    assert "did you mean model.loss?" in linclass("train").error
    (tmp_path / "linclass.toml").unlink()
    monkeypatch.setenv("LINCLASS_MODEL_LOS", "ridge")
    assert "did you mean LINCLASS_MODEL_LOSS?" in linclass("train").error


def test_nothing_is_suggested_where_nothing_is_near(linclass):
    assert "did you mean" not in linclass("train", "--zzz").error
    assert "did you mean" not in linclass("plot", "xyz").error
