"""Where Newton's method is after a step, and how that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from linclass_cli.learn import journal
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import Value, pack_values, unpack_values


@dataclass(frozen=True)
class State:
    """All P problems after a step: W (P, k, d), b (P, k), the objectives there.

    ``gap`` (P,): each objective's distance to its optimum at most; inf: no bound. ``converged`` (P,). What
    the next step begins with: the share of the rows in the sample, the problems that go on, int64, and for
    how many steps each has gained nothing, int64 (P,).
    """

    step: int
    W: Array
    b: Array
    at: list[Value]
    gap: Array
    converged: Array
    share: float
    which: Array
    idle: Array


def pack(state: State) -> journal.State:
    """The state, to be kept; see :func:`unpack`."""
    tensors = {"W": state.W, "b": state.b, "gap": state.gap, "which": state.which, "idle": state.idle}
    tensors |= {"converged": state.converged.astype(np.int64), **pack_values(state.at)}
    return journal.State(tensors, {"step": state.step, "share": state.share})


def unpack(kept: journal.State) -> State:
    """The state again, bit for bit."""
    arrays: dict[str, Any] = {name: kept.tensors[name] for name in ("W", "b", "gap", "which", "idle")}
    return State(
        **arrays,
        step=kept.facts["step"],
        share=kept.facts["share"],
        at=unpack_values(kept.tensors),
        converged=kept.tensors["converged"].astype(bool),
    )
