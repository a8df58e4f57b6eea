from __future__ import annotations

import hashlib
import json
import resource
import time

import h5py
import numpy as np
import pytest

from linclass_cli.errors import IntegrityError, MissingError, ResourceError
from linclass_cli.store import (
    feature_path,
    list_features,
    load_features,
    make_key,
    open_features,
    open_rows,
    write_features,
)

META = {
    "format": 1,
    "dataset": {"name": "tiny", "digest": "0" * 64},
    "feature": {"name": "hog", "version": 1, "params": {"orientations": 9}},
}
SIZES = {"train": 7, "test": 3}
D = 5


def values(part: str):
    rng = np.random.default_rng(len(part))
    return rng.random((SIZES[part], D), np.float32), rng.integers(0, 3, SIZES[part])


def fill(part, X, y):
    X[:], y[:] = values(part)


@pytest.fixture
def written(tmp_path):
    path = feature_path(tmp_path, META)
    write_features(path, META, SIZES, D, fill)
    return path


def test_what_is_written_is_read_back_as_it_was(written):
    features = load_features(written, META)
    for part, block in (("train", features.train), ("test", features.test)):
        X, y = values(part)
        np.testing.assert_array_equal(block.X, X)
        np.testing.assert_array_equal(block.y, y)
        assert (block.X.dtype, block.y.dtype) == (np.float32, np.int64)
    assert features.key == make_key(META)
    assert features.d == D


def test_any_hdf5_reader_finds_the_layout_of_the_contract(written):
    with h5py.File(written) as file:
        assert hashlib.sha256(file.attrs["meta"].encode()).hexdigest() == make_key(META)
        sums = json.loads(file.attrs["checksums"])
        for part in SIZES:
            X, y = values(part)
            np.testing.assert_array_equal(file[part]["features"][:], X)
            np.testing.assert_array_equal(file[part]["labels"][:], y)
            assert file[part]["features"].chunks is None
            assert sums[f"{part}/features"] == hashlib.sha256(X.tobytes()).hexdigest()
            assert sums[f"{part}/labels"] == hashlib.sha256(y.tobytes()).hexdigest()


def test_the_name_and_the_key_follow_the_content(tmp_path):
    assert feature_path(tmp_path, META).name == f"tiny-hog-{make_key(META)[:12]}.h5"
    for section, key, value in (("feature", "version", 2), ("dataset", "digest", "1" * 64)):
        other = json.loads(json.dumps(META))
        other[section][key] = value
        assert make_key(other) != make_key(META)
    assert make_key(dict(reversed(META.items()))) == make_key(META)


def test_reading_copies_nothing_and_writes_nothing_back(written):
    before = written.read_bytes()
    features = open_features(written)
    assert features.train.X.base is not None
    features.train.X[:] = 7
    del features
    assert written.read_bytes() == before


def test_a_forged_header_cannot_reach_outside_the_file(written):
    content = bytearray(written.read_bytes())
    body = content[len(b"linclass features 1 sha256 ") + 65 : 8192]
    header = json.loads(bytes(body).rstrip(b"\0"))
    for lie in (
        {"shape": [10**9, D]},
        {"offset": -8},
        {"offset": 10**12},
        {"shape": [7, 5, 1]},
        {"shape": [True, D]},
    ):
        forged = json.loads(json.dumps(header))
        forged["places"]["train/features"].update(lie)
        text = json.dumps(forged).encode().ljust(len(body), b"\0")
        line = b"linclass features 1 sha256 " + hashlib.sha256(text).hexdigest().encode() + b"\n"
        written.write_bytes(line + text + content[8192:])
        with pytest.raises(IntegrityError, match="makes no sense"):
            open_features(written)


def test_a_file_under_anothers_name_is_refused(written):
    other = {**META, "format": 2}
    with pytest.raises(IntegrityError, match="something else"):
        load_features(written, other)


def test_a_failing_extractor_leaves_nothing(tmp_path):
    path = feature_path(tmp_path, META)

    def fail(part, X, y):
        raise RuntimeError(part)

    with pytest.raises(RuntimeError):
        write_features(path, META, SIZES, D, fail)
    assert list(path.parent.iterdir()) == []
    with pytest.raises(MissingError, match="linclass extract"):
        load_features(path, META)


def test_a_full_disk_is_found_before_any_work_and_leaves_the_old_file(written):
    before = written.read_bytes()
    called = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(ResourceError, match="larger than a file may be here: it needs 4"):
            write_features(written, META, {"train": 10**6, "test": 1}, 10, lambda *_: called.append(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert not called
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_equal_content_gives_equal_bytes(tmp_path, written):
    time.sleep(1.1)  # HDF5 would keep the second in which a dataset is made
    again = feature_path(tmp_path / "again", META)
    write_features(again, META, SIZES, D, fill)
    assert again.read_bytes() == written.read_bytes()


def test_listing_reads_headers_only_and_names_the_damaged(written):
    broken = written.with_name("broken.h5")
    broken.write_bytes(b"\0" * 9000)
    listed = dict(list_features(written.parent.parent))
    assert listed[broken] is None
    assert listed[written]["meta"] == META


@pytest.mark.parametrize("on_disk", [False, True])
def test_some_rows_are_opened_and_verified_alone(tmp_path, monkeypatch, on_disk):
    """As another machine does: only the chunks that hold them are looked at."""
    monkeypatch.setattr("linclass_cli.feature_pages.CHUNK", 1 << 12)
    monkeypatch.setattr("linclass_cli.store.CHUNK", 1 << 12)
    monkeypatch.setattr("linclass_cli.feature_pages.stays_on_disk", lambda _: on_disk)
    path, d = feature_path(tmp_path, META), 600
    X = np.random.default_rng(0).random((100, d), np.float32)

    def fill(part, rows, y):
        rows[:], y[:] = X[: len(rows)], 0

    write_features(path, META, {"train": 100, "test": 3}, d, fill)
    chunks = load_features(path, META).chunks
    for first, stop in ((0, 100), (0, 1), (37, 60), (99, 100), (50, 50)):
        np.testing.assert_array_equal(open_rows(path, chunks, "train", first, stop)[:], X[first:stop])
    np.testing.assert_array_equal(open_rows(path, chunks, "test", 1, 3)[:], X[1:3])
    with pytest.raises(IntegrityError, match="not the file that was asked for"):
        open_rows(path, chunks[:-32] + bytes(32), "train", 0, 1)
    with pytest.raises(MissingError):
        open_rows(path.with_name("other.h5"), chunks, "train", 0, 1)
    with h5py.File(path) as file:
        at = file["train/features"].id.get_offset() + 50 * 4 * d
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="rows 40 to 60 do not match"):
        open_rows(path, chunks, "train", 40, 60)
    np.testing.assert_array_equal(open_rows(path, chunks, "train", 0, 20)[:], X[:20])
