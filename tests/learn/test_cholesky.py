"""Cholesky factors in tiles against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.learn import cholesky
from linclass_cli.threads import use_threads


def products(d: int):
    """A positive definite matrix, float32 (d, d)."""
    X = np.random.default_rng(d).normal(size=(2 * d + 3, d)).astype(np.float32)
    return X.T @ X / np.float32(len(X)) + np.eye(d, dtype=np.float32) * np.float32(0.1)


@pytest.fixture(params=[(1024, 512), (16, 5), (7, 16)], ids=str)
def tiles(request, monkeypatch):
    monkeypatch.setattr(cholesky, "_BLOCK", request.param[0])
    monkeypatch.setattr(cholesky, "_TILE", request.param[1])


@pytest.mark.parametrize("d", [1, 2, 15, 16, 17, 48, 101])
@pytest.mark.usefixtures("tiles")
def test_it_is_numpys(d):
    A = products(d)
    L = A.copy()
    L[np.triu_indices(d, 1)] = np.nan  # has no say
    assert cholesky.factorise(L)
    np.testing.assert_allclose(np.tril(L), np.linalg.cholesky(A.astype(np.float64)), atol=2e-5)
    r = np.random.default_rng(0).normal(size=(d, 3))
    np.testing.assert_allclose(cholesky.solve(L, r), np.linalg.solve(A.astype(np.float64), r), atol=2e-4)


@pytest.mark.usefixtures("tiles")
def test_what_is_not_positive_definite_is_found():
    A = products(40)
    A[33, 33] = -1
    assert not cholesky.factorise(A)


def test_same_bits_for_any_threads(monkeypatch):
    monkeypatch.setattr(cholesky, "_BLOCK", 32)
    monkeypatch.setattr(cholesky, "_TILE", 16)
    found = []
    for threads in (1, 2, 3):
        L = products(150)
        with use_threads(threads):
            assert cholesky.factorise(L)
            found.append(np.tril(L).tobytes() + cholesky.solve(L, np.ones((150, 2))).tobytes())
    assert found[0] == found[1] == found[2]
