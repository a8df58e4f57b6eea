"""Vectors in NumPy's files: rows with names, or a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from linclass_cli.data.pictures import Frame
from linclass_cli.model import Model
from linclass_cli.predicting import vectors
from linclass_cli.predicting.predictor import Predictor
from linclass_cli.predicting.sources import VECTORS, Failed, find_files
from linclass_cli.predicting.stream import predict_files
from linclass_cli.threads import use_threads

X = np.random.default_rng(0).normal(size=(10, 4))


class Foreign:
    """What stands for an extractor where vectors were made elsewhere."""

    name = "vectors"


@pytest.fixture
def model():
    weight = np.eye(3, 4, dtype=np.float32)
    return Model(weight, np.zeros(3, np.float32), np.zeros(4), np.ones(4), ("a", "b", "c"), "softmax", "key")


def test_rows_of_files_are_predicted_in_their_order(tmp_path, monkeypatch, model):
    monkeypatch.setattr(vectors, "_ROWS", 3)
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", X[0].astype(np.float32))
    np.savez(tmp_path / "c.npz", X=X[:2], y=np.arange(2))
    np.save(tmp_path / "d.npy", X[:, :3])
    predictor = Predictor("r", model, Foreign(), Frame(1, 1, 4))
    files = find_files([str(tmp_path), "gone.npy"], suffixes=VECTORS)
    paths, labels = [], []
    for batch in predict_files(predictor, files, top=2):
        paths += batch.paths
        labels += batch.labels[:, 0].tolist()
    a, b, c, d = (str(tmp_path / name) for name in ("a.npy", "b.npy", "c.npz", "d.npy"))
    assert paths[:13] == [f"{a}[{i}]" for i in range(10)] + [f"{b}[0]", f"{c}[0]", f"{c}[1]"]
    best = X[:, :3].argmax(axis=1)
    assert labels == [*best, best[0], *best[:2]]
    assert paths[13] == Failed(d, "it holds float64 (10, 3); the model wants numbers (n, 4)")
    assert (paths[14].path, paths[14].missing) == ("gone.npy", True)


def test_a_row_whose_scores_are_no_numbers_is_a_reason(tmp_path, model):
    far = X.astype(np.float32)
    far[2, 0], far[5, 1], far[7, 3] = np.nan, -np.inf, 3e38  # the last column has no weight
    np.save(tmp_path / "a.npy", far)
    predictor = Predictor("r", replace(model, factor=np.full(4, 10.0)), Foreign(), Frame(1, 1, 4))
    with use_threads(1):
        (batch,) = predict_files(predictor, find_files([str(tmp_path / "a.npy")]))
    assert [i for i, path in enumerate(batch.paths) if isinstance(path, Failed)] == [2, 5, 7]
    assert batch.labels[:, 0].tolist() == np.delete(X, [2, 5, 7], axis=0)[:, :3].argmax(axis=1).tolist()
    assert np.isfinite(batch.probabilities).all()


def test_hostile_and_foreign_files_are_reasons(tmp_path):
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=X, b=X)
    (tmp_path / "text.npy").write_text("no numbers")
    (tmp_path / "half.npz").write_bytes(b"PK\3\4" + bytes(30))
    (tmp_path / "empty.npy").touch()
    for path in tmp_path.iterdir():
        (found,) = vectors.read_vectors(str(path), 4)
        assert isinstance(found, Failed), path
