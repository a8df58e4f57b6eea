"""The machine's own limits: how fast it reads memory, and its peak in float32 matrix products."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.measure import THREADS
from benchmarks.workers import Prepared, Worker

_SIDE = 3000


def limits_entry(gigabytes: float) -> Prepared:
    """The best of several runs each: a parallel sum over a large array, and a product of square matrices."""
    import numba

    @numba.njit(nogil=True, fastmath=True)
    def total(x: Any) -> float:
        s = np.float32(0)
        for i in range(x.shape[0]):
            s += x[i]
        return s

    array = np.ones(int(gigabytes * 2**30) // 4, np.float32)
    parts = np.array_split(array, THREADS)
    A, B = (np.random.default_rng(i).standard_normal((_SIDE, _SIDE), np.float32) for i in (1, 2))
    out = np.empty_like(A)
    total(array[:8])

    def run() -> dict[str, float]:
        with ThreadPoolExecutor(THREADS) as pool:
            read = min(_seconds(lambda: list(pool.map(total, parts))) for _ in range(7))
        product = min(_seconds(lambda: np.matmul(A, B, out=out)) for _ in range(5))
        return {
            "memory read GB/s": array.nbytes / read / 1e9,
            "sgemm peak GFLOP/s": 2 * _SIDE**3 / product / 1e9,
        }

    return Prepared(run)


def limits(gigabytes: float) -> dict[str, float]:
    """Measured in a process of its own."""
    worker = Worker("benchmarks.machine:limits_entry", gigabytes=gigabytes)
    try:
        worker.run()
        return dict(worker.value)
    finally:
        worker.stop()


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
