"""On a cluster every fit gives, bit for bit, what it gives here; its rows opened by the workers, or sent."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from linclass_cli.cluster import features as spreading
from linclass_cli.cluster import use_cluster
from linclass_cli.cluster.features import SpreadRows, spread_features
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.learn.nested import nested_cross_validate
from linclass_cli.settings import resolve
from linclass_cli.store import Features, load_features, write_features
from linclass_cli.threads import use_threads
from tests.learn.outcomes import assert_equal, outcome
from tests.tiers import few, slow

N, D, K = 8200, 19, 3


def write(folder, dtype: str = "float32", n: int = N, d: int = D, k: int = K) -> Features:
    """Features in a file, planted, so that there is something to learn."""
    rng = np.random.default_rng(3)
    params: dict[str, object] = {"n": n, "d": d}
    meta = {"format": 1, "dataset": {"name": "planted", "digest": "0" * 64}}
    meta |= {"feature": {"name": "vectors", "version": 1, "params": params}}
    if dtype != "float32":
        meta["dtype"] = dtype
    path = folder / "features" / f"planted-{dtype}.h5"

    def fill(part, X, y):
        y[:] = rng.integers(0, k, len(y))
        X[:] = (rng.normal(size=X.shape) + 2 * np.eye(k, d)[y]).astype(dtype)

    write_features(path, meta, {"train": n, "test": 200}, d, fill)
    return load_features(path, meta)


@pytest.fixture
def assert_same(tmp_path, four):
    """``assert_same(train, "float32", shared=False, model__loss="ridge")``."""

    def assert_same(start, dtype="float32", shared=True, pieces=4, **settings):
        given = {key.replace("__", "."): (key, value) for key, value in settings.items()}
        config = resolve(given, environment={}, folder=tmp_path).config
        features = write(tmp_path, dtype)
        with use_threads(1):
            mine = outcome(start, features, config)
        with use_threads(2), use_cluster(four, warnings.warn) as cluster:
            spread = spread_features(features, cluster)
            assert cluster.facts["cache"] == "shared"
            assert cluster.facts["pieces"] == spread.train.X.branches == pieces
            if not shared:
                X = SpreadRows(features.train.X, features, cluster, shared=False)
                spread = replace(spread, train=replace(spread.train, X=X))
            theirs = outcome(start, spread, config)
        assert_equal(mine, theirs)

    return assert_same


@pytest.mark.parametrize(
    ("loss", "solver", "dtype", "shared"),
    few(
        [
            ("softmax", "newton", "float32", True),
            ("softmax", "newton", "float32", False),
            ("ridge", "closed", "float16", False),
            ("ridge", "closed", "float32", True),
            ("softmax", "lbfgs", "float16", False),
            ("softmax", "sgd", "float32", True),
            ("hinge", "smoothed", "float32", True),
        ],
        3,
    ),
)
def test_train(assert_same, loss, solver, dtype, shared):
    limits = {"sgd": {"solver__epochs": 2}, "lbfgs": {"solver__max_iterations": 15}}
    more = limits.get(solver, {})
    assert_same(train, dtype, shared, model__loss=loss, solver__name=solver, model__calibrate=True, **more)


@pytest.mark.parametrize(
    ("settings", "shared"),
    few(
        [
            ({"model__loss": "softmax", "model__calibrate": True}, False),
            ({"model__loss": "softmax", "model__class_weight": "balanced", "model__scale": "range"}, True),
            ({"model__loss": "squared-hinge", "solver__name": "lbfgs", "solver__max_iterations": 10}, True),
            ({"model__loss": "ridge", "model__scale": "none"}, True),
        ]
    ),
)
def test_cv(assert_same, settings, shared):
    assert_same(cross_validate, shared=shared, cv__folds=2, cv__l2="1e-3,1e-1", **settings)


@slow
def test_nested_cv(assert_same):
    assert_same(nested_cross_validate, cv__folds=2, cv__l2="1e-3,1e-1", model__loss="ridge")


@slow
def test_sums_that_are_joined_by_workers_and_work_that_is_sent_on(assert_same, monkeypatch):
    monkeypatch.setattr(spreading, "FAN", 2)
    monkeypatch.setattr(spreading, "BROADCAST", 1)
    assert_same(train, model__l2=0.1, solver__max_iterations=1)
    assert_same(cross_validate, cv__folds=2, cv__l2="1e-1", solver__max_iterations=1)


@slow
def test_samples_of_few_rows_are_spread_too(assert_same, monkeypatch):
    newton = import_module("linclass_cli.learn.solvers.newton")
    for module in (newton, import_module("linclass_cli.learn.folds")):
        monkeypatch.setattr(module, "FIRST_ROWS", 50)
        monkeypatch.setattr(module, "FIRST_PER_FEATURE", 1)
    monkeypatch.setattr(newton, "FIRST_SHARE", 0.01)
    assert_same(train, model__l2=0.1)
    assert_same(cross_validate, cv__folds=2, cv__l2="1e-1")


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8, 64])
def test_branches_are_a_power_of_two_that_the_workers_share_evenly(workers):
    pieces = spreading.count_pieces(workers)
    assert pieces & (pieces - 1) == 0
    assert pieces == workers or -(-pieces // workers) / (pieces / workers) <= 1.25


def test_three_workers_of_two_threads(tmp_path, processes):
    for _ in range(3):
        processes.worker(threads=2)
    features = write(tmp_path)
    config = resolve({}, environment={}, folder=tmp_path).config
    mine = outcome(train, features, config)
    with use_cluster(processes.ready(3), warnings.warn) as cluster:
        theirs = outcome(train, spread_features(features, cluster), config)
    assert {"workers": 3, "threads": 6, "pieces": 4}.items() <= cluster.facts.items()
    assert np.array_equal(mine.model.weight, theirs.model.weight)
