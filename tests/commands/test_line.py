"""The straight line, command after command, as a script would call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tiers import slow

FAST = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
TRAIN_KEYS = {
    *("run", "path", "loss", "solver", "l2", "n_train", "n_val", "train_accuracy", "val_accuracy"),
    *("test_accuracy", "best_step", "objective", "gradient_norm", "converged", "seconds"),
}
CV_KEYS = {
    *("run", "folds", "l2", "mean_accuracy", "std_error", "fold_accuracy", "best_l2", "one_se_l2"),
    *("test_accuracy", "converged", "seconds"),
}


def test_extract_fills_the_store_once(linclass):
    first = linclass("extract", *FAST, "--json").json
    assert {
        "key",
        "path",
        "feature",
        "n_train",
        "n_test",
        "d",
        "cached",
        "seconds",
        "images_per_second",
    } <= set(first)
    assert (first["cached"], first["n_train"], first["n_test"], first["d"]) == (False, 1800, 348, 36)
    assert first["images_per_second"] > 0
    path = Path(first["path"])
    assert path == Path("cache/features") / f"textures-hog-{first['key'][:12]}.h5"
    stamp = path.stat().st_mtime_ns
    second = linclass("extract", *FAST, "--json").json
    assert (second["cached"], second["key"], path.stat().st_mtime_ns) == (True, first["key"], stamp)
    assert "cached" in linclass("extract", *FAST).out
    forced = linclass("extract", *FAST, "--json", "--force").json
    assert forced["cached"] is False
    assert path.stat().st_mtime_ns != stamp
    assert linclass("extract", *FAST, "--orientations", "8", "--json").json["key"] != first["key"]


@pytest.mark.parametrize(
    ("loss", "solver", "converged"),
    [
        ("softmax", "newton", True),
        ("hinge", "sgd", False),
        ("squared-hinge", "newton", True),
        ("ridge", "closed", True),
    ],
)
def test_train_records_a_run(linclass, loss, solver, converged):
    result = linclass("train", *FAST, "--loss", loss, "--name", "mine", "--json")
    assert "extracting them first" in result.err
    m = result.json
    assert set(m) >= TRAIN_KEYS
    assert (m["run"], m["loss"], m["solver"], m["converged"]) == ("mine", loss, solver, converged)
    assert (m["n_train"], m["n_val"]) == (1440, 360)
    assert m["test_accuracy"] > 0.5
    folder = Path(m["path"])
    assert {path.name for path in folder.iterdir()} == {"run.json", "history.jsonl", "model.safetensors"}
    record = json.loads((folder / "run.json").read_text())
    assert record["metrics"]["test_accuracy"] == m["test_accuracy"]
    assert record["config"]["model"]["loss"] == loss
    assert record["feature_key"][:12] in next(Path("cache/features").iterdir()).name
    last = json.loads((folder / "history.jsonl").read_text().splitlines()[-1])
    assert last["objective"] == m["objective"]


def test_same_seed_same_model_whatever_the_threads(linclass):
    models = []
    for name, threads, seed in (("a", "1", "5"), ("b", "4", "5"), ("c", "2", "6")):
        for loss in ("softmax", "hinge"):
            options = ("--loss", loss, "--threads", threads, "--seed", seed, "--name", name + loss)
            linclass("train", *FAST, *options, "--json").json  # noqa: B018
        names = [f"cache/runs/{name}{loss}/model.safetensors" for loss in ("softmax", "hinge")]
        models.append([Path(model).read_bytes() for model in names])
    assert models[0] == models[1]
    assert models[0][0] != models[2][0]
    assert models[0][1] != models[2][1]


def test_train_on_everything(linclass):
    m = linclass("train", *FAST, "--val-fraction", "0", "--json").json
    assert (m["n_train"], m["n_val"], m["val_accuracy"], m["converged"]) == (1800, 0, None, True)


def test_course_preset_trains_with_its_settings(linclass):
    m = linclass("train", "--preset", "course", "--data", "textures", "--epochs", "2", "--json").json
    assert (m["solver"], m["l2"], m["steps"]) == ("sgd", 0.0, 2)
    config = json.loads((Path(m["path"]) / "run.json").read_text())["config"]
    assert config["feature"]["block_norm"] == "L1"
    assert config["split"] == {"val_fraction": 0.2, "stratify": False}
    assert config["solver"]["learning_rate"] == 3e-3


def test_cv_then_plot(linclass):
    m = linclass("cv", *FAST, "--folds", "3", "--l2", "1e-3:1e-1:3", "--json").json
    assert set(m) >= CV_KEYS
    assert m["l2"] == [1e-3, 1e-2, 1e-1]
    assert [len(row) for row in m["fold_accuracy"]] == [3, 3, 3]
    assert m["best_l2"] in m["l2"]
    assert m["one_se_l2"] >= m["best_l2"]
    plotted = linclass("plot", m["run"], "--json").json
    assert plotted == {"runs": ["run1"], "files": ["cache/runs/run1/cv.png"]}
    assert Path(plotted["files"][0]).read_bytes().startswith(b"\x89PNG")
    shown = linclass("cv", *FAST, "--folds", "2", "--l2", "0.01")
    assert "mean accuracy" in shown.out
    assert "test accuracy of the best" in shown.out


def test_plot_prints_the_paths_of_its_files(linclass):
    for name in ("a", "b"):
        linclass("train", *FAST, "--loss", "ridge", "--name", name)
    files = linclass("plot", "a", "b", "--format", "svg", "--out", "pictures").out.split()
    assert files == ["pictures/accuracy-a-b.svg", "pictures/loss-a-b.svg"]
    assert all(Path(file).is_file() for file in files)


@slow
def test_demo_runs_the_whole_line(linclass):
    result = linclass("demo", "--json")
    answer = result.json
    assert answer["extract"]["dataset"] == "textures"
    assert [run["loss"] for run in answer["train"]] == ["softmax", "hinge"]
    assert answer["cv"]["test_accuracy"] > 0.6
    assert len(answer["plot"]["files"]) == 3
    assert all(Path(file).is_file() for file in answer["plot"]["files"])
    table = linclass("demo").out
    assert "hog features of textures" in table
    assert "run6" in table
    assert "cv.png" in table


def test_runs_and_cache_say_what_is_there(linclass):
    assert linclass("runs", "list", "--json").json == []
    assert "linclass train" in linclass("runs", "list").out
    assert linclass("cache", "list", "--json").json == []
    linclass("train", *FAST, "--loss", "ridge", "--name", "first")
    (run,) = linclass("runs", "list", "--json").json
    assert (run["run"], run["kind"], run["dataset"], run["feature"]) == ("first", "train", "textures", "hog")
    assert "first" in linclass("runs", "list").out
    shown = linclass("runs", "show", "first", "--json").json
    assert shown["config"]["data"]["name"] == "textures"
    assert "threads" in linclass("runs", "show", "first").out
    entry, *runs = linclass("cache", "verify", "--json").json
    assert [(one["kind"], one["name"]) for one in runs] == [("run", "first")]
    assert (entry["kind"], entry["intact"], entry["d"]) == ("features", True, 36)
    assert "intact" in linclass("cache", "verify").out


def test_config_show_says_where_each_value_comes_from(linclass, monkeypatch):
    Path("linclass.toml").write_text("[cv]\nfolds = 7\n")
    monkeypatch.setenv("LINCLASS_SEED", "9")
    got = linclass("config", "show", "--threads", "2", "--preset", "course", "--json").json
    assert got["cv.folds"] == {"value": 7, "source": "linclass.toml", "environment": "LINCLASS_CV_FOLDS"}
    found = {key: (entry["value"], entry["source"]) for key, entry in got.items()}
    assert found["seed"] == (9, "environment LINCLASS_SEED")
    assert found["threads"] == (2, "--threads")
    assert found["model.scale"] == ("range", "preset course")
    assert found["model.loss"] == ("softmax", "default")
    assert "LINCLASS_CV_FOLDS" in linclass("config", "show").out


def test_config_init_writes_a_file_once(linclass):
    assert linclass("config", "init").code == 0
    assert "#learning_rate = 0.001" in Path("linclass.toml").read_text()
    again = linclass("config", "init")
    assert (again.code, "--force" in again.error) == (3, True)
    assert linclass("config", "init", "--force").code == 0
