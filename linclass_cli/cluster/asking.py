"""Dask, and questions to its workers that have an end."""

from __future__ import annotations

import pydoc
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from linclass_cli.errors import MissingError, ResourceError, how_to_install

try:
    import distributed
except ImportError as error:
    raise MissingError(
        f"--cluster wants the package distributed ({error}): {how_to_install('cluster')}"
    ) from error

__all__ = [
    "ANSWER",
    "LOOK_UP",
    "SECONDS",
    "TRIES",
    "Asked",
    "StillAsked",
    "ask",
    "distributed",
    "versions",
    "within",
]

T = TypeVar("T")

SECONDS = 10.0  # in which a scheduler must answer, and have a worker
ANSWER = 60.0  # seconds in which every worker answers a question that takes it none
LOOK_UP = 1.0  # seconds between two looks at whether everybody is still there
TRIES = 5  # of the same, where workers are lost during each


class Asked(Generic[T]):
    """A call in a thread of its own, that can be waited for, and left behind."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._found: list[T] = []
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True, name="linclass-cluster")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # raised again to who waits
            self._failed.append(error)

    def answer(self, seconds: float) -> T:
        """What the call gave, or raised. Raises StillAsked where it takes longer."""
        self._thread.join(seconds)
        if self._failed:
            raise self._failed[0]
        if not self._found:
            raise StillAsked
        return self._found[0]


class StillAsked(TimeoutError):
    """There is no answer yet."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """``call()``. Raises TimeoutError where it takes longer, and leaves it behind."""
    return Asked(call).answer(seconds)


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


def versions(client: Any, where: str) -> dict[str, str | None]:
    """The version of linclass that each worker has, by its address; None where it has none."""
    # By a function that Python brings: one of linclass could not be asked for it.
    found = ask(client, where, pydoc.locate, "linclass_cli.__version__")
    return {name: version if isinstance(version, str) else None for name, version in found.items()}
