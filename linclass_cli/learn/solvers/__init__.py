"""Solvers: generators of iterates. They compute; they never print and never see the validation part.

Each takes the problem, and its options, and yields an :class:`Iterate` a step. A new solver
is one file, one entry in ``SOLVERS`` and its name in ``config.SolverName``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from linclass_cli.learn.solvers.closed import closed
from linclass_cli.learn.solvers.iterate import Iterate
from linclass_cli.learn.solvers.lbfgs import lbfgs
from linclass_cli.learn.solvers.newton import newton
from linclass_cli.learn.solvers.sgd import sgd
from linclass_cli.learn.solvers.smoothed import smoothed

SOLVERS: dict[str, Callable[..., Iterator[Iterate]]] = {
    "lbfgs": lbfgs,
    "sgd": sgd,
    "closed": closed,
    "newton": newton,
    "smoothed": smoothed,
}

__all__ = ["SOLVERS", "Iterate", "closed", "lbfgs", "newton", "sgd", "smoothed"]
