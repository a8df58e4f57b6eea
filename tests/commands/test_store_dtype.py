"""`--store-dtype float16` on the line: its own file, its errors, its repair."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from linclass_cli.scoring import score_run
from tests.commands.test_line import FAST

HALF = (*FAST, "--store-dtype", "float16")
FOLDER = Path("cache/features")


def test_the_store_holds_both_and_commands_take_the_one_that_is_asked_for(linclass):
    whole = linclass("extract", *FAST, "--json").json
    half = linclass("extract", *HALF, "--json").json
    assert half["key"] != whole["key"]
    assert linclass("extract", *HALF, "--json").json["cached"]
    with h5py.File(whole["path"]) as one, h5py.File(half["path"]) as other:
        for part in ("train", "test"):
            rounded = one[part]["features"][:].astype(np.float16)
            np.testing.assert_array_equal(other[part]["features"][:], rounded)
            np.testing.assert_array_equal(other[part]["labels"][:], one[part]["labels"][:])
    dtypes = {entry["name"]: entry["dtype"] for entry in linclass("cache", "list", "--json").json}
    assert dtypes == {Path(whole["path"]).name: "float32", Path(half["path"]).name: "float16"}
    Path(whole["path"]).unlink()
    trained = linclass("train", *HALF, "--name", "half", "--json").json
    assert linclass("evaluate", "half", "--json").json["accuracy"] == trained["test_accuracy"]
    assert [path.name for path in FOLDER.glob("*.h5")] == [Path(half["path"]).name]
    record = json.loads(Path("cache/runs/half/run.json").read_text())
    assert record["config"]["feature"]["store_dtype"] == "float16"
    linclass("train", *FAST, "--name", "whole", "--json")
    assert "feature.store_dtype" in linclass("runs", "compare", "half", "whole").out


def test_a_config_file_may_ask_for_it(linclass):
    Path("linclass.toml").write_text('[feature]\nstore_dtype = "float16"\n')
    key = linclass("extract", *FAST, "--json").json["key"]
    Path("linclass.toml").unlink()
    assert linclass("extract", *HALF, "--json").json["key"] == key
    result = linclass("extract", *FAST, "--store-dtype", "float64")
    assert result.code == 3
    assert "allowed is float32, float16" in result.error


def test_damage_is_found_and_mended_bit_for_bit(linclass):
    path = Path(linclass("extract", *HALF, "--json").json["path"])
    whole = path.read_bytes()
    for place in (200, -1):  # in the header, and in the numbers
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        result = linclass("train", *HALF)
        assert result.code == 5
        if place == -1:
            assert "--store-dtype float16" in result.error
        assert linclass("cache", "verify").code == 5
        assert linclass("cache", "repair").code == 0
        assert path.read_bytes() == whole


@pytest.fixture
def vectors(linclass):
    """Imports vectors, one of which holds the given value in feature 3."""

    def make(value: float) -> np.ndarray:
        X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
        X[7, 3] = value
        np.savez("own.npz", X=X, y=np.arange(60) % 3)
        assert linclass("import", "own.npz", "--name", "own").code == 0
        return X

    return make


def test_vectors_are_rounded_too(linclass, vectors):
    X = vectors(65519)
    done = linclass("extract", "--data", "own", "--store-dtype", "float16", "--json").json
    with h5py.File(done["path"]) as file:
        stored = np.concatenate([file[part]["features"][:] for part in ("train", "test")])
    wanted = {row.tobytes() for row in X.astype(np.float16)}
    assert {row.tobytes() for row in stored} == wanted
    assert np.isfinite(stored).all()


def test_what_is_beyond_float16_is_an_error_that_names_it_and_the_mend(linclass, vectors):
    vectors(1e5)
    result = linclass("train", "--data", "own", "--store-dtype", "float16")
    assert result.code == 3
    assert "feature 3 of row " in result.error
    assert "is 100000, and float16 ends at 65504: take --store-dtype float32" in result.error
    assert not list(FOLDER.glob("*.h5"))
    assert linclass("train", "--data", "own", "--store-dtype", "float32").code == 0


def test_features_that_are_not_kept_are_rounded_as_those_that_are(linclass):
    """By what a run has learned, where the store's features are gone: the same judgement, to the last bit."""
    small = ("--feature", "patches", "--filters", "8", "--patch-samples", "500", "--rounds", "1")
    linclass("train", "--data", "textures", *small, "--store-dtype", "float16", "--name", "half")
    stored = score_run("cache", "half").scores
    (path,) = FOLDER.glob("*.h5")
    path.unlink()
    assert score_run("cache", "half").scores.tobytes() == stored.tobytes()
    assert not path.exists()
