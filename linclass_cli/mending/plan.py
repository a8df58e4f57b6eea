"""What a repair is asked for, and what mends one thing."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

# Mends something and says how; raises a LinclassError that says why it could not.
Act = Callable[[], str]


def _silent(*_: Any, **__: Any) -> None:
    pass


def _no_bar(what: str, unit: str) -> AbstractContextManager[Any]:  # noqa: ARG001
    return contextlib.nullcontext(_silent)


@dataclass(frozen=True)
class Wish:
    """How to repair: ``source`` of a known dataset (as ``download --from``), ``retrain`` damaged runs.

    ``dry``: only say what would be done. ``notice`` hears of waiting, ``bar(what, unit)`` of progress.
    """

    source: str | None = None
    retrain: bool = False
    dry: bool = False
    threads: int = 0
    notice: Callable[[str], None] = _silent
    bar: Callable[[str, str], AbstractContextManager[Any]] = _no_bar


def matches(wanted: str) -> Callable[[bytes], bool]:
    """Whether bytes have a sha256 (hex)."""
    return lambda content: hashlib.sha256(content).hexdigest() == wanted
