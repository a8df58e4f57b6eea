"""The products in vector registers against their twins, for every number of classes and features."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.jit import kernel
from linclass_cli.learn.lanes import dots, outers, scale
from linclass_cli.learn.tiles import roomy
from tests import naive

R = 16


@kernel(inner=True)
def products(X, rows, mean, factor, W, b, m, S, dW):
    """One tile as a pass treats it: (T, S, dW)."""
    T, weights, sums = roomy(X[:R]), roomy(W), roomy(dW)
    T[:] = 0
    scale(X, rows, roomy(mean.reshape((1, len(mean)))), roomy(factor.reshape((1, len(factor)))), T)
    dots(T, m, weights, b, S)
    outers(S, T, m, sums, X, rows)
    return T, sums


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 6, 7, 11, 12, 13, 40])
@pytest.mark.parametrize("d", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("m", [1, 4, 13, 16])
def test_a_tile_equals_its_twin(dtype, rtol, k, d, m):
    rng = np.random.default_rng(0)
    X, W, dW = (rng.normal(size=shape).astype(dtype) for shape in ((30, d), (k, d), (k, d)))
    mean, factor, b = (rng.uniform(0.5, 2, size).astype(dtype) for size in (d, d, k))
    rows, S = rng.permutation(30)[:R], np.zeros((k, R), dtype)
    T, sums = products(X, rows, mean, factor, W, b, m, S, dW)
    want_T, want_S, want_dW = naive.tile(X[rows], mean, factor, W, b, m, dW)
    np.testing.assert_allclose(T[:, :d], want_T, rtol=rtol)
    assert not T[:, d:].any()
    np.testing.assert_allclose(S[:, :m], want_S, rtol=rtol, atol=10 * d * rtol / 100)
    assert not S[:, (m + 3) // 4 * 4 :].any()
    np.testing.assert_allclose(sums[:, :d], want_dW, rtol=rtol, atol=10 * d * rtol / 100)


def test_nothing_behind_the_last_row_is_read():
    """Features that end where the memory's last page does: one value more would end the process."""
    import mmap

    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    import ctypes

    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(base + page), page, 0) == 0
    d = 21
    n = page // 4 // d
    X = np.frombuffer(memory, np.float32, n * d, page - n * d * 4).reshape(n, d)
    rows = np.arange(n)[-R:]
    ones, W = np.ones(d, np.float32), np.ones((3, d), np.float32)
    S = np.zeros((3, R), np.float32)
    T, _ = products(X, rows, ones, ones, W, np.zeros(3, np.float32), R, S, W)
    np.testing.assert_array_equal(T[:, :d], -np.ones((R, d)))
