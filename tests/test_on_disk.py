"""Arrays that stay in their file: the rows that are asked for, in pieces that change no tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linclass_cli import on_disk
from linclass_cli.errors import ResourceError
from linclass_cli.on_disk import OnDisk
from linclass_cli.read_ahead import pieces, shuffled


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The same rows in memory and, behind some other bytes, in a file."""
    X = np.random.default_rng(0).normal(size=(500, 7)).astype(np.float32)
    path = tmp_path_factory.mktemp("rows") / "X"
    path.write_bytes(b"x" * 13 + X.tobytes() + b"y")
    return X, OnDisk(path, 13, X.shape, np.float32)


def blocks_of(rng: np.random.Generator, share: float, count: int) -> list[np.ndarray]:
    """Ascending rows, dealt out to some blocks, some perhaps empty."""
    rows = np.flatnonzero(rng.random(500) < share)
    dealt = rng.integers(0, count, len(rows))
    return [rows[dealt == i] for i in range(count)]


@given(
    st.integers(0, 10**6), st.sampled_from([0.01, 0.2, 1.0]), st.integers(1, 4), st.sampled_from([1, 8, 16])
)
@pytest.mark.parametrize("piece", [60, 1000, 10**6])
@pytest.mark.parametrize("gap", [0, 60, 10**6])
def test_pieces_are_the_blocks_in_their_order(saved, piece, gap, seed, share, count, step):
    X, stored = saved
    blocks = blocks_of(np.random.default_rng(seed), share, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_disk, "PIECE_BYTES", piece)
        patch.setattr(on_disk, "_GAP", gap)
        came: list[list[np.ndarray]] = [[] for _ in blocks]
        for i, features, rows, at in pieces(stored, blocks, step):
            assert at.start == sum(map(len, came[i]))
            assert at.start % step == 0  # a tile begins where it does in memory
            assert at.stop - at.start == len(rows)
            came[i].append(features[rows].copy())
    for block, found in zip(blocks, came, strict=True):
        assert np.array_equal(np.concatenate([np.empty((0, 7), np.float32), *found]), X[block])


def test_in_memory_a_block_comes_whole(saved):
    X, _ = saved
    blocks = [np.arange(0, 500, 3), np.arange(1, 500, 3)]
    found = list(pieces(X, blocks, 8))
    assert [i for i, *_ in found] == [0, 1]
    assert all(features is X and rows is blocks[i] for i, features, rows, _ in found)


@pytest.mark.parametrize("batch", [1, 7, 64, 10**6])
def test_shuffled_rows_come_by_whole_batches(saved, batch, monkeypatch):
    X, stored = saved
    monkeypatch.setattr(on_disk, "PIECE_BYTES", 1000)
    rows = np.random.default_rng(batch).permutation(500)[:321]
    found = [(features[local].copy(), at) for features, local, at in shuffled(stored, rows, batch)]
    assert all(at.start % batch == 0 for _, at in found)
    assert np.array_equal(np.concatenate([features for features, _ in found]), X[rows])
    assert len(found) == (1 if batch > 300 else -(-321 // (max(1, 35 // batch) * batch)))


def test_slices_rows_and_columns(saved, monkeypatch):
    X, stored = saved
    monkeypatch.setattr(on_disk, "PIECE_BYTES", 1000)
    rows = np.random.default_rng(1).integers(0, 500, 200)  # some of them twice
    assert np.array_equal(stored[rows], X[rows])
    assert np.array_equal(stored[10:400], X[10:400])
    assert np.array_equal(stored.take(rows, slice(2, 5)), X[rows, 2:5])
    assert stored[700:].shape == (0, 7)
    assert len(stored) == 500


def test_a_file_that_has_become_shorter_is_one_line(tmp_path):
    path = tmp_path / "X"
    path.write_bytes(bytes(100))
    stored = OnDisk(path, 0, (100,), np.uint8)
    path.write_bytes(bytes(50))
    with pytest.raises(ResourceError, match="it ends before byte 100"):
        stored[:]


def test_a_view_reads_the_file_that_was_opened(tmp_path):
    """Whatever has its name by then: verified through one array, it is read through another."""
    path = tmp_path / "a"
    path.write_bytes(np.arange(40, dtype=np.float32).tobytes())
    pages = OnDisk(path, 0, (160,), np.uint8)
    path.with_name("b").write_bytes(bytes(160))
    path.with_name("b").replace(path)
    rows = pages.view(16, (4, 9), np.float32)
    del pages  # which does not close what another array reads
    assert rows[:].tolist() == np.arange(4, 40).reshape(4, 9).tolist()
