"""The same command gives the same bits: on 1, 2 and 4 threads, from a store that is full or empty."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, DataConfig, FeatureConfig, ModelConfig, SolverConfig
from linclass_cli.recording import cross_validate, train

EVERY = FeatureConfig(
    name="pixels+gradients+pairs+colours+patches",
    cells="3",
    pair_directions=4,
    distances="2",
    filters=5,
    patch_samples=300,
    rounds=1,
    augment="flip",
)
TRAIN = [
    ("softmax", "newton", {}),
    ("softmax", "newton", {"class_weight": "balanced", "calibrate": True}),
    ("softmax", "lbfgs", {}),
    ("softmax", "sgd", {}),
    ("hinge", "smoothed", {}),
    ("hinge", "sgd", {"scale": "range"}),
    ("squared-hinge", "newton", {"scale": "none"}),
    ("ridge", "closed", {}),
    ("ridge", "closed", {"feature": EVERY}),
]
CV = [
    ("softmax", "newton", {}),
    ("squared-hinge", "lbfgs", {}),
    ("hinge", "smoothed", {}),
    ("hinge", "sgd", {}),
    ("ridge", "closed", {}),
]


def config(cache, loss: str, solver: str, more: dict) -> Config:
    hog = FeatureConfig(name="hog", pixels_per_cell=12, cells_per_block=1)
    model = {key: value for key, value in more.items() if key != "feature"}
    limits = {"epochs": 3} if solver == "sgd" else {"max_iterations": 12} if solver != "closed" else {}
    return Config(
        cache_dir=str(cache),
        data=DataConfig(name="textures"),
        feature=more.get("feature", hog),
        model=ModelConfig(loss=loss, **model),
        solver=SolverConfig(name=solver, **limits),
        cv=CvConfig(folds=3, l2=(1e-3, 1e-1)),
    )


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")


def bits(start, config: Config):
    """The weights, byte by byte, and every number of the record but the seconds."""
    saved = start(config)

    def timeless(line):
        return {key: value for key, value in line.items() if key != "seconds"}

    record = [timeless(line) for line in (saved.metrics, *saved.history)]
    return (saved.path / "model.safetensors").read_bytes(), json.dumps(record)


@pytest.mark.parametrize(
    ("start", "loss", "solver", "more"),
    [(train, *way) for way in TRAIN] + [(cross_validate, *way) for way in CV],
)
def test_threads_and_store_change_no_bit(caches, start, loss, solver, more):
    """One cache is filled by one thread, once; the other is empty each time, and is filled by four."""
    first, second = (config(cache, loss, solver, more) for cache in caches)
    for path in caches[1].glob("features/*"):
        path.unlink()
    want = bits(start, replace(first, threads=1))
    for threads in (2, 4):
        assert bits(start, replace(first, threads=threads)) == want
    assert bits(start, replace(second, threads=4)) == want
