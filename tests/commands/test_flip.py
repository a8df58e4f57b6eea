"""``--augment flip`` from the command line: what is done with runs is done with such ones, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from sklearn.linear_model import Ridge

from linclass_cli.data.readers import load_dataset
from linclass_cli.evidence import Evidence
from linclass_cli.learn.splits import assign_folds
from linclass_cli.runs import load_model, load_run
from linclass_cli.scoring import score_run
from tests.tiers import few

FEATURES = {
    "pixels": (),
    "hog": ("--pixels-per-cell", "16", "--cells-per-block", "2"),
    "patches": ("--filters", "6", "--patch-samples", "500", "--rounds", "1"),
}
FEATURES["pixels+patches+hog"] = (*FEATURES["hog"], *FEATURES["patches"])


@pytest.fixture
def train(linclass):
    def train(feature: str, *more: str) -> dict:
        made = ("--data", "textures", "--feature", feature, "--augment", "flip", "--name", "mine", "--json")
        return linclass("train", *made, *more).json

    return train


def evidence() -> Evidence:
    return Evidence(load_run(Path("cache"), "mine"), lambda run: score_run("cache", run.id))


@pytest.mark.parametrize("feature", few(FEATURES))
def test_from_images_to_everything(linclass, train, feature):
    made = train(feature, *FEATURES[feature], "--val-fraction", "0")
    assert made["test_accuracy"] > (0.3 if feature == "pixels" else 0.6)
    test = load_dataset("textures", Path("cache")).test
    want = score_run("cache", "mine").scores
    assert linclass("evaluate", "mine", "--json").json["accuracy"] == made["test_accuracy"]
    # Without the stored features, by what the run holds: an image, and its mirror image.
    for path in Path("cache/features").iterdir():
        path.unlink()
    for i in range(6):
        Image.fromarray(test.images[i * 50][..., 0]).save(f"{i}.png")
        Image.fromarray(test.images[i * 50][:, ::-1, 0]).save(f"{i}-turned.png")
    names = [name for i in range(6) for name in (f"{i}.png", f"{i}-turned.png")]
    lines = linclass("predict", "mine", *names, "--json").out.splitlines()
    given = [json.loads(line) for line in lines]
    classes = load_model(Path("cache"), "mine").classes
    assert [one["label"] for one in given[::2]] == [classes[want[i * 50].argmax()] for i in range(6)]
    for own, turned in zip(given[::2], given[1::2], strict=True):
        assert own["label"] == turned["label"]
        assert own["probability"] == pytest.approx(turned["probability"], abs=1e-3)
    # Exported, it takes the images alone.
    files = linclass("export", "mine", "--json").json["files"]
    assert files == ["mine.onnx", "mine-images.onnx"]
    session = onnxruntime.InferenceSession(files[1])
    (scores,) = session.run(["scores"], {"images": test.images})
    np.testing.assert_allclose(scores, want, rtol=0, atol=1e-3 * np.abs(want).max())
    (turned,) = session.run(["scores"], {"images": np.ascontiguousarray(test.images[:, :, ::-1])})
    np.testing.assert_allclose(turned, want, rtol=0, atol=1e-3 * np.abs(want).max())
    for kind in ("safetensors", "npz"):
        assert linclass("export", "mine", "--format", kind, "--json").json["files"] == [f"mine.{kind}"]
    page = linclass("report", "mine", "--json").json
    text = Path(page.get("path") or page["files"][0]).read_text()
    assert "flip" in text


@pytest.mark.parametrize("feature", few(FEATURES))
def test_figures(linclass, train, feature):
    train(feature, *FEATURES[feature], "--loss", "ridge")
    for kind, has in (("filters", "patches"), ("weights", "pixels"), ("weights", "hog")):
        result = linclass("plot", "mine", "--kind", kind, "--json")
        if has in feature:
            for file in result.json["files"]:
                assert Path(file).read_bytes().startswith(b"\x89PNG")
    assert linclass("plot", "mine", "--kind", "all", "--json").json["files"]


def test_weights_in_a_figure_are_those_of_the_whole_image(train):
    train("pixels", "--loss", "ridge")
    part = evidence().part(0)
    assert (part.feature, part.params) == ("pixels", {"augment": "flip"})
    assert part.weight.shape == (6, 32 * 32)
    model = load_model(Path("cache"), "mine")
    assert model.weight.shape == (6, 32 * 16)
    images = load_dataset("textures", Path("cache")).test.images[:50]
    x = images.reshape(50, -1).astype(np.float64) / 255
    both = np.concatenate([x.reshape(50, 32, 32), x.reshape(50, 32, 32)[:, :, ::-1]])
    assert np.array_equal(part.weight.reshape(6, 32, 32), part.weight.reshape(6, 32, 32)[:, :, ::-1])
    # One halves what it says of both: the same as the model says of the sums.
    says = both.reshape(100, -1) @ part.weight.T.astype(np.float64) / 2
    sums = (x.reshape(50, 32, 32) + x.reshape(50, 32, 32)[:, :, ::-1])[:, :, :16].reshape(50, -1) / np.sqrt(2)
    np.testing.assert_allclose((says[:50] + says[50:]), sums @ model.weight.T.astype(np.float64), rtol=1e-4)


def test_other_images_are_judged_by_it(linclass, train):
    train("hog+patches", *FEATURES["pixels+patches+hog"])
    rng = np.random.default_rng(0)
    test = load_dataset("textures", Path("cache")).test
    names = linclass("evaluate", "mine", "--json").json["per_class"]
    labels = np.array([names[label]["class"] for label in test.labels])
    rows = rng.permutation(len(labels))[:200]
    np.savez("b.npz", images=test.images[rows], labels=labels[rows])
    linclass("import", "b.npz", "--name", "b")
    judged = linclass("evaluate", "mine", "--data", "b", "--json")
    assert judged.json["accuracy"] > 0.6


def test_cv_holds_an_image_out_together_with_its_mirror_image(linclass):
    """Against scikit-learn on both views of each image, dealt into the same folds by the image."""
    given = ("--data", "textures", "--feature", "pixels", "--augment", "flip", "--scale", "none", "--json")
    made = linclass("cv", *given, "--loss", "ridge", "--l2", "0.1", "--folds", "3", "--name", "mine").json
    train = load_dataset("textures", Path("cache")).train
    fold_of = assign_folds(train.labels, 3, 0, True)
    first = (train.images / 255.0)[..., 0]
    x = np.concatenate([first, first[:, :, ::-1]]).reshape(2 * len(first), -1)
    hot = np.eye(6)[np.tile(train.labels, 2)]
    for fold, accuracy in enumerate(made["fold_accuracy"][0]):
        rows = np.tile(fold_of != fold, 2)
        judge = Ridge(alpha=0.1 * rows.sum(), solver="cholesky").fit(x[rows], hot[rows])
        said = judge.predict(x[~rows]).reshape(2, -1, 6).argmax(axis=2)
        shares = (said == train.labels[fold_of == fold]).mean(axis=1)
        assert shares == pytest.approx([accuracy, accuracy], abs=1e-3)
    judged = linclass("evaluate", "mine", "--json").json
    assert judged["accuracy"] == made["test_accuracy"]


def test_the_store_tells_them_apart(linclass):
    given = ("extract", "--data", "textures", "--feature", "pixels", "--json")
    plain, flip = linclass(*given).json, linclass(*given, "--augment", "flip").json
    assert plain["key"] != flip["key"]
    assert (plain["d"], flip["d"]) == (1024, 512)
    again = linclass(*given, "--augment", "none").json
    assert (again["key"], again["cached"]) == (plain["key"], True)
    listed = linclass("cache", "list", "--json").json
    assert {plain["path"], flip["path"]} <= {one["path"] for one in listed}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--augment", "up"), 'feature.augment = "up" (from --augment): allowed is none, flip'),
        (("--feature", "vectors", "--augment", "flip"), "vectors has no augment"),
        (("--feature", "gradients", "--directions", "17"), "allowed is an even whole number >= 2 and <= 72"),
        (("--feature", "gradients", "--cells", "x"), "allowed is up to 8 whole numbers with commas, as 8,4"),
        (("--feature", "gradients", "--cells", "8,8"), "cells = 8,8 has 8 more than once"),
        (("--feature", "gradients", "--cells", "0"), "1 to 64, with commas, not '0'"),
        (("--feature", "pairs", "--distances", "64"), "take --distances up to 31"),
        (("--feature", "pairs", "--regions", "17"), "allowed is a whole number >= 1 and <= 16"),
        (("--feature", "colours", "--levels", "1"), "allowed is a whole number >= 2 and <= 16"),
        (("--feature", "colours", "--colour-cells", "33"), "take --colour-cells up to 32"),
        (("--feature", "hog", "--cells", "4"), "hog has no cells"),
    ],
)
def test_refusals(linclass, options, words):
    result = linclass("extract", "--data", "textures", *options)
    assert result.code == 3
    assert words in result.error
