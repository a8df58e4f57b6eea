"""Float16 features: bit for bit what float32 features of the same values give, and never copied whole."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from linclass_cli.config import Config
from linclass_cli.config_sections import CvConfig, ModelConfig, SolverConfig, SplitConfig
from linclass_cli.learn import folds, tiles
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.learn.nested import nested_cross_validate
from linclass_cli.learn.objective import Part, scaled
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.learn.solvers import closed, newton
from linclass_cli.learn.tiles import take_rows
from linclass_cli.model import Model
from linclass_cli.scoring import linear_scores
from linclass_cli.store import Block, Features
from tests.learn.test_fit import CLASSES, features, run
from tests.tiers import few

# Modules that their package calls functions by.
NEWTON, CLOSED = newton.__module__, closed.__module__
WAYS = [
    ("softmax", "newton", {}),
    ("softmax", "lbfgs", {"max_iterations": 5}),
    ("softmax", "sgd", {"epochs": 2, "momentum": 0.5}),
    ("squared-hinge", "newton", {}),
    ("hinge", "sgd", {"epochs": 2}),
    ("hinge", "smoothed", {"max_iterations": 5}),
    ("ridge", "closed", {}),
    ("ridge", "newton", {}),
]


def halved(f: Features) -> Features:
    return replace(f, **{part: replace(b, X=b.X.astype(np.float16)) for part, b in _blocks(f)})


def widened(f: Features) -> Features:
    return replace(f, **{part: replace(b, X=b.X.astype(np.float32)) for part, b in _blocks(f)})


def _blocks(f: Features) -> list[tuple[str, Block]]:
    return [("train", f.train), ("test", f.test)]


def config(loss: str, solver: str, options: dict, model: dict | None = None, **sections) -> Config:
    own = ModelConfig(loss=loss, l2=0.01, **(model or {}))
    return Config(model=own, solver=SolverConfig(name=solver, **options), **sections)


def result(start, f: Features, c: Config):
    """All that a fit yields and records, but times."""
    events, outcome = run(start(f, CLASSES, c))
    metrics = {key: value for key, value in outcome.metrics.items() if key != "seconds"}
    history = [{key: value for key, value in line.items() if key != "seconds"} for line in outcome.history]
    m = outcome.model
    return len(events), metrics, history, [a.tobytes() for a in (m.weight, m.bias, m.mean, m.factor)]


@pytest.mark.parametrize("start", [train, cross_validate])
@pytest.mark.parametrize(("loss", "solver", "options"), WAYS)
def test_a_fit_on_float16_is_the_fit_on_its_values(loss, solver, options, start):
    half = halved(features(700, 37, noise_labels=0.2))
    model = {"calibrate": True, "class_weight": "balanced"}
    c = config(loss, solver, options, model, cv=CvConfig(folds=3, l2=(1e-2, 1.0)))
    assert result(start, half, c) == result(start, widened(half), c)


@pytest.mark.parametrize("scaling", ["standard", "range", "none"])
def test_whatever_the_scaling(scaling):
    half = halved(features(5000, 20))  # blocks, and tiles of rows to widen
    rows = np.random.default_rng(0).permutation(5000)[:4500]
    one, other = (fit_scaling(scaling, f.train.X, rows) for f in (half, widened(half)))
    assert one.mean.tobytes() == other.mean.tobytes()
    assert one.factor.tobytes() == other.factor.tobytes()
    c = config("softmax", "newton", {}, {"scale": scaling})
    assert result(train, half, c) == result(train, widened(half), c)


def test_ridge_cross_validated_without_weights_goes_by_its_path():
    half = halved(features(300, 9))
    c = config("ridge", "closed", {}, cv=CvConfig(folds=3, l2=(1e-2, 1.0)))
    assert result(cross_validate, half, c) == result(cross_validate, widened(half), c)


@pytest.mark.parametrize("loss", ["softmax", "ridge", "squared-hinge"])
def test_nested_too(loss):
    solver = {"ridge": "closed", "squared-hinge": "lbfgs"}.get(loss, "newton")
    half = halved(features(240, 9, noise_labels=0.3))
    c = config(loss, solver, {}, cv=CvConfig(folds=2, l2=(1e-2, 1.0)))
    assert result(nested_cross_validate, half, c) == result(nested_cross_validate, widened(half), c)


@pytest.mark.parametrize("weights", ["", "balanced"])
def test_ridge_of_more_features_than_rows_by_stripes_of_columns(weights, monkeypatch):
    half = halved(features(60, 300))
    c = config("ridge", "closed", {}, {"class_weight": weights})
    whole = result(train, half, c)
    monkeypatch.setattr(sys.modules[CLOSED], "LEAST_COLUMNS", 64)
    monkeypatch.setattr(sys.modules[CLOSED], "TILE_VALUES", 1)
    striped = result(train, half, c)
    assert striped == result(train, widened(half), c)
    assert striped[1]["objective"] == pytest.approx(whole[1]["objective"], rel=1e-6)
    weight, other = (np.frombuffer(one[3][0], np.float32) for one in (striped, whole))
    np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("d", [1, 15, 16, 17, 33])
def test_every_float16_becomes_its_float32(d):
    """All 63,488 finite ones, zeros of both signs and the tiniest among them."""
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    X = np.resize(every, (-(-len(every) // d), d))
    rows = np.random.default_rng(0).permutation(len(X))
    for some in (rows, rows[::2], rows[:0]):
        assert take_rows(X, some).tobytes() == X[some].astype(np.float32).tobytes()
    columns = X[:, d // 2 :]  # no rows of memory
    assert take_rows(columns, rows).tobytes() == columns[rows].astype(np.float32).tobytes()


def test_rows_of_floats_are_copied_as_they_are():
    for dtype in (np.float32, np.float64):
        X = np.random.default_rng(0).normal(size=(9, 4)).astype(dtype)
        assert take_rows(X, np.array([3, 1])).tobytes() == X[[3, 1]].tobytes()


def test_scores_and_scaled_rows_too():
    half = halved(features(200, 13))
    f, rng = widened(half), np.random.default_rng(0)
    W, b = rng.normal(size=(3, 13)).astype(np.float32), np.zeros(3, np.float32)
    model = Model(W, b, rng.normal(size=13), rng.uniform(1, 2, 13), CLASSES, "softmax", "")
    assert linear_scores(model, half.train.X).tobytes() == linear_scores(model, f.train.X).tobytes()
    rows = np.arange(0, 200, 3)
    s = fit_scaling("standard", f.train.X, rows)
    one, other = (scaled(Part(x.train.X, rows, x.train.y[rows], s), slice(5, 50)) for x in (half, f))
    assert one.dtype == other.dtype == np.float32
    assert one.tobytes() == other.tobytes()


def held_at_most(start, f: Features, c: Config) -> int:
    """The bytes that a fit holds at once at the most; of arrays that Python and NumPy make."""
    run(start(halved(features(1200, 5)), CLASSES, c))  # to compile takes memory, too
    tracemalloc.start()
    try:
        run(start(f, CLASSES, c))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="a kernel in Python takes minutes")
@pytest.mark.parametrize(
    ("start", "loss", "solver", "options"),
    few(
        [(train, *way) for way in WAYS]
        + [(start, *WAYS[i]) for start in (cross_validate, nested_cross_validate) for i in (0, 4, 6)],
        2,
    ),
)
def test_no_copy_of_all_features_is_made(start, loss, solver, options, monkeypatch):
    """Not even of the training part: what NumPy holds at once stays far below the features."""
    n, d = 30_000, 512
    monkeypatch.setattr(sys.modules[NEWTON], "FIRST_ROWS", 500)
    monkeypatch.setattr(folds, "FIRST_ROWS", 500)
    monkeypatch.setattr(sys.modules[CLOSED], "TILE_VALUES", 1 << 17)
    f = halved(features(n, d))
    limited = {"max_iterations": 2} if "max_iterations" in SolverConfig().options(solver) else {}
    c = config(
        loss,
        solver,
        options | limited,
        cv=CvConfig(folds=2, l2=(0.1, 1.0)),
        split=SplitConfig(val_fraction=0.1),
    )
    assert held_at_most(start, f, c) < 0.5 * f.train.X.nbytes


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="a kernel in Python takes minutes")
@pytest.mark.parametrize("way", [WAYS[0], WAYS[5]], ids=lambda way: way[0])
def test_nor_where_rows_are_few_and_wide(way, monkeypatch):
    loss, solver, _ = way
    monkeypatch.setattr(tiles, "COPIED_VALUES", 1 << 17)
    f = halved(features(2000, 5000))
    c = config(loss, solver, {"max_iterations": 2}, {"calibrate": True})
    assert held_at_most(train, f, c) < 0.45 * f.train.X.nbytes


@pytest.mark.skipif("NUMBA_CPU_NAME" in os.environ, reason="this is that run")
def test_a_processor_without_an_instruction_for_it_gives_the_same_numbers(tmp_path):
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            __file__,
            "-k",
            "every_float16 and 17",
        ],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    assert "1 passed" in result.stdout
