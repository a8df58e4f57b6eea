"""What a long computation leaves as it goes, so that another process can go on from there to the same bits.

A computation is lines of its history, in an order that is always the same, and here and there a state from
which the rest follows. Where they are kept is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from linclass_cli.learn.losses import Array


@dataclass(frozen=True)
class State:
    """Arrays of float32, float64 or int64, and JSON-able facts: where a computation can go on."""

    tensors: dict[str, Array]
    facts: dict[str, Any]


# Makes the state of now. It may refer to arrays that change: it is called at once, or not at all.
Snapshot = Callable[[], State]


@dataclass(frozen=True)
class Recalled:
    """Events of an earlier process, told again to whoever follows the computation."""

    events: list[Any]


class Journal:
    """A journal that is empty, and forgets what it is told; `unfinished` has one that does not.

    A computation of several parts, one after the other, gives each a name.
    """

    seconds = 0.0  # that earlier processes have worked

    def lines(self, part: str = "") -> list[dict[str, Any]]:  # noqa: ARG002
        """The lines of the part that earlier processes have left."""
        return []

    def state(self, part: str = "") -> State | None:  # noqa: ARG002
        """The state behind the last of all lines, if it is the part's."""
        return None

    def keep(self, line: dict[str, Any] | None, snapshot: Snapshot | None, part: str = "") -> None:
        """Add a line, if there is one; with ``snapshot`` the computation could go on from here."""


EMPTY = Journal()
