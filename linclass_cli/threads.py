"""How many threads work, decided in one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[int]:
    """Run the kernels of the block with ``count`` threads (0: one a core); yield the number in force.

    BLAS gets one thread: its own would fight with the kernels over the cores (a pass of 10 ms became 100),
    and its sums would depend on their number.
    """
    import numba
    from numba import config as numba_config
    from threadpoolctl import threadpool_limits

    wanted = count or available()
    with contextlib.suppress(RuntimeError):
        # Possible until the first kernel starts the pool; from then on the pool's size is the limit.
        numba_config.NUMBA_NUM_THREADS = max(wanted, numba_config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    before = numba.get_num_threads()
    in_force = min(wanted, numba_config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(in_force)
    try:
        with threadpool_limits(1, "blas"):
            yield in_force
    finally:
        numba.set_num_threads(before)
