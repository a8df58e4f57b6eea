from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from linclass_cli.errors import InputError, UsageError
from linclass_cli.evidence import Evidence
from linclass_cli.runs import Run
from linclass_cli.show.figures.compare import compare_figure
from linclass_cli.show.figures.curves import accuracy_curves, cv_curves, fold_curves, loss_curves
from linclass_cli.show.plots import draw_all, plan_drawings
from linclass_cli.show.plots import save_figures as save


def trained(name: str, path: Path, val: bool = True, steps: int = 5) -> Run:
    history = [
        {
            "iteration": i,
            "seconds": 0.5 * i,
            "train_loss": 2.0 / (i + 1),
            "train_accuracy": i / 10,
            "val_loss": 2.1 / (i + 1) if val else None,
            "val_accuracy": i / 11 if val else None,
        }
        for i in range(steps)
    ]
    metrics = {
        "loss": "softmax",
        "solver": "lbfgs",
        "best_step": steps - 1,
        "test_accuracy": 0.4,
        "n_test": 100,
    }
    config = {"feature": {"name": "hog"}, "data": {"name": "tiny"}}
    return Run(name, path / name, "train", "", config, {}, "", metrics, history)


def validated(name: str, path: Path, l2=(0.01, 0.1, 1.0)) -> Run:
    run = trained(name, path)
    metrics = {
        **run.metrics,
        "folds": 3,
        "l2": list(l2),
        "mean_accuracy": [0.5, 0.6, 0.55],
        "std_error": [0.01, 0.02, 0.03],
        "best_l2": l2[1],
        "one_se_l2": l2[1],
    }
    return Run(name, path / name, "cv", "", run.config, {}, "", metrics, [])


def save_figures(runs, kind, file_format, folder=None) -> list[Path]:
    evidence = [Evidence(run, lambda run: pytest.fail("scores are not wanted")) for run in runs]
    drawn = draw_all(plan_drawings(evidence, kind), "light", pytest.fail)
    return save(drawn, file_format, "light", folder)


def header(figure) -> list[str]:
    return [text.get_text() for text in figure.texts[:2]]


def slow(run: Run) -> Run:
    return replace(run, history=[step | {"seconds": 100.0 * step["iteration"]} for step in run.history])


def lines(figure) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].get_lines()}


def test_curves_show_what_the_history_says(tmp_path):
    run = trained("run1", tmp_path)
    accuracy = lines(accuracy_curves([run]))
    assert accuracy["validation"] == pytest.approx([100 * i / 11 for i in range(1, 5)])
    assert accuracy["training"] == pytest.approx([10, 20, 30, 40])
    assert accuracy["kept: step 4, 36.36 %"] == pytest.approx([400 / 11])
    loss = lines(loss_curves([run]))
    assert loss["validation"] == pytest.approx([2.1 / (i + 1) for i in range(1, 5)])
    axes = accuracy_curves([run]).axes[0]
    assert axes.get_xlabel() == "Step of the solver"
    assert axes.get_ylabel() == "Accuracy (%)"
    about = "softmax by lbfgs on hog of tiny, test 40.00 %"
    assert header(accuracy_curves([run])) == ["run1: accuracy", about]


def test_several_runs_lie_over_each_other(tmp_path):
    figure = accuracy_curves([trained("a", tmp_path), trained("b", tmp_path, val=False)])
    assert {"a (softmax) validation", "a (softmax) training", "b (softmax) training"} <= set(lines(figure))
    assert "b (softmax) validation" not in lines(figure)


def test_cv_marks_both_choices(tmp_path):
    figure = cv_curves([validated("run3", tmp_path)])
    shown = lines(figure)
    assert shown["best: l2 = 0.1"] == pytest.approx([60])
    assert shown["one standard error: l2 = 0.1"] == pytest.approx([60])
    assert figure.axes[0].get_xscale() == "log"
    assert cv_curves([validated("x", tmp_path, (0.0, 0.1, 1.0))]).axes[0].get_xscale() == "symlog"


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_files_are_written_where_they_are_said_to_be(tmp_path, file_format):
    run, cv = trained("run1", tmp_path), validated("run2", tmp_path)
    files = save_figures([run, cv], "auto", file_format)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        f"run1/accuracy.{file_format}",
        f"run1/loss.{file_format}",
        f"run2/cv.{file_format}",
    ]
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[file_format]
    for file in files:
        assert file.read_bytes().startswith(start)
    again = save_figures([run, cv], "auto", file_format, tmp_path / "out")
    assert [a.read_bytes() for a in again] == [f.read_bytes() for f in files]


def test_a_picture_has_something_on_it(tmp_path):
    (file, _) = save_figures([trained("run1", tmp_path)], "curves", "png")
    image = Image.open(io.BytesIO(file.read_bytes())).convert("L")
    assert image.width > 900
    dark = sum(image.histogram()[:128])
    assert 2000 < dark < image.width * image.height / 4


def test_a_kind_that_a_run_has_not_is_an_error(tmp_path):
    with pytest.raises(InputError, match="run2 is a cross-validation without curves .* use --kind cv"):
        save_figures([validated("run2", tmp_path)], "curves", "png")
    with pytest.raises(InputError, match="run1 is a training run"):
        save_figures([trained("run1", tmp_path)], "cv", "png")


def test_the_curves_of_a_cross_validation_are_those_of_every_fold(tmp_path):
    cells = [
        {"fold": fold, "l2": l2, "curve": [0.1, 0.4 + fold / 100, 0.5]}
        for l2 in (0.1, 1.0)
        for fold in (0, 1)
    ]
    refit = {"fold": None, "l2": 1.0, "curve": []}
    run = replace(validated("run4", tmp_path), history=[*cells, refit])
    figure = fold_curves([run])
    drawn = [list(line.get_ydata()) for line in figure.axes[0].get_lines()]
    assert sorted(drawn) == [pytest.approx([10, 40 + fold, 50]) for fold in (0, 0, 1, 1)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "0.1"]
    assert figure.axes[0].get_ylim()[0] > 30
    (file,) = save_figures([run], "curves", "png")
    assert file == tmp_path / "run4" / "curves.png"


def test_runs_are_compared_by_their_intervals(tmp_path):
    runs = [trained("a", tmp_path), validated("b", tmp_path), trained("c", tmp_path, val=False)]
    figure = compare_figure(runs, [(0.3, 0.5), (0.2, 0.6), (0.1, 0.7)], "t", "a")
    left, right = figure.axes
    assert [list(line.get_xdata()) for line in left.get_lines()[::2]] == [[30, 50], [20, 60], [10, 70]]
    assert left.get_yticklabels()[0].get_text() == "a\nsoftmax, hog"
    elsewhere = replace(runs[1], config={**runs[1].config, "data": {"name": "pets"}})
    figure = compare_figure([runs[0], elsewhere], [(0.3, 0.5)] * 2, "t", "a")
    assert [text.get_text().partition("\nof ")[2] for text in figure.axes[0].get_yticklabels()] == [
        runs[0].config["data"]["name"],
        "pets",
    ]
    # One run has no validation part: the training accuracy is what all of them have.
    assert right.get_ylabel() == "Training accuracy (%)"
    assert len(right.get_lines()) == 2
    other = replace(runs[2], metrics={**runs[2].metrics, "solver": "sgd"})
    for mixed, scale in (([runs[0], other], "linear"), ([slow(runs[0]), other], "log")):
        axes = compare_figure(mixed, [(0.3, 0.5)] * 2, "t", "a").axes[1]
        assert (axes.get_xlabel(), axes.get_xscale()) == ("Seconds", scale)
    (file,) = save_figures(runs, "compare", "png")
    assert file == tmp_path / "a" / "compare-a-b-c.png"
    with pytest.raises(UsageError, match="two runs or more"):
        save_figures(runs[:1], "compare", "png")


def test_pyplot_is_never_loaded():
    assert "matplotlib.pyplot" not in sys.modules
