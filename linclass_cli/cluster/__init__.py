"""The same work on many machines: passes over rows, and features of images, by Dask's workers.

Dask (the extra ``cluster``) ships, schedules and restarts. What linclass adds is what goes where: branches of
the tree of sums (blocks.py) are made where their rows are, so that the result is, bit for bit, that of one
machine. Nothing here is loaded without ``--cluster``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linclass_cli.cluster.work import Cluster


@contextmanager
def use_cluster(where: str, notice: Callable[[str], None]) -> Iterator[Cluster | None]:
    """The cluster at tcp://HOST:PORT, or of N new processes for local:N; None where ``where`` is empty.

    Raises MissingError without Dask, ResourceError where no scheduler answers, or its workers cannot do it.
    """
    if not where:
        yield None
        return
    from linclass_cli.cluster.connection import connect

    with connect(where, notice) as cluster:
        yield cluster
