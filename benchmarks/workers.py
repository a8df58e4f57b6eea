"""A process for every entry: it imports and prepares once, then runs when it is told to, and times itself.

Thread pools, patches and crashes of one peer stay away from the others, and memory is each one's own. An
entry is named by "module:function"; called with JSON-like arguments, that function imports what it needs,
prepares the data and returns a :class:`Prepared`. Where importing fails the entry is reported so.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.measure import EntryError

LIMIT = 600.0  # seconds that one call may take


@dataclass(frozen=True)
class Prepared:
    """``run`` is timed, ``collect`` turns what it returns into what is sent back, outside the timing."""

    run: Callable[..., Any]
    collect: Callable[[Any], Any] = lambda value: value


class Worker:
    """One entry in its process. ``prepared``: seconds of imports and preparation; ``first``: first call."""

    def __init__(self, target: str, limit: float = LIMIT, **arguments: Any) -> None:
        self.limit = limit
        self.first: float | None = None
        self.last = 0.0
        self.value: Any = None
        self._wanted = (target, arguments)
        self.prepared = self.start()

    def start(self) -> float:
        """Start the process, anew after it was stopped; seconds of imports and preparation."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._wanted))
        self._process.start()
        theirs.close()
        return self._receive()[0]

    def run(self, **settings: Any) -> float:
        """Run once; the seconds it took. What came out is in ``value``. Raises EntryError.

        ``threads`` among the settings limits the pools of BLAS and OpenMP; the rest goes to the entry.
        """
        if not self._process.is_alive():
            raise EntryError("its process has ended")
        self._pipe.send(settings)
        seconds, self.value = self._receive()
        self.last = seconds
        if self.first is None:
            self.first = seconds
        return seconds

    def stop(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(5)
        self._kill()

    def _kill(self) -> None:
        """The process, and what it started: they are a process group of their own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def _receive(self) -> tuple[float, Any]:
        try:
            if not self._pipe.poll(self.limit):
                self._kill()
                raise EntryError(f"stopped after {self.limit:.0f} s")
            kind, first, second = self._pipe.recv()
        except EOFError:
            self._process.join(5)
            raise EntryError(f"its process died, exit code {self._process.exitcode}") from None
        if kind != "done":
            self.stop()
            raise EntryError(f"{kind}: {first}")
        return first, second


@contextlib.contextmanager
def crew() -> Iterator[Callable[..., Worker]]:
    """A function that starts workers; all of them end with the block."""
    started: list[Worker] = []

    def start(target: str, **arguments: Any) -> Worker:
        worker = Worker(target, **arguments)
        started.append(worker)
        return worker

    try:
        yield start
    finally:
        for worker in started:
            worker.stop()


def _serve(pipe: Any, target: str, arguments: dict[str, Any]) -> None:
    os.setpgrp()
    # What a peer prints must not mix with the result.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        began = time.perf_counter()
        module, _, function = target.partition(":")
        prepared: Prepared = getattr(importlib.import_module(module), function)(**arguments)
        pipe.send(("done", time.perf_counter() - began, None))
        while (settings := pipe.recv()) is not None:
            threads = settings.pop("threads", None)
            with threadpool_limits(threads) if threads else contextlib.nullcontext():
                began = time.perf_counter()
                value = prepared.run(**settings)
                seconds = time.perf_counter() - began
            pipe.send(("done", seconds, prepared.collect(value)))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except ImportError as error:
        pipe.send(("not available", str(error), None))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        last = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        pipe.send(("failed", " ".join(last.split())[:300], None))
