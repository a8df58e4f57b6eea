"""What every solver yields."""

from __future__ import annotations

from dataclasses import dataclass

from linclass_cli.errors import InputError
from linclass_cli.learn.journal import Snapshot
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Value


@dataclass(frozen=True)
class Iterate:
    """The state after a step: W (k, d) and b (k,), owned by whoever receives them; the objective there.

    ``gap``: the objective's distance to the optimum at most, where the solver proves one.
    ``converged`` says that the solver's own criterion is met. It is never guessed: SGD does not claim it.
    ``snapshot``: of a solver that can be resumed; to be called before the next step.
    """

    iteration: int
    W: Array
    b: Array
    at: Value
    converged: bool = False
    gap: float | None = None
    snapshot: Snapshot | None = None


def check_finite(at: Value, iteration: int, advice: str) -> None:
    """Raise InputError when the objective has left the real numbers."""
    if not (abs(at.value) < float("inf") and at.gradient_norm < float("inf")):
        raise InputError(f"the objective is {at.value} after step {iteration}: {advice}")
