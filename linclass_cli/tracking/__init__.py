"""Fits told to others beside linclass's own record: TensorBoard and MLflow. Off by default, and extras."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from linclass_cli.errors import InputError, did_you_mean

TRACKERS = ("tensorboard", "mlflow")


class Tracker(Protocol):
    """Takes the numbers of one run."""

    def begin(self, run: str, config: dict[str, Any]) -> None:
        """The run's name and the config that decides it."""
        ...

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Numbers of one step."""
        ...

    def end(self, metrics: dict[str, float], record: Path | None) -> None:
        """The last numbers, and the folder of the record; None: the run was not finished."""
        ...


def make_tracker(name: str, cache: Path) -> Tracker:
    """The tracker of that name. Raises InputError for another name, MissingError without its package."""
    if name == "tensorboard":
        from linclass_cli.tracking.tensorboard import TensorBoard

        return TensorBoard(cache)
    if name == "mlflow":
        from linclass_cli.tracking.mlflow import MLflow

        return MLflow(cache)
    hint = did_you_mean(name, TRACKERS)
    raise InputError(f"--log {name}: allowed is {', '.join(TRACKERS)}{hint}")


@contextlib.contextmanager
def tracked(tracker: Tracker, run: str, config: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """Begin; the block calls ``finish(metrics, record)`` when the record is written. Ends in any case."""
    from linclass_cli.tracking.scalars import last_scalars

    tracker.begin(run, config)
    done = False

    def finish(metrics: dict[str, Any], record: Path) -> None:
        nonlocal done
        done = True
        tracker.end(last_scalars(metrics), record)

    try:
        yield finish
    finally:
        if not done:
            tracker.end({}, None)
