"""Small problems that every part of `learn` is tried on."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.learn.objective import Part
from linclass_cli.learn.scaling import Scaling, fit_scaling
from linclass_cli.threads import use_threads


@pytest.fixture(autouse=True)
def _two_threads():
    with use_threads(2):
        yield


def blobs(n: int, d: int, k: int, seed: int = 0, dtype=np.float32, spread: float = 1.0):
    """n points around k centres: X (n, d), y (n,). Every class has a point when n >= k."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % k)
    X = rng.normal(size=(k, d))[y] * spread + rng.normal(size=(n, d))
    return X.astype(dtype), y.astype(np.int64)


def plain_part(X, y, kind: str = "none") -> Part:
    rows = np.arange(len(y))
    return Part(X, rows, y, fit_scaling(kind, X, rows) if kind != "none" else identity(X.shape[1]))


def identity(d: int) -> Scaling:
    return Scaling(np.zeros(d), np.ones(d))
