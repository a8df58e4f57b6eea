"""Features stored as float16: what is in the file, what does not fit, and what old files are taken for."""

from __future__ import annotations

import hashlib
import json

import h5py
import numpy as np
import pytest

from linclass_cli.errors import InputError, IntegrityError
from linclass_cli.feature_header import describe_feature
from linclass_cli.halves import all_finite, as_stored
from linclass_cli.store import (
    feature_path,
    load_features,
    make_key,
    open_features,
    read_header,
    write_features,
)
from tests.test_store import META, SIZES, D, values

HALF = {**META, "dtype": "float16"}
MAGIC = b"linclass features 1 sha256 "


def fill(part, X, y):
    numbers, y[:] = values(part)
    X[:] = as_stored(numbers, X.dtype.name, part, 0)


@pytest.fixture
def written(tmp_path):
    path = feature_path(tmp_path, HALF)
    learned = {"a": np.ones((2, 3), np.float32)}
    write_features(path, HALF, SIZES, D, fill, learned)
    return path


def test_what_is_written_is_read_back_rounded_to_the_nearest(written):
    features = load_features(written, HALF)
    for part, block in (("train", features.train), ("test", features.test)):
        X, y = values(part)
        assert (block.X.dtype, block.y.dtype) == (np.float16, np.int64)
        np.testing.assert_array_equal(block.X, X.astype(np.float16))
        np.testing.assert_array_equal(block.y, y)
        assert block.X.base is not None  # pages of the file
    assert features.learned["a"].dtype == np.float32
    np.testing.assert_array_equal(features.learned["a"], 1)
    assert "(float16)" in describe_feature(HALF)


@pytest.mark.parametrize("meta", [META, HALF])
@pytest.mark.parametrize("d", [1, 3, 5, 700])
def test_datasets_however_small_begin_where_their_numbers_may(tmp_path, meta, d):
    for n in range(1, 6):
        for m in range(1, 6):
            path = tmp_path / f"{n}-{m}.h5"

            def ones(part, X, y):
                X[:], y[:] = 1, 0

            write_features(path, meta, {"train": n, "test": m}, d, ones, {"a": np.ones((1, 3), np.float32)})
            features = open_features(path)
            assert (len(features.train.y), len(features.test.y), features.d) == (n, m, d)
            assert features.train.X.flags.aligned
            assert features.train.y.flags.aligned


def test_any_hdf5_reader_finds_float16(written):
    with h5py.File(written) as file:
        sums = json.loads(file.attrs["checksums"])
        for part in SIZES:
            X = values(part)[0].astype("<f2")
            assert file[part]["features"].dtype == np.dtype("<f2")
            np.testing.assert_array_equal(file[part]["features"][:], X)
            assert sums[f"{part}/features"] == hashlib.sha256(X.tobytes()).hexdigest()
        assert file["learned/a"].dtype == np.dtype("<f4")


def test_float32_files_say_nothing_of_it_so_that_older_ones_stay_what_they_are(tmp_path):
    path = feature_path(tmp_path, META)
    write_features(path, META, SIZES, D, fill)
    places = read_header(path)["places"]
    assert all(set(place) == {"offset", "shape"} for place in places.values())
    assert open_features(path).train.X.dtype == np.float32
    # The key of these features before there was a choice.
    assert make_key(META) == "980e3afb454c41f7a0004fe277b0799ec6ca0f07fcad8c9d66488bd5e81b6dd7"
    assert make_key(HALF) != make_key(META)


@pytest.mark.parametrize(
    ("meta", "place", "name"),
    [
        ("float16", None, "train/features"),
        ("float16", "float32", "test/features"),
        (None, "float16", "train/features"),
        ("float64", "float64", "train/features"),
        ("float16", "float16", "learned/a"),
        ("float16", ["float16"], "train/features"),
        (["float16"], "float16", "train/features"),
        ({}, "float16", "train/features"),
    ],
)
def test_a_header_whose_types_disagree_makes_no_sense(written, meta, place, name):
    content = written.read_bytes()
    header = json.loads(content[len(MAGIC) + 65 : 8192].rstrip(b"\0"))
    for holder, value in ((header["meta"], meta), (header["places"][name], place)):
        holder.pop("dtype", None)
        if value is not None:
            holder["dtype"] = value
    text = json.dumps(header).encode().ljust(8192 - len(MAGIC) - 65, b"\0")
    written.write_bytes(MAGIC + hashlib.sha256(text).hexdigest().encode() + b"\n" + text + content[8192:])
    with pytest.raises(IntegrityError, match="makes no sense"):
        open_features(written)


def test_ties_go_to_the_even_one():
    given = np.array([[2049, 2051, -2049, 2**-25, 3 * 2**-25, 65519]], np.float32)
    out = as_stored(given, "float16", "train", 0)
    np.testing.assert_array_equal(out.astype(np.float64), [[2048, 2052, -2048, 0, 2**-23, 65504]])


@pytest.mark.parametrize("value", [65520, -7e4, 3e38])
def test_what_float16_cannot_hold_is_named_with_the_mend(value):
    given = np.ones((3, 4), np.float32)
    given[1, 2] = value
    with pytest.raises(InputError) as caught:
        as_stored(given, "float16", "test", 100)
    assert str(caught.value) == (
        f"feature 2 of row 101 of the test part is {np.float32(value):g}, and float16 ends at 65504: "
        "take --store-dtype float32"
    )
    assert as_stored(given, "float32", "test", 100) is given


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_finite_is_what_has_no_nan_and_no_infinity(dtype):
    X = np.full((50, 40), np.finfo(dtype).max, dtype)  # sums overflow
    assert all_finite(X)
    assert all_finite(-X)
    for value in (np.inf, -np.inf, np.nan):
        X[49, 39] = value
        assert not all_finite(X)
