"""How many threads work, and how work is cut up for them, decided in one place.

Kernels are serial and release the interpreter's lock; Python's threads run them side by side. Numba's own
parallel loops would do as well, but they compile a kernel and all that it calls three times over (HOG took
14 s instead of 5 on every new machine).
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar

Spans = Iterator[tuple[int, int]]

_LOOK_UP = 0.5  # seconds
_in_force: ContextVar[int] = ContextVar("threads", default=0)


def available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[int]:
    """Run the kernels of the block with ``count`` threads (0: one a core); yield the number in force.

    BLAS gets one thread: its own would fight with the kernels over the cores (a pass of 10 ms became 100),
    and its sums would depend on their number. NumPy warns of no overflow: whoever computes looks at what
    came out, and says it in a line of its own.
    """
    import numpy as np  # limits hold for the libraries that are loaded
    from threadpoolctl import threadpool_limits

    token = _in_force.set(count or available())
    try:
        with threadpool_limits(1, "blas"), np.errstate(over="ignore", invalid="ignore"):
            yield _in_force.get()
    finally:
        _in_force.reset(token)


def keep_to_threads(count: int) -> None:
    """The same as `use_threads`, for good, in this thread: for who is called in threads of others."""
    _in_force.set(count)
    _limit_blas()


@functools.cache
def _limit_blas() -> None:
    import numpy as np  # noqa: F401
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, "blas")


def in_force() -> int:
    """The threads that `use_threads` allows; outside of it: one a core."""
    return _in_force.get() or available()


def in_chunks(work: Callable[[Spans], None], n: int, chunk: int = 1) -> None:
    """Call ``work(spans)`` in as many threads as `use_threads` allows (outside of it: one a core).

    Each call takes (start, stop) after (start, stop) from the common iterator, and so can allocate what it
    needs once. They go from 0 to n in steps of ``chunk``, whatever the number of threads. An exception of a
    call is raised again.
    """
    every = [(start, min(n, start + chunk)) for start in range(0, n, chunk)]
    threads = min(in_force(), len(every))
    spans = iter(every)
    if threads <= 1:
        work(spans)
        return
    pool = _pool(threads)
    try:
        for call in [pool.submit(work, spans) for _ in range(threads)]:
            _wait(call)
    except BaseException:
        # The other threads find nothing more to take: leaving, as after Ctrl-C, would wait for all of it.
        for _ in spans:
            pass
        raise


def _wait(call: Future[None]) -> None:
    """Wait for a call, and raise what it raised.

    Now and then the wait is left: a signal that comes just before it begins would not be seen until its end.
    """
    while True:
        try:
            error = call.exception(_LOOK_UP)
        except TimeoutError:
            continue
        if error:
            raise error
        return


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    import numpy as np

    def quietly() -> None:
        np.seterr(over="ignore", invalid="ignore")  # as in use_threads, which other threads do not inherit

    return ThreadPoolExecutor(threads, thread_name_prefix="linclass", initializer=quietly)
