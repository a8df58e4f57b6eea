"""Joined features: each part's columns, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.config_sections import FeatureConfig
from linclass_cli.errors import InputError, SettingsError
from linclass_cli.features import describe_extractor, make_extractor
from linclass_cli.settings import resolve
from linclass_cli.store import make_key

OPTIONS = {"orientations": 5, "pixels_per_cell": 4, "bins": 7}


def test_columns_stand_one_after_the_other():
    images = np.random.default_rng(0).integers(0, 256, (2100, 12, 16, 3), np.uint8)
    joined = make_extractor("hue+hog", **OPTIONS)
    parts = [make_extractor("hue", bins=7), make_extractor("hog", orientations=5, pixels_per_cell=4)]
    out = [np.empty((2100, one.dim((12, 16, 3))), np.float32) for one in (joined, *parts)]
    for one, its in zip((joined, *parts), out, strict=True):
        one(images, its)
    assert np.array_equal(out[0], np.hstack(out[1:]))
    with pytest.raises(InputError, match="colour"):
        joined.dim((12, 16, 1))


def test_the_key_knows_every_part():
    described = [
        describe_extractor(make_extractor(name, **options))
        for name, options in (("hog+hue", {}), ("hue+hog", {}), ("hog", {}), ("hog+hue", {"bins": 3}))
    ]
    assert len({make_key(one) for one in described}) == 4
    assert described[0]["parts"] == [{"name": "hog", "version": 1}, {"name": "hue", "version": 1}]
    assert {"orientations", "bins"} <= set(described[0]["params"])


@pytest.mark.parametrize(
    ("name", "params"), [("hog+hog", {}), ("hog+nil", {}), ("hog+", {}), ("hog+hue", {"bin": 3})]
)
def test_what_cannot_be_joined(name, params):
    with pytest.raises(InputError):
        make_extractor(name, **params)


def test_settings_of_both_parts():
    assert set(FeatureConfig(name="hog+hue").options("hog+hue")) >= {"orientations", "bins"}
    flags = {"feature.name": ("--feature", "hue+pixels"), "feature.bins": ("--bins", "4")}
    assert resolve(flags, environment={}).config.feature.bins == 4
    for wrong, words in (("hue+hgo", "did you mean hog"), ("hue+hue", "several joined"), ("+", "allowed")):
        with pytest.raises(SettingsError, match=words):
            resolve({"feature.name": ("--feature", wrong)}, environment={})
    with pytest.raises(SettingsError, match="hue has no orientations"):
        resolve({"feature.name": ("--feature", "hue"), "feature.orientations": ("-o", "4")}, environment={})
