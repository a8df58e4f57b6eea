"""A scheduler and its workers: found or started, checked, waited for; and what is done when some are lost."""

from __future__ import annotations

import logging
import pydoc
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from linclass_cli import __version__
from linclass_cli.cluster import worker
from linclass_cli.errors import LinclassError, MissingError, ResourceError, how_to_install
from linclass_cli.memory import is_shortage

try:
    import distributed
except ImportError as error:
    raise MissingError(
        f"--cluster wants the package distributed ({error}): {how_to_install('cluster')}"
    ) from error

T = TypeVar("T")
Future = Any  # distributed.Future, of what a function of worker.py gives

SECONDS = 10.0  # in which a scheduler must answer, and have a worker
LOOK_UP = 1.0  # seconds between two looks at whether everybody is still there
ANSWER = 60.0  # seconds in which every worker answers a question that takes it none
ALONE = 60.0  # seconds that work waits for a new worker when the last one is lost
TRIES = 5  # of the same work, where workers are lost during each
# Arguments of more bytes are sent once, and on from worker to worker.
BROADCAST = 1 << 18

_LOGGERS = ("distributed", "tornado", "asyncio")


class Lost(Exception):
    """Something that was to stay on a worker is gone with it."""


class Cluster:
    """Workers that are there and have this linclass; ``threads``: how many pieces they work on at once.

    ``facts``: what a run's record says of them.
    """

    def __init__(self, client: Any, where: str) -> None:
        self.client, self.where = client, where
        self.workers: list[str] = []
        self.threads = 0
        self._latest: list[Future] = []
        self._count()
        self.facts: dict[str, Any] = {
            "scheduler": where,
            "workers": len(self.workers),
            "threads": self.threads,
        }

    def _count(self) -> None:
        threads = self.client.nthreads()
        self.workers, self.threads = sorted(threads), sum(threads.values())

    def home(self, i: int) -> str | None:
        """The worker where what is sent of the branch i is to be; None: there is none."""
        return self.workers[i % len(self.workers)] if self.workers else None

    def ask(self, function: Callable[..., T], *args: Any) -> dict[str, T]:
        """What every worker answers to ``function(*args)``. Raises ResourceError where one does not."""
        return ask(self.client, self.where, function, *args)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        """Have ``function(*args)`` (worker.py) done, near to the futures among its arguments."""
        return self.client.submit(worker.run, __version__, function, *args, pure=False)

    def submit_each(self, function: Callable[..., Any], *columns: list[Any]) -> list[Future]:
        """``function(*row)`` for each row of the columns, in one message: the next would wait for 10 ms.

        So would one that says that earlier results are no longer wanted: they are kept until now.
        """
        rows = len(columns[0])
        futures = self.client.map(worker.run, [__version__] * rows, [function] * rows, *columns, pure=False)
        self._latest = list(futures)
        return list(futures)

    def send(self, value: Any, at: str | None = None) -> Future:
        """Have a value stay at a worker; without one, at all of them."""
        try:
            place = {"workers": [at]} if at else {"broadcast": True}
            return self.client.scatter([value], hash=False, **place)[0]
        except (OSError, KeyError, ValueError, TimeoutError, distributed.CancelledError) as error:
            self._look()
            self._count()  # without those that are gone
            raise Lost from error

    def results(self, futures: list[Future]) -> list[Any]:
        """What the futures come to. Raises what their work raised, ResourceError, or Lost."""
        alone = None
        try:
            while self._wait(futures, "ALL_COMPLETED"):
                alone = self._look(alone)
            return list(self.client.gather(futures))
        except LinclassError:
            raise
        except Exception as error:
            raise self._told(error) from error

    def first(self, futures: list[Future]) -> list[Future]:
        """Some of the futures that are done."""
        alone = None
        while True:
            waiting = self._wait(futures, "FIRST_COMPLETED")
            if len(waiting) < len(futures):
                return [one for one in futures if one not in waiting]
            alone = self._look(alone)

    def _wait(self, futures: list[Future], until: str) -> set[Future]:
        """Those that are not done, after a while."""
        try:
            return set(distributed.wait(futures, timeout=LOOK_UP, return_when=until).not_done)
        except (TimeoutError, distributed.TimeoutError):
            return {one for one in futures if one.status == "pending"}
        except distributed.CancelledError:
            return set()

    def _look(self, alone: float | None = None) -> float | None:
        """Raise ResourceError where the scheduler is gone, or has had no worker for long; since when."""
        if self.client.status != "running":
            raise self._without_scheduler()
        try:
            there = within(ANSWER, self.client.nthreads)
        except (OSError, distributed.CancelledError, TimeoutError):
            raise self._without_scheduler() from None
        if there:
            return None
        alone = alone or time.monotonic()
        if time.monotonic() - alone > ALONE:
            raise ResourceError(
                f"the scheduler at {self.where} has had no worker for {ALONE:.0f} s; what is done is kept: "
                "start some, and the same command goes on"
            )
        return alone

    def _without_scheduler(self) -> ResourceError:
        return ResourceError(
            f"the scheduler at {self.where} is gone; what is done is kept: start another, and the same "
            "command goes on"
        )

    def _told(self, error: Exception) -> Exception:
        """The error that a user or :func:`again` is to see for one of Dask's."""
        if "scheduler-connection-lost" in str(error):
            return self._without_scheduler()
        self._look()
        if isinstance(error, distributed.KilledWorker):
            return ResourceError(
                f"workers at {self.where} ended several times at the same piece of work: was there too "
                "little memory? more workers take smaller pieces"
            )
        if isinstance(error, distributed.CancelledError):
            self._count()
            return Lost()
        if isinstance(error, ImportError):
            return ResourceError(
                f"a worker at {self.where} lacks something of linclass {__version__} ({error}): install the "
                "same on every worker"
            )
        if is_shortage(error):
            return ResourceError(f"a worker at {self.where} has not enough memory ({error})")
        return error

    def again(self, call: Callable[[], T]) -> T:
        """``call()``, once more when what stays on workers was lost."""
        for attempt in range(TRIES):
            try:
                return call()
            except Lost:
                time.sleep(0.2 * 2**attempt)  # until everybody has heard of it
                self.recover()
        raise ResourceError(
            f"workers at {self.where} were lost {TRIES} times during the same pass; what is done is kept: "
            "the same command goes on"
        )

    def recover(self) -> None:
        """Wait until there is a worker, after some were lost. Raises ResourceError."""
        alone = self._look()
        while alone is not None:
            time.sleep(LOOK_UP)
            alone = self._look(alone)
        self._count()


def gone(future: Future | None) -> bool:
    """Whether there is nothing, or nothing any more."""
    return future is None or future.status not in ("finished", "pending")


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
    # Python's tracker of resources would let it through, for them, too.
    resource_tracker.ensure_running()
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


def within(seconds: float, call: Callable[[], T]) -> T:
    """``call()``. Raises TimeoutError where it takes longer, and leaves it behind."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:  # raised again below
            failed.append(error)

    aside = threading.Thread(target=run, daemon=True, name="linclass-cluster")
    aside.start()
    aside.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def ask(client: Any, where: str, function: Callable[..., T], *args: Any) -> dict[str, T]:
    """What every worker answers to ``function(*args)``, by its address; those that are lost meanwhile do not.

    Raises ResourceError where one does not answer.
    """
    for _ in range(TRIES):
        try:
            found = within(ANSWER, lambda: client.run(function, *args, on_error="return"))
            there = within(SECONDS, client.nthreads)
        except (OSError, TimeoutError) as error:
            raise ResourceError(
                f"a worker of {where}, or its scheduler, has not answered for {ANSWER:.0f} s: is one stuck?"
            ) from error
        answers = {name: answer for name, answer in found.items() if name in there}
        if answers and not any(isinstance(answer, Exception) for answer in answers.values()):
            return answers
        time.sleep(LOOK_UP)
    errors = [answer for answer in answers.values() if isinstance(answer, Exception)]
    raise ResourceError(f"workers of {where} could not be asked ({errors[0] if errors else 'none is there'})")


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


def versions(client: Any, where: str) -> dict[str, str | None]:
    """The version of linclass that each worker has, by its address; None where it has none."""
    # By a function that Python brings: one of linclass could not be asked for it.
    found = ask(client, where, pydoc.locate, "linclass_cli.__version__")
    return {name: version if isinstance(version, str) else None for name, version in found.items()}
