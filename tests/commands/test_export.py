"""``linclass export``: files that other programs read, with the model's numbers in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from linclass_cli import safetensors
from linclass_cli.data.readers import load_dataset
from linclass_cli.errors import InputError
from linclass_cli.exporting.files import export_run
from linclass_cli.predicting.predictor import load_predictor
from linclass_cli.scoring import score_run
from tests.commands.test_line import FAST


@pytest.fixture
def scored(linclass):
    """The test scores of a run named r."""
    assert linclass("train", *FAST, "--name", "r").code == 0
    return score_run("cache", "r", lambda *_: None, lambda *_: None)


def test_onnx_gives_two_models(linclass, scored):
    answer = linclass("export", "r", "--json").json
    assert answer == {"run": "r", "files": ["r.onnx", "r-images.onnx"]}
    images = load_dataset("textures", Path("cache")).test.images
    session = onnxruntime.InferenceSession("r-images.onnx")
    p, label = session.run(["probabilities", "label"], {"images": images})
    assert p.shape == (348, 6)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert np.mean(label == scored.y) == pytest.approx(np.mean(scored.scores.argmax(axis=1) == scored.y))
    assert linclass("export", "r", "--out", "sub").out.split() == ["sub/r.onnx", "sub/r-images.onnx"]


def test_onnx_says_where_images_cannot_go_in(linclass):
    linclass("train", *FAST, "--transform-sqrt", "--name", "s")
    result = linclass("export", "s", "--json")
    assert result.json["files"] == ["s.onnx"]
    assert "no model with images in" in result.err


def test_safetensors_and_npz_hold_the_model_and_how_to_use_it(linclass, scored):
    x = np.random.default_rng(0).random((4, 36))
    (file,) = linclass("export", "r", "--format", "safetensors", "--json").json["files"]
    tensors, about = safetensors.parse(Path(file).read_bytes(), file)
    assert json.loads(about["classes"]) == list(scored.model.classes)
    assert about["probabilities"] == "softmax(scores / temperature)"
    (file,) = linclass("export", "r", "--format", "npz", "--json").json["files"]
    with np.load(file, allow_pickle=False) as arrays:
        assert list(arrays["classes"]) == list(scored.model.classes)
        assert str(arrays["scores"]) == about["scores"]
        for m in (tensors, arrays):
            scores = ((x - m["mean"]) * m["factor"]) @ m["weight"].T + m["bias"]
            model = scored.model
            own = ((x - model.mean) * model.factor) @ model.weight.T + model.bias
            np.testing.assert_array_equal(scores, own)


def test_a_run_on_patches_goes_out_with_its_dictionary(linclass):
    small = ("--filters", "8", "--patch-samples", "500", "--rounds", "1")
    linclass("train", "--data", "textures", "--feature", "patches+hog", *small, "--name", "p")
    ours = load_predictor(Path("cache"), "p")
    images = load_dataset("textures", Path("cache")).test.images[:100]
    assert linclass("export", "p", "--json").json["files"] == ["p.onnx", "p-images.onnx"]
    session = onnxruntime.InferenceSession("p-images.onnx")
    scores, label = session.run(["scores", "label"], {"images": images})
    np.testing.assert_allclose(scores, ours.scores(images), atol=1e-3)
    assert label.tolist() == ours.scores(images).argmax(axis=1).tolist()
    linclass("export", "p", "--format", "safetensors")
    linclass("export", "p", "--format", "npz")
    tensors, _ = safetensors.parse(Path("p.safetensors").read_bytes(), "it")
    with np.load("p.npz", allow_pickle=False) as arrays:
        for name, array in ours.model.learned.items():
            assert (
                tensors[f"feature.{name}"].tobytes() == array.tobytes() == arrays[f"feature.{name}"].tobytes()
            )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody"], 4, "no run nobody"),
        (["r", "--format", "pickle"], 3, "--format pickle: allowed is onnx, safetensors, npz"),
        (["r", "--out", "cache/runs/r/run.json"], 6, "a file stands where a folder is needed"),
    ],
)
def test_mistakes(linclass, scored, arguments, code, words):
    result = linclass("export", *arguments)
    assert (result.code, words in result.error) == (code, True)


def test_an_unknown_format_is_refused_in_python_too(scored, tmp_path):
    with pytest.raises(InputError, match="pickle is no format: allowed is onnx, safetensors, npz"):
        export_run(Path("cache"), "r", "pickle", tmp_path / "new")
    assert not (tmp_path / "new").exists()
