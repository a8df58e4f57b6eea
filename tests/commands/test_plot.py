"""``linclass plot``: every kind, of runs on the embedded pictures."""

from __future__ import annotations

from pathlib import Path

from linclass_cli.commands.plot import FORMATS, KINDS, THEMES
from linclass_cli.show.figures import canvas
from linclass_cli.show.plots import PER_RUN
from tests.commands.test_line import FAST


def test_all_is_every_kind_that_the_runs_have(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    linclass("cv", *FAST, "--folds", "2", "--l2", "0.01,0.1", "--name", "b")
    answer = linclass("plot", "a", "b", "a", "--kind", "all", "--json").json
    assert answer["runs"] == ["a", "b"]
    own = ["confusion.png", "weights.png", "mistakes.png", "calibration.png"]
    want = [
        *("a/compare-a-b.png", "a/accuracy.png", "a/loss.png", "b/curves.png", "b/cv.png"),
        *(f"{run}/{file}" for file in own for run in ("a", "b")),
    ]
    assert answer["files"] == [f"cache/runs/{file}" for file in want]
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for file in answer["files"])


def test_the_same_bytes_again_and_others_in_the_dark(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")

    def draw(folder: str, theme: str) -> bytes:
        options = ("--kind", "weights", "--format", "svg", "--theme", theme, "--out", folder)
        (file,) = linclass("plot", "a", *options).out.split()
        assert file == f"{folder}/weights-a.svg"
        return Path(file).read_bytes()

    assert draw("x", "light") == draw("y", "light")
    assert draw("x", "dark") != draw("y", "light")


def test_joined_features_have_a_picture_of_each(linclass):
    linclass("train", *FAST, "--feature", "hog+pixels", "--loss", "ridge")
    files = linclass("plot", "run1", "--kind", "weights", "--json").json["files"]
    assert [Path(file).name for file in files] == ["weights-hog.png", "weights-pixels.png"]


def test_what_is_not_there_is_said(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    wrong = linclass("plot", "a", "--kind", "confusoin")
    assert wrong.code == 3
    assert "did you mean confusion?" in wrong.error
    assert linclass("plot", "a", "--kind", "compare").code == 2
    assert linclass("plot", "nobody", "--kind", "all").code == 4
    assert linclass("plot", "a", "--kind", "cv").code == 3


def test_help_names_every_kind(linclass):
    page = linclass("plot", "--help").out
    for kind in (*KINDS, *FORMATS, *THEMES):
        assert kind in page
    for kind in set(KINDS) - {"auto"}:
        assert f"{kind}: " in " ".join(page.split())
    assert canvas.THEMES == THEMES
    assert set(PER_RUN) < set(KINDS)


def test_nothing_is_drawn_into_a_pipe_or_into_json(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    for flags, reason in (((), "stdout is no terminal"), (("--json",), "stdout is for the JSON")):
        result = linclass("plot", "a", "--show", *flags)
        assert "\x1b" not in result.out
        assert "▀" not in result.out
        assert f"nothing is drawn here, {reason}" in result.err
        assert Path("cache/runs/a/accuracy.png").is_file()
