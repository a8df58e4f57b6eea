"""Chunks of images side by side in threads, for kernels that release the interpreter's lock.

Numba's own parallel loops would do as well, but they compile a kernel and all that it calls three times over:
HOG took 14 s instead of 5 to compile, on every new machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numba

Spans = Iterator[tuple[int, int]]


def in_chunks(work: Callable[[Spans], None], n: int, chunk: int) -> None:
    """Call ``work(spans)`` in as many threads as Numba may use (`numba.get_num_threads`).

    Each call takes (start, stop) after (start, stop) from the common iterator, and so can allocate what it
    needs once. They go from 0 to n in steps of ``chunk``, whatever the number of threads. An exception of a
    call is raised again.
    """
    every = [(start, min(n, start + chunk)) for start in range(0, n, chunk)]
    threads = min(numba.get_num_threads(), len(every))
    spans = iter(every)
    if threads <= 1:
        work(spans)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, spans) for _ in range(threads)]:
            done.result()
