"""A scheduler and its workers: found, or started, and checked."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

from linclass_cli import __version__
from linclass_cli.cluster import worker
from linclass_cli.cluster.asking import SECONDS, distributed, versions, within
from linclass_cli.cluster.work import Cluster
from linclass_cli.errors import ResourceError

_LOGGERS = ("distributed", "tornado", "asyncio")


@contextmanager
def connect(where: str, notice: Callable[[str], None]) -> Iterator[Cluster]:
    """The cluster at tcp://HOST:PORT, or of local:N processes that end with the block; checked."""
    with connected(where) as client:
        cluster = Cluster(client, where)
        _check(cluster, notice)
        yield cluster


@contextmanager
def connected(where: str) -> Iterator[Any]:
    """A Dask client of it. Raises ResourceError where no scheduler answers, or it has no workers."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions that differ: who connects looks at those that matter
        stack.enter_context(_quiet())
        address = where
        if where.startswith("local:"):
            address = stack.enter_context(_started(where)).scheduler_address
        yield stack.enter_context(_client(address, where))


@contextmanager
def _quiet() -> Iterator[None]:
    """No word of Dask's own on stderr: each of its loggers has a level, and some a handler, of its own."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOGGERS]
    levels = {name: logging.getLogger(name).level for name in (*names, *_LOGGERS)}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _started(where: str) -> Any:
    """N processes on this machine, of one thread each."""
    # Ctrl-C is for this process alone: what it starts, it ends. It is heard when they are there. What starts
    # Python's tracker of resources would let it through, for them, too. That tracker gives back what Ctrl-C
    # leaves, as semaphores, and would warn the user of it: it is started with its warnings off.
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    resource_tracker.ensure_running()
    sys.warnoptions.pop()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return distributed.LocalCluster(
            n_workers=int(where.removeprefix("local:")),
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError, TimeoutError) as error:
        raise ResourceError(
            f"the processes of {where} did not start ({error}); a script that wants them begins its work "
            "below `if __name__ == '__main__':`"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _client(address: str, where: str) -> Any:
    try:
        socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, ValueError) as error:
        raise ResourceError(f"there is no machine of the name in {where}: {error}") from error
    try:
        client = within(1.5 * SECONDS, lambda: distributed.Client(address, timeout=SECONDS, name="linclass"))
    except (OSError, ValueError, TimeoutError) as error:
        raise ResourceError(
            f"no scheduler answers at {where}; `dask scheduler` starts one, and says its address"
        ) from error
    except Exception as error:  # a worker's address, or another program's: what it says is not Dask's to tell
        raise ResourceError(
            f"what answers at {where} is no scheduler ({type(error).__name__}: {error}); `dask scheduler` "
            "starts one, and says its address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=SECONDS)
    except (TimeoutError, distributed.TimeoutError) as error:
        client.close()
        raise ResourceError(
            f"the scheduler at {where} has no workers; `dask worker {address} --nthreads 1` starts one"
        ) from error
    return client


def _check(cluster: Cluster, notice: Callable[[str], None]) -> None:
    """Raise ResourceError unless every worker has this linclass; tell where last bits may differ."""
    for name, version in versions(cluster.client, cluster.where).items():
        if version != __version__:
            has = f"linclass {version}" if version else "no linclass"
            raise ResourceError(
                f"the worker {name} has {has}, and {__version__} is wanted: install the same on every worker "
                f"(`linclass doctor --cluster {cluster.where}` shows them all)"
            )
    own, others = worker.facts(), cluster.ask(worker.facts)
    unlike = sorted({key for facts in others.values() for key in own if facts[key] != own[key]})
    if unlike:
        notice(
            f"note: some workers have another {', '.join(unlike)} than this machine: the last bits of "
            "results may differ from those made here"
        )
