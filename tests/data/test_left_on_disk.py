"""Imported rows that do not fit into memory stay in their file, and mean the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linclass_cli.data import imported
from linclass_cli.data.imported import load_imported
from linclass_cli.memory import use_memory
from linclass_cli.on_disk import OnDisk
from tests.commands.conftest import linclass  # noqa: F401

SMALL = ("--filters", "6", "--patch-samples", "500", "--rounds", "1")


@pytest.fixture
def made(linclass):  # noqa: F811
    """Images and vectors, imported."""
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (120, 16, 16, 3)).astype(np.uint8), np.arange(120) % 2
    np.savez("images.npz", x_train=images[:90], y_train=y[:90], x_test=images[90:], y_test=y[90:])
    np.savez("vectors.npz", X=rng.normal(size=(120, 5)), y=y)
    for name in ("images", "vectors"):
        assert linclass("import", f"{name}.npz", "--name", name).code == 0
    return linclass


@pytest.mark.parametrize("name", ["images", "vectors"])
def test_what_a_limit_leaves_is_known_to_all_threads(made, name):
    _, whole = load_imported(name, Path("cache"))
    with use_memory("1K"):
        _, left = load_imported(name, Path("cache"))
    for part, (rows, labels) in left.items():
        assert isinstance(rows, OnDisk)
        assert np.array_equal(rows[:], whole[part][0])
        assert np.array_equal(rows[3], whole[part][0][3])
        assert np.array_equal(labels, whole[part][1])


@pytest.mark.parametrize(
    "options",
    [
        ("--data", "images", "--feature", "pixels"),
        ("--data", "images", "--feature", "patches", *SMALL),
        ("--data", "images", "--feature", "hue+patches", "--augment", "flip", *SMALL),
        ("--data", "vectors"),
    ],
    ids=" ".join,
)
def test_features_are_the_same(made, monkeypatch, options):
    whole = Path(made("extract", *options, "--json").json["path"])
    content = whole.read_bytes()
    whole.unlink()
    monkeypatch.setattr(imported, "stays_on_disk", lambda count: True)
    assert made("extract", *options).code == 0
    assert whole.read_bytes() == content


def test_mistakes_and_predictions_of_images_on_the_disk(made, monkeypatch):
    monkeypatch.setattr(imported, "stays_on_disk", lambda count: True)
    assert made("train", "--data", "images", "--feature", "pixels", "--name", "r").code == 0
    assert made("evaluate", "r").code == 0
    assert made("plot", "r", "--kind", "mistakes").code == 0
