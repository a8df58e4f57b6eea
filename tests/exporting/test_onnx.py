"""Exported models give onnxruntime the numbers that linclass has."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from skimage import data as pictures

from linclass_cli.data.pictures import Frame
from linclass_cli.errors import MissingError
from linclass_cli.exporting.graph import Graph
from linclass_cli.exporting.images import image_nodes, unfaithful
from linclass_cli.exporting.onnx_model import features_model, images_model
from linclass_cli.features import Flipped, Patches, bare, fit_extractor, make_extractor
from linclass_cli.learn.metrics import log_probabilities
from linclass_cli.model import Model
from linclass_cli.predicting.predictor import Predictor
from tests import naive

SHAPES = [(32, 32, 3), (32, 32, 1), (28, 45, 3)]


def crops(shape: tuple[int, int, int], count: int = 60) -> np.ndarray:
    """Pieces of real photographs, and an image each of black, white, noise and stripes."""
    rng = np.random.default_rng(0)
    photo = pictures.astronaut()
    height, width, channels = shape
    images = np.empty((count, *shape), np.uint8)
    for image in images:
        y, x = rng.integers(0, 512 - height), rng.integers(0, 512 - width)
        image[:] = photo[y : y + height, x : x + width, :channels]
    images[0], images[1] = 0, 255
    images[2] = rng.integers(0, 256, shape)
    images[3] = (np.arange(width) % 4 // 2 * 200)[None, :, None]
    return images


def run(content: bytes, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def predictor(extractor, shape, loss="softmax", k=5, **more) -> Predictor:
    rng = np.random.default_rng(1)
    d = extractor.dim(shape)
    model = Model(
        weight=rng.normal(size=(k, d)).astype(np.float32),
        bias=rng.normal(size=k).astype(np.float32),
        mean=rng.random(d),
        factor=rng.random(d) + 0.5,
        classes=tuple("äbcde"[:k]),
        loss=loss,
        feature_key="0" * 64,
        **more,
    )
    return Predictor("r", model, extractor, Frame(*shape))


def nodes_alone(extractor, shape) -> bytes:
    graph = Graph()
    found = image_nodes(graph, "images", extractor, shape)
    graph.add("Identity", found, output="features")
    outputs = {"features": (np.float32, ["n", extractor.dim(shape)])}
    return graph.model({"images": (np.uint8, ["n", *shape])}, outputs, {}, "")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pixels", {}),
        ("hog", {}),
        ("hog", {"channels": "largest", "cells_per_block": 2}),
        ("hog", {"block_norm": "L1", "pixels_per_cell": 7}),
        ("hog", {"block_norm": "L1-sqrt", "orientations": 7, "cells_per_block": 1}),
        ("hog", {"block_norm": "L2", "orientations": 1}),
        ("hog", {"channels": "largest", "orientations": 12}),
        ("hog+pixels", {"pixels_per_cell": 4}),
        ("patches", {}),
        ("patches", {"overlap": False, "patch_size": 5, "threshold": 0.0}),
        ("patches", {"overlap": False, "square_root": False}),
        ("patches", {"square_root": False, "pooling": 2}),
        ("patches", {"pooling": 1, "contrast": 0.0}),
        ("patches", {"patch_size": 1, "filters": 2}),
        ("patches", {"encoding": "triangle"}),
        ("patches", {"encoding": "triangle", "overlap": False, "square_root": False, "pooling": 2}),
        ("patches", {"encoding": "triangle", "augment": "flip"}),
        ("hog+patches", {"pixels_per_cell": 4}),
        ("pixels", {"augment": "flip"}),
        ("hog", {"augment": "flip"}),
        ("patches", {"augment": "flip"}),
        ("patches", {"augment": "flip", "overlap": False}),
        ("patches", {"augment": "flip", "square_root": False}),
        ("pixels+hog+patches", {"augment": "flip", "pixels_per_cell": 4}),
    ],
)
def test_features_of_images(shape, name, options):
    images = crops(shape)
    if options.get("patch_size") == 1 and shape[2] == 1:
        options = options | {"patch_size": 2}  # one grey value is refused
    learning = {"filters": 9, "patch_samples": 500, "rounds": 1} if "patches" in name else {}
    extractor = fit_extractor(make_extractor(name, **learning | options), images)
    expected = np.empty((len(images), extractor.dim(shape)), np.float32)
    extractor(images, expected)
    assert unfaithful(extractor, shape) is None
    found = run(nodes_alone(extractor, shape), images=images)["features"]
    first = 0
    for part in getattr(extractor, "parts", (extractor,)):
        columns = slice(first, first := first + part.dim(shape))
        near(found[:, columns], expected[:, columns], part)
    assert first == found.shape[1]


def near(found, expected, part):
    """Equal but for rounding, which roots make much of where a sum is nearly 0."""
    patches = bare(part)
    if not isinstance(patches, Patches):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        return
    if patches.square_root:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-2)
        found, expected = found.astype(np.float64) ** 2, expected.astype(np.float64) ** 2
    # Answers of hundreds of patches are added up, and each is rounded as such a sum may be. The distance of a
    # patch that is a centroid is the root of what should be 0.
    flipped = isinstance(part, Flipped) and patches.square_root
    triangle = patches.encoding == "triangle"
    rtol, atol = 1e-3 if flipped else 1e-4, 3e-2 if triangle else 1e-2 if flipped else 2e-3
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("name", "options", "shape", "words"),
    [
        ("hue", {}, (32, 32, 3), "hue is not among"),
        ("hog", {"transform_sqrt": True}, (32, 32, 1), "transform_sqrt"),
        ("hog", {"orientations": 8}, (32, 32, 3), "45 degrees"),
        ("hog+hue", {}, (32, 32, 3), "hue is not among"),
        ("hue", {"augment": "flip"}, (32, 32, 3), "hue is not among"),
        ("gradients", {}, (32, 32, 3), "gradients is not among"),
        ("pairs+hog", {}, (32, 32, 3), "pairs is not among"),
        ("pixels+colours", {"augment": "flip"}, (32, 32, 3), "colours is not among"),
        ("hog", {"transform_sqrt": True, "augment": "flip"}, (32, 32, 1), "transform_sqrt"),
        ("hog", {"pixels_per_cell": 1, "cells_per_block": 1}, (2, 9, 1), "less than 3 pixels"),
    ],
)
def test_what_would_not_be_faithful_is_not_exported(name, options, shape, words):
    assert words in unfaithful(make_extractor(name, **options), shape)


def test_a_dictionary_of_other_images_is_not_exported():
    extractor = fit_extractor(make_extractor("patches", filters=3, patch_samples=50), crops((9, 9, 3), 5))
    assert unfaithful(extractor, (9, 9, 3)) is None
    assert "channels" in unfaithful(extractor, (9, 9, 1))
    assert "channels" in unfaithful(make_extractor("patches"), (9, 9, 3))


def test_ties_at_45_degrees_are_no_matter_of_grey_images():
    extractor, shape = make_extractor("hog", orientations=8), (32, 32, 1)
    images = crops(shape)
    expected = np.empty((len(images), extractor.dim(shape)), np.float32)
    extractor(images, expected)
    assert unfaithful(extractor, shape) is None
    assert np.abs(run(nodes_alone(extractor, shape), images=images)["features"] - expected).max() < 1e-5


@pytest.mark.parametrize("more", [{}, {"temperature": 2.5, "calibrated": True}])
def test_probabilities_scores_and_labels(more):
    shape = (32, 32, 3)
    ours = predictor(make_extractor("hog"), shape, **more)
    images = crops(shape)
    scores = ours.scores(images)
    p = np.exp(log_probabilities(scores, ours.model.temperature))
    for found in (
        run(features_model(ours), features=ours.features(images)),
        run(images_model(ours), images=images),
    ):
        assert list(found) == ["probabilities", "scores", "label"]
        np.testing.assert_allclose(found["scores"], scores, atol=2e-4)
        np.testing.assert_allclose(found["probabilities"], p, atol=1e-4)
        assert np.mean(found["label"] == scores.argmax(axis=1)) == 1
    model = onnx.load(io.BytesIO(images_model(ours)))
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["classes"]) == list("äbcde")
    assert json.loads(about["feature"])["name"] == "hog"
    assert json.loads(about["image_shape"]) == [32, 32, 3]


def test_the_graph_of_patches_is_as_near_to_the_slow_way_as_the_kernels():
    shape = (16, 15, 3)
    images = crops(shape, 12)
    extractor = fit_extractor(make_extractor("patches", filters=9, patch_samples=500, rounds=1), images)
    learned = extractor.dictionary
    arrays = [array.astype(np.float64) for array in (learned.mean, learned.whitening, learned.filters)]
    slow = [
        naive.patches(image, *arrays, 3, extractor.threshold, extractor.contrast, True, True)
        for image in images
    ]
    found = run(nodes_alone(extractor, shape), images=images)["features"]
    np.testing.assert_allclose(found.astype(np.float64) ** 2, np.square(slow), rtol=1e-4, atol=1e-4)
    # The first image is black, the second white: what convolutions of flat patches round does not count.
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_losses_without_probabilities_have_scores():
    ours = predictor(make_extractor("pixels"), (8, 8, 1), loss="hinge", k=2)
    images = crops((8, 8, 1))
    found = run(images_model(ours), images=images)
    assert list(found) == ["scores", "label"]
    np.testing.assert_array_equal(found["label"], ours.scores(images).argmax(axis=1))
    assert len(run(images_model(ours), images=images[:1])["label"]) == 1


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingError, match=r"pip install 'linclass\[onnx\]'"):
        Graph()


def test_pictures_are_as_pillow_opens_them():
    """What stands in the help: an array of Pillow's goes in as it is."""
    ours = predictor(make_extractor("pixels"), (9, 7, 3))
    image = Image.fromarray(crops((9, 7, 3))[5])
    found = run(images_model(ours), images=np.asarray(image)[None])
    np.testing.assert_allclose(found["scores"], ours.scores(np.asarray(image)[None]), atol=1e-4)
