"""Work for a cluster's workers: told, waited for, and told again where some are lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from linclass_cli import __version__
from linclass_cli.cluster import worker
from linclass_cli.cluster.asking import ANSWER, LOOK_UP, TRIES, Asked, StillAsked, ask, distributed, within
from linclass_cli.errors import LinclassError, ResourceError
from linclass_cli.memory import is_shortage

T = TypeVar("T")
Future = Any  # distributed.Future, of what a function of worker.py gives

ALONE = 60.0  # seconds that work waits for a new worker when the last one is lost
# Arguments of more bytes are sent once, and on from worker to worker.
BROADCAST = 1 << 18


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
        self._be_connected()
        return ask(self.client, self.where, function, *args)

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        """Have ``function(*args)`` (worker.py) done, near to the futures among its arguments."""
        self._be_connected()
        return self.client.submit(worker.run, __version__, function, *args, pure=False)

    def submit_each(self, function: Callable[..., Any], *columns: list[Any]) -> list[Future]:
        """``function(*row)`` for each row of the columns, in one message: the next would wait for 10 ms.

        So would one that says that earlier results are no longer wanted: they are kept until now.
        """
        self._be_connected()
        rows = len(columns[0])
        futures = self.client.map(worker.run, [__version__] * rows, [function] * rows, *columns, pure=False)
        self._latest = list(futures)
        return list(futures)

    def send(self, value: Any, at: str | None = None) -> Future:
        """Have a value stay at a worker; without one, at all of them."""
        self._be_connected()
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
            asked = Asked(lambda: list(self.client.gather(futures)))
            while True:
                try:
                    return asked.answer(LOOK_UP)
                except StillAsked:
                    alone = self._look(alone)
        except LinclassError:
            raise
        except Exception as error:
            told = self._told(error)
            if told is error:
                raise
            raise told from error

    def first(self, futures: list[Future]) -> list[Future]:
        """Some of the futures that are done."""
        alone = None
        while True:
            waiting = self._waiting(futures)
            if len(waiting) < len(futures):
                return [one for one in futures if one not in waiting]
            alone = self._look(alone)

    def _waiting(self, futures: list[Future]) -> set[Future]:
        """Those that are not done, when one is, or after a while."""
        try:
            return set(distributed.wait(futures, timeout=LOOK_UP, return_when="FIRST_COMPLETED").not_done)
        except (TimeoutError, distributed.TimeoutError):
            return {one for one in futures if one.status in ("pending", "lost")}
        except distributed.CancelledError:
            return set()

    def _be_connected(self) -> None:
        """Raise ResourceError where the client has given up: while nothing was asked of it, nobody heard."""
        if self.client.status in ("closing", "closed"):
            raise self._without_scheduler()

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
