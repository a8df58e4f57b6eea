"""`--augment flip`: features of an image and its mirror image together, and what is claimed of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.config import Config
from linclass_cli.config_sections import FeatureConfig, ModelConfig, SolverConfig, SplitConfig
from linclass_cli.errors import InputError, SettingsError
from linclass_cli.features import (
    FEATURES,
    Flipped,
    bare,
    describe_extractor,
    fit_extractor,
    flipped,
    learned_by,
    learns,
    make_extractor,
    with_learned,
)
from linclass_cli.features.flipped import mirror_pairs, unfold
from linclass_cli.learn.fit import train
from linclass_cli.scoring import linear_scores
from linclass_cli.settings import resolve
from linclass_cli.store import Block, Features, make_key
from linclass_cli.threads import use_threads

from .pictures import extract, mirrored, pictures

SMALL = {
    "hog": {"pixels_per_cell": 4, "cells_per_block": 2},
    "patches": {"filters": 5, "patch_samples": 200, "rounds": 1, "patch_size": 3},
    "gradients": {"directions": 6, "cells": "3,2"},
    "pairs": {"pair_directions": 4, "distances": "1,2"},
    "colours": {"levels": 3, "colour_cells": "2,3"},
}
PERMUTED = ("pixels", "hue", "gradients", "pairs", "colours")
IMAGES = ("hog", "patches", *PERMUTED)


def both(name, images):
    """The extractor, and the flipped one of the same parameters, that have learned from the images."""
    plain = fit_extractor(make_extractor(name, **SMALL.get(name, {})), images)
    flip = with_learned(make_extractor(name, augment="flip", **SMALL.get(name, {})), learned_by(plain))
    return plain, flip


def test_every_feature_of_images_is_here():
    assert {*IMAGES, "vectors"} == set(FEATURES)


@pytest.mark.parametrize("shape", [(10, 12, 3), (9, 11, 3)])
@pytest.mark.parametrize("name", IMAGES)
def test_both_images_count_the_same(name, shape):
    images = pictures(shape)
    plain, flip = both(name, images)
    own, other = extract(plain, images).astype(np.float64), extract(plain, mirrored(images))
    found = extract(flip, images)
    pairs = mirror_pairs(plain, shape)
    if name in PERMUTED:
        assert flip.dim(shape) == len(pairs.first) == found.shape[1]
        columns = np.arange(own.shape[1])
        assert sorted({*pairs.first, *pairs.second}) == columns.tolist()
        same = pairs.first == pairs.second
        expected = np.where(same, own[:, pairs.first], ((own + other) / np.sqrt(2))[:, pairs.first])
        # Lengths and products stay what they are: of columns that are permuted, the mean of both products.
        half = (own + other) / 2
        np.testing.assert_allclose(found @ found.T, half @ half.T, rtol=1e-4, atol=1e-3)
    else:
        assert pairs is None
        assert flip.dim(shape) == plain.dim(shape)
        expected = (own + other) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=3e-3)
    np.testing.assert_allclose(extract(flip, mirrored(images)), found, rtol=1e-4, atol=3e-3)
    assert (found != extract(flip, images[::-1])).any()


def test_half_as_many_columns():
    shape = (32, 32, 3)
    for name in ("pixels", "gradients", "colours"):
        assert 2 * Flipped(make_extractor(name)).dim(shape) == make_extractor(name).dim(shape)
    # The column in the middle of an odd width stays as it is.
    assert Flipped(make_extractor("pixels")).dim((4, 5, 2)) == 4 * 3 * 2
    assert Flipped(make_extractor("hue")).dim(shape) == 16
    images = pictures((6, 5, 3))
    assert (
        extract(Flipped(make_extractor("hue")), images).tobytes()
        == extract(make_extractor("hue"), images).tobytes()
    )


@pytest.mark.parametrize("name", IMAGES)
def test_same_bits_for_any_threads_and_any_company(name, monkeypatch):
    images = np.concatenate([pictures((10, 12, 3), seed) for seed in range(20)])
    _, flip = both(name, images)
    with use_threads(1):
        one = extract(flip, images)
    with use_threads(3):
        assert extract(flip, images).tobytes() == one.tobytes()
    monkeypatch.setattr(flipped, "_VALUES", 1000)
    assert extract(flip, images).tobytes() == one.tobytes()
    assert extract(flip, images[70:71]).tobytes() == one[70].tobytes()


def test_the_key_knows_it():
    plain, flip = (make_extractor("hog", augment=augment) for augment in ("none", "flip"))
    assert "augment" not in describe_extractor(plain)["params"]
    assert describe_extractor(flip)["params"] == {**plain.params, "augment": "flip"}
    joined = [make_extractor("hog+hue", augment=augment) for augment in ("none", "flip")]
    keys = {make_key(describe_extractor(one)) for one in (plain, flip, *joined)}
    assert len(keys) == 4
    assert [bare(part) for part in joined[1].parts] == list(joined[0].parts)
    assert make_extractor("hog", **flip.params) == flip


def test_what_was_learned_goes_in_and_out():
    images = pictures((10, 12, 3))
    plain, flip = both("patches", images)
    fitted = fit_extractor(make_extractor("patches", augment="flip", **SMALL["patches"]), images)
    assert learns(flip)
    assert not learns(make_extractor("hog", augment="flip"))
    assert {name: array.tobytes() for name, array in learned_by(fitted).items()} == {
        name: array.tobytes() for name, array in learned_by(plain).items()
    }
    assert extract(fitted, images).tobytes() == extract(flip, images).tobytes()
    options = {**SMALL["patches"], **SMALL["gradients"], "augment": "flip"}
    joined = make_extractor("gradients+patches", **options)
    assert learns(joined)
    columns = extract(with_learned(joined, learned_by(fitted)), images)
    assert columns[:, -flip.dim((10, 12, 3)) :].tobytes() == extract(flip, images).tobytes()


def test_refusals():
    with pytest.raises(InputError, match="imported vectors have no mirror images: leave --augment out"):
        make_extractor("vectors", augment="flip")
    with pytest.raises(InputError, match="augment must be one of none, flip, not 'up'"):
        make_extractor("hog", augment="up")
    with pytest.raises(SettingsError, match="vectors has no augment; it belongs to feature hog, pixels"):
        flags = {"feature.name": ("--feature", "vectors"), "feature.augment": ("--augment", "flip")}
        resolve(flags, environment={})
    assert FeatureConfig(name="pixels", augment="flip").options("pixels") == {"augment": "flip"}


def learn(X, y, loss, l2):
    """The model that the command would train on all rows, as near to the optimum as it goes."""
    config = Config(
        model=ModelConfig(loss=loss, l2=l2, scale="none"),
        solver=SolverConfig(name="newton", gap=1e-9),
        split=SplitConfig(val_fraction=0),
    )
    training = train(
        Features(Block(X, y), Block(X, y), "k" * 64, {}, Path("nowhere")), ("a", "b", "c"), config
    )
    outcome = None
    while outcome is None:
        try:
            next(training)
        except StopIteration as end:
            outcome = end.value
    assert outcome.metrics["converged"]
    return outcome


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        *itertools.product(("pixels", "gradients"), ("softmax", "squared-hinge", "ridge")),
        ("colours", "squared-hinge"),
        ("pairs", "ridge"),
    ],
)
def test_it_is_training_on_every_image_and_its_mirror_image(name, loss):
    """The mean of the loss over 2 n rows, and over n rows of the sums: one optimum, and the same scores."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (120, 7, 9, 3)).astype(np.uint8)
    y = np.arange(120) % 3
    images[y == 0, :, :3] += 40  # what is to be learned has a side
    images[y == 1, 2] += 50
    few, new = images[:80], images[80:]
    plain, flip = both(name, few)
    X = extract(plain, np.concatenate([few, mirrored(few)]))
    l2 = 0.02 * float(X.var(axis=0).sum())
    twice = learn(X, np.tile(y[:80], 2), loss, l2)
    once = learn(extract(flip, few), y[:80], loss, l2)
    assert once.metrics["objective"] == pytest.approx(twice.metrics["objective"], rel=2e-6)
    expected = linear_scores(twice.model, extract(plain, new))
    scores = linear_scores(once.model, extract(flip, new))
    spread = scores.std()
    # The symmetric solution: what it says of an image it says of its mirror image.
    other = linear_scores(twice.model, extract(plain, mirrored(new)))
    np.testing.assert_allclose(other, expected, rtol=0, atol=2e-3 * spread)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-3 * spread)
    # And the weights of a figure are those of the larger model.
    weight = unfold(once.model.weight, plain, (7, 9, 3))
    largest = np.abs(twice.model.weight).max()
    np.testing.assert_allclose(weight, twice.model.weight, rtol=0, atol=5e-3 * largest)
    # Which a model of the images alone is not.
    alone = linear_scores(learn(X[:80], y[:80], loss, l2).model, extract(plain, new))
    assert np.abs(alone - expected).max() > 0.05 * spread
