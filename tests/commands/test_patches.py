"""The feature `patches` from the command line: learned once, kept with the features and with every run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from linclass_cli import memory, safetensors, scoring
from linclass_cli.data.readers import load_dataset
from linclass_cli.evidence import Evidence
from linclass_cli.features import make_extractor, with_learned
from linclass_cli.predicting.predictor import load_predictor
from linclass_cli.runs import load_model, load_run
from linclass_cli.scoring import score_run
from tests.commands.test_line import FAST

SMALL = ("--feature", "patches", "--filters", "8", "--patch-samples", "500", "--rounds", "1")


def test_a_dictionary_that_does_not_fit_is_refused_before_the_work(linclass, monkeypatch):
    left = memory.Left(3 * 10**9, "on this machine", "free some")
    monkeypatch.setattr(memory, "physical", lambda: left)
    many = ("--patch-samples", "10000000", "--filters", "8")
    result = linclass("extract", "--data", "textures", "--feature", "pixels+patches", *many)
    assert result.code == 6
    assert "the dictionary 4.3 GB" in result.error
    assert result.error.endswith("a smaller feature: fewer --patch-samples or --filters")


def test_what_was_learned_goes_with_the_features_and_the_run(linclass):
    made = linclass("train", "--data", "textures", *SMALL, "--name", "mine", "--json").json
    assert made["test_accuracy"] > 0.9
    (file,) = Path("cache/features").glob("textures-patches-*.h5")
    tensors, _ = safetensors.parse(Path("cache/runs/mine/model.safetensors").read_bytes(), "it")
    with h5py.File(file) as features:
        X = features["train/features"][:5]
        learned = {
            f"patches.{name}": features[f"learned/patches.{name}"][:]
            for name in ("mean", "whitening", "filters")
        }
    for name, array in learned.items():
        assert tensors[f"feature.{name}"].tobytes() == array.tobytes()
    # The features of a training image, by what the file holds.
    images = load_dataset("textures", Path("cache")).train.images[:5]
    extractor = with_learned(make_extractor("patches", filters=8, patch_samples=500, rounds=1), learned)
    again = np.empty_like(X)
    extractor(images, again)
    assert again.tobytes() == X.tobytes()


def test_predict_needs_no_feature_file(linclass):
    linclass("train", "--data", "textures", *SMALL, "--name", "mine")
    test = load_dataset("textures", Path("cache")).test
    for path in Path("cache/features").iterdir():
        path.unlink()
    for i in range(20):
        Image.fromarray(test.images[i * 17][..., 0]).save(f"{i}.png")
    given = [linclass("predict", "mine", f"{i}.png", "--json").json["label"] for i in range(20)]
    names = linclass("evaluate", "mine", "--json").json["per_class"]
    assert np.mean([label == names[test.labels[i * 17]]["class"] for i, label in enumerate(given)]) > 0.8


def test_an_extraction_by_other_threads_is_the_same_file(linclass):
    first = linclass("extract", "--data", "textures", *SMALL, "--threads", "1", "--json").json
    content = Path(first["path"]).read_bytes()
    linclass("extract", "--data", "textures", *SMALL, "--threads", "3", "--force")
    assert Path(first["path"]).read_bytes() == content


def test_refusals(linclass):
    result = linclass("extract", "--data", "textures", "--feature", "patches", "--patch-size", "40")
    assert result.code == 3
    assert "too small for patches of 40 pixels" in result.error
    result = linclass("extract", "--data", "textures", "--feature", "hog", "--filters", "40")
    assert result.code == 3
    assert "filters" in result.error


def test_the_filters_are_drawn_heaviest_first(linclass):
    linclass("train", "--data", "textures", *SMALL[2:], "--feature", "hog+patches", "--name", "mine")
    for path in Path("cache/features").iterdir():
        path.unlink()  # the run's own record is enough
    files = linclass("plot", "mine", "--kind", "filters", "--json").json["files"]
    assert files == ["cache/runs/mine/filters.png"]
    assert Path(files[0]).read_bytes().startswith(b"\x89PNG")
    tensors, _ = safetensors.parse(Path("cache/runs/mine/model.safetensors").read_bytes(), "it")
    weight = tensors["weight"][:, -9 * 2 * 8 :].reshape(6, 9, 2, 8)
    order = np.argsort(-np.sqrt((weight.astype(np.float64) ** 2).sum(axis=(0, 1, 2))))
    found = Evidence(load_run(Path("cache"), "mine"), pytest.fail).filters
    assert found.shape == (8, 6, 6, 1)
    assert found.reshape(8, 36).tolist() == tensors["feature.patches.filters"][order].tolist()


def test_a_run_on_the_triangle_of_distances(linclass):
    """One value a filter and region, from the features to the figures and back to images."""
    options = ("--data", "textures", *SMALL, "--encoding", "triangle")
    trained = linclass("train", *options, "--name", "mine", "--json").json
    assert trained["test_accuracy"] > 0.75
    plain = linclass("extract", "--data", "textures", *SMALL, "--json").json
    made = linclass("extract", *options, "--json").json
    assert (made["d"], plain["d"]) == (9 * 8, 9 * 2 * 8)
    assert made["path"] != plain["path"]
    assert linclass("plot", "mine", "--kind", "filters", "--json").json["files"]
    tensors, _ = safetensors.parse(Path("cache/runs/mine/model.safetensors").read_bytes(), "it")
    order = np.argsort(-np.linalg.norm(tensors["weight"].reshape(6 * 9, 8).astype(np.float64), axis=0))
    found = Evidence(load_run(Path("cache"), "mine"), pytest.fail).filters
    assert found.reshape(8, 36).tolist() == tensors["feature.patches.filters"][order].tolist()
    assert linclass("evaluate", "mine", "--json").json["accuracy"] == trained["test_accuracy"]
    shown = linclass("runs", "show", "mine").out
    assert ("feature.encoding" in shown, "feature.threshold" in shown) == (True, False)
    linclass("train", "--data", "textures", *SMALL, "--name", "other")
    assert "feature.threshold" in linclass("runs", "compare", "mine", "other").out


def test_a_threshold_is_not_for_the_triangle(linclass):
    result = linclass("extract", "--data", "textures", *SMALL, "--encoding", "triangle", "--threshold", "1")
    assert result.code == 3
    assert "the encoding triangle has no threshold (1): leave that out" in result.error


def test_filters_of_a_run_that_has_none(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "other")
    result = linclass("plot", "other", "--kind", "filters")
    assert result.code == 3
    assert "other is on hog, which has no filters to plot: `linclass train --feature patches`" in result.error
    every = linclass("plot", "other", "--kind", "all", "--json")
    assert "filters" not in " ".join(every.json["files"]) + every.err


def shapes(name: str, shape: tuple[int, int, int], seed: int, count: int = 90) -> None:
    """An .npz of three classes that patches tell apart: lines down, lines across, a chessboard; and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] // 2 % 2
    labels = np.arange(count) % 3
    images = np.stack([(x, y, x ^ y)[label] * 150 for label in labels])[..., None]
    images = images + rng.integers(0, 100, (count, *shape))
    np.savez(name, images=images.astype(np.uint8), labels=labels)


@pytest.mark.parametrize("feature", ["patches", "patches+hog"])
@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (96, 96, 3), (25, 45, 3)])
def test_from_arrays_to_predictions(linclass, shape, feature):
    shapes("a.npz", shape, 0)
    options = ("--data", "a", *SMALL[2:], "--feature", feature)
    linclass("import", "a.npz", "--name", "a")
    d = linclass("extract", *options, "--json").json["d"]
    assert (d == 9 * 2 * 8) == (feature == "patches")
    trained = linclass("train", *options, "--name", "one", "--json").json
    chosen = linclass("cv", *options, "--folds", "2", "--l2", "0.01,0.1", "--name", "two", "--json").json
    assert trained["test_accuracy"] == chosen["test_accuracy"] == 1
    assert linclass("evaluate", "one", "two", "--json").json["accuracy"] == 1
    with np.load("a.npz") as arrays:
        for i, image in enumerate(arrays["images"][:12]):
            Image.fromarray(image.squeeze()).save(f"{i}.png")
    given = linclass("predict", "one", *(f"{i}.png" for i in range(12)), "--json").out.splitlines()
    assert [json.loads(line)["label"] for line in given] == [str(i % 3) for i in range(12)]


def test_from_folders_to_predictions(linclass):
    shapes("a.npz", (40, 30, 3), 0, 60)
    with np.load("a.npz") as arrays:
        for i, image in enumerate(arrays["images"]):
            place = Path("photos", f"kind {i % 3}", f"{i}.png")
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place)
    linclass("import", "photos", "--name", "mine", "--size", "32")
    linclass("train", "--data", "mine", *SMALL[2:], "--feature", "hog+patches", "--name", "one")
    given = linclass("predict", "one", "photos", "--json").out.splitlines()
    answers = [json.loads(line) for line in given]
    assert len(answers) == 60
    assert all(Path(answer["path"]).parent.name == answer["label"] for answer in answers)


def test_other_images_are_judged_by_the_filters_of_the_run(linclass):
    """Another dataset has learned other filters, in another order: the model's weights mean nothing there."""
    shapes("a.npz", (16, 16, 1), 0)
    shapes("b.npz", (16, 16, 1), 1)
    for name in "ab":
        linclass("import", f"{name}.npz", "--name", name)
        linclass("train", "--data", name, *SMALL, "--name", f"on-{name}")
    judged = linclass("evaluate", "on-a", "--data", "b", "--json")
    assert "computing features of b with what on-a has learned" in judged.err
    with np.load("b.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    predictor = load_predictor(Path("cache"), "on-a")
    scored = score_run("cache", "on-a", data="b", part="train")
    rows = [
        np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0]
        for image in load_dataset("b", Path("cache")).train.images
    ]
    assert scored.scores.tobytes() == predictor.scores(images[rows]).tobytes()
    assert scored.y.tolist() == labels[rows].tolist()
    assert judged.json["accuracy"] == 1
    assert "computing" not in linclass("evaluate", "on-a").err


def test_features_of_other_filters_are_not_taken_for_the_run_s_own(linclass):
    linclass("train", "--data", "textures", *SMALL, "--name", "mine")
    want = score_run("cache", "mine").scores.tobytes()
    (file,) = Path("cache/features").iterdir()
    file.unlink()
    assert score_run("cache", "mine").scores.tobytes() == want
    assert not file.exists()  # nothing is learned again
    linclass("extract", "--data", "textures", *SMALL)
    model = load_model(Path("cache"), "mine")
    turned = {name: -array if "filters" in name else array for name, array in model.learned.items()}
    other = replace(model, learned=turned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "load_model", lambda *_: other)
        assert score_run("cache", "mine").scores.tobytes() != want
