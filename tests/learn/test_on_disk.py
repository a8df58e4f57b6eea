"""Features that stay on the disk give, bit for bit, what the same ones in memory give."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import on_disk
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.on_disk import OnDisk
from linclass_cli.settings import resolve
from linclass_cli.store import Block, Features
from tests.learn.outcomes import assert_equal, outcome

N, D, K = 1500, 19, 3


def make_features(folder: Path, dtype: str) -> tuple[Features, Features]:
    """The same features in memory and on the disk; planted, so that there is something to learn."""
    rng = np.random.default_rng(3)
    blocks, stored = [], []
    for part, n in (("train", N), ("test", 200)):
        y = rng.integers(0, K, n)
        X = (rng.normal(size=(n, D)) + 2 * np.eye(K, D)[y]).astype(dtype)
        path = folder / f"{part}-{dtype}"
        path.write_bytes(X.tobytes())
        blocks.append(Block(X, y))
        stored.append(Block(OnDisk(path, 0, X.shape, dtype), y))
    return Features(*blocks, "k" * 64, {}, folder), Features(*stored, "k" * 64, {}, folder)


@pytest.fixture
def assert_same(tmp_path, monkeypatch):
    """``assert_same(train, "float32", model__loss="ridge")``: in memory and in pieces from the disk."""
    monkeypatch.setattr(on_disk, "PIECE_BYTES", 3000)
    monkeypatch.setattr(on_disk, "_GAP", 200)

    def assert_same(start, dtype, **settings):
        given = {key.replace("__", "."): (key, value) for key, value in settings.items()}
        config = resolve(given, environment={}, folder=tmp_path).config
        mine, theirs = (outcome(start, features, config) for features in make_features(tmp_path, dtype))
        assert_equal(mine, theirs)

    return assert_same


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("loss", "solver"),
    [
        ("softmax", "newton"),
        ("softmax", "lbfgs"),
        ("softmax", "sgd"),
        ("squared-hinge", "newton"),
        ("hinge", "sgd"),
        ("hinge", "smoothed"),
        ("ridge", "closed"),
    ],
)
def test_train(assert_same, loss, solver, dtype):
    more = {"solver__epochs": 2, "solver__batch_size": 10} if solver == "sgd" else {}
    assert_same(train, dtype, model__loss=loss, solver__name=solver, model__calibrate=True, **more)


def test_train_with_weights_and_another_scaling(assert_same):
    assert_same(train, "float32", model__class_weight="balanced", model__scale="range")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    ("loss", "solver"), [("softmax", "newton"), ("softmax", "lbfgs"), ("ridge", "closed")]
)
def test_cv(assert_same, loss, solver, dtype):
    more = {"cv__folds": 3, "cv__l2": (0.01, 0.1)}
    assert_same(cross_validate, dtype, model__loss=loss, solver__name=solver, model__calibrate=True, **more)


def test_ridge_of_more_features_than_rows(tmp_path, monkeypatch):
    """It reads some columns at a time."""
    closed = import_module("linclass_cli.learn.solvers.closed")
    monkeypatch.setattr(closed, "LEAST_COLUMNS", 4)
    monkeypatch.setattr(closed, "TILE_VALUES", 1)
    features = [
        replace(one, train=Block(one.train.X, one.train.y[:16])) for one in make_features(tmp_path, "float32")
    ]
    config = resolve(
        {"model.loss": ("", "ridge"), "split.val_fraction": ("", 0.0)}, environment={}, folder=tmp_path
    ).config
    mine, theirs = (outcome(train, one, config) for one in features)
    assert np.array_equal(mine.model.weight, theirs.model.weight)
