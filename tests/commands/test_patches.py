"""The feature `patches` from the command line: learned once, kept with the features and with every run."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from linclass_cli import safetensors
from linclass_cli.evidence import Evidence
from linclass_cli.features import make_extractor, with_learned
from linclass_cli.runs import load_run
from tests.commands.test_line import FAST

SMALL = ("--feature", "patches", "--filters", "8", "--patch-samples", "500", "--rounds", "1")


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
    from linclass_cli.data.readers import load_dataset

    images = load_dataset("textures", Path("cache")).train.images[:5]
    extractor = with_learned(make_extractor("patches", filters=8, patch_samples=500, rounds=1), learned)
    again = np.empty_like(X)
    extractor(images, again)
    assert again.tobytes() == X.tobytes()


def test_predict_needs_no_feature_file(linclass):
    linclass("train", "--data", "textures", *SMALL, "--name", "mine")
    from linclass_cli.data.readers import load_dataset

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
    weight = tensors["weight"][:, -4 * 2 * 8 :].reshape(6, 4, 2, 8)
    order = np.argsort(-np.sqrt((weight.astype(np.float64) ** 2).sum(axis=(0, 1, 2))))
    found = Evidence(load_run(Path("cache"), "mine"), pytest.fail).filters
    assert found.shape == (8, 6, 6, 1)
    assert found.reshape(8, 36).tolist() == tensors["feature.patches.filters"][order].tolist()


def test_filters_of_a_run_that_has_none(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "other")
    result = linclass("plot", "other", "--kind", "filters")
    assert result.code == 3
    assert "other is on hog, which has no filters to plot: `linclass train --feature patches`" in result.error
    every = linclass("plot", "other", "--kind", "all", "--json")
    assert "filters" not in " ".join(every.json["files"]) + every.err
