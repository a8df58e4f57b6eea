"""``linclass plot``: every kind, of runs on the embedded pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from linclass_cli.commands.plot import FORMATS, KINDS, THEMES
from linclass_cli.show.figures import canvas
from linclass_cli.show.plots import PER_RUN
from tests.commands.test_line import FAST
from tests.tiers import slow


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


@slow
def test_weights_without_a_picture_are_one_line(linclass):
    few = ("--colour-cells", "1", "--cells", "2", "--loss", "ridge")
    linclass("train", "--data", "textures", "--feature", "gradients+pixels+colours", *few, "--name", "a")
    linclass("train", "--data", "textures", "--feature", "gradients+colours", *few, "--name", "b")
    some = linclass("plot", "a", "--kind", "weights")
    assert some.out.split() == ["cache/runs/a/weights-pixels.png"]
    assert some.err.splitlines() == [
        "no picture of the weights on gradients, colours of a: only those on hog, pixels and hue have one"
    ]
    none = linclass("plot", "b", "--kind", "weights")
    assert none.code == 3
    assert none.error == (
        "error: b is on gradients+colours: its weights have no picture, "
        "only those on hog, pixels and hue have one"
    )
    for command in (("plot", "a", "b", "--kind", "all"), ("report", "a", "b")):
        assert "weights" not in linclass(*command).err
    assert "no weights" not in Path("cache/runs/a/report-a-b.html").read_text()


def test_a_run_on_vectors_has_no_picture_and_all_says_nothing_of_it(linclass):
    X = np.random.default_rng(0).random((40, 3))
    np.savez("v.npz", X=X, y=np.arange(40) % 2)
    linclass("import", "v.npz", "--name", "vec")
    linclass("train", "--data", "vec", "--loss", "ridge", "--name", "a")
    everything = linclass("plot", "a", "--kind", "all", "--json")
    assert everything.err == ""
    assert {Path(file).stem for file in everything.json["files"]} >= {"confusion", "calibration"}
    assert linclass("report", "a").err == ""
    for kind, words in (("weights", "its weights have no picture"), ("mistakes", "there are no images")):
        assert words in linclass("plot", "a", "--kind", kind).error


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
