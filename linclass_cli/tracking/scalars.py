"""What of a step, a cell or the metrics is a number to be followed, and what it is called."""

from __future__ import annotations

from typing import Any

from linclass_cli.learn.cells import Cell
from linclass_cli.learn.fit import Step
from linclass_cli.learn.nested import Outer

Scalars = dict[str, float]


def event_scalars(event: Any, strengths: tuple[float, ...]) -> tuple[Scalars, int] | None:
    """The numbers of an event, and its step: of a cell the place of its strength among them, from 0.

    None for events that are told of again when they are complete.
    """
    if isinstance(event, Step):
        named = {
            "objective": event.objective,
            "gradient_norm": event.gradient_norm,
            "train/loss": event.train_loss,
            "train/accuracy": event.train_accuracy,
            "validation/loss": event.val_loss,
            "validation/accuracy": event.val_accuracy,
        }
        return _numbers(named), event.iteration
    if isinstance(event, Cell):
        place = "refit" if event.fold is None else f"fold{event.fold}"
        named = {"accuracy": event.val_accuracy, "loss": event.val_loss, "objective": event.objective}
        return _numbers({f"{place}/{key}": value for key, value in named.items()}), strengths.index(event.l2)
    if isinstance(event, Outer):
        return _numbers({"outer/accuracy": event.accuracy, "outer/l2": event.l2}), event.fold
    return None


def last_scalars(metrics: dict[str, Any]) -> Scalars:
    """The run's metrics that are single numbers."""
    return _numbers(metrics)


def _numbers(values: dict[str, Any]) -> Scalars:
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
