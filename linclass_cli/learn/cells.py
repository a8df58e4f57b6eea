"""The cells of a cross-validation: every fold with every strength of l2, as they are told of."""

from __future__ import annotations

from dataclasses import dataclass

from linclass_cli.learn.journal import Snapshot
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import known
from linclass_cli.learn.scaling import Scaling
from linclass_cli.learn.solvers import Iterate


@dataclass(frozen=True)
class Cell:
    """One fold with one strength: where its fit ended, and the accuracy on the images it never saw.

    ``gap_bound``: the objective's distance to the optimum at most, relative; None where nothing proves one.
    ``curve``: the accuracy on the held-out images at the start and after each step.
    ``fold`` is None for the refit on everything, which has no held-out part.
    """

    fold: int | None
    l2: float
    iterations: int
    objective: float
    gradient_norm: float
    gap_bound: float | None
    converged: bool
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    curve: list[float]


@dataclass(frozen=True)
class Progress:
    """All folds with one strength, under way: the held-out accuracy of each, after a step."""

    l2: float
    step: int
    val_accuracy: list[float]
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class Solved:
    """A cell, and where its fit ended: W (k, d), b (k,), for features as the fold's scaling makes them.

    ``snapshot``: of where the next cell begins; None where cells are solved together, until the last of them.
    """

    cell: Cell
    scaling: Scaling
    W: Array
    b: Array
    snapshot: Snapshot | None = None


def make_cell(
    fold: int | None,
    l2: float,
    last: Iterate,
    gap_bound: float | None,
    val: tuple[float | None, float | None],
    curve: list[float],
    seconds: float,
) -> Cell:
    """The record of a fit; val: the mean loss and the accuracy on the held-out images, where there are."""
    at = last.at
    return Cell(
        fold=fold,
        l2=l2,
        iterations=last.iteration,
        objective=at.value,
        gradient_norm=at.gradient_norm,
        gap_bound=gap_bound,
        converged=last.converged,
        train_accuracy=at.accuracy,
        val_loss=known(val[0]),
        val_accuracy=val[1],
        seconds=seconds,
        curve=curve,
    )
