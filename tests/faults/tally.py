"""How many faults a run of the tests has tried, by kind: docs/reliability.md has the last one's figures."""

from __future__ import annotations

from collections import Counter

TRIED: Counter[str] = Counter()


def tried(kind: str, faults: int = 1) -> None:
    """Count faults that were survived; call it behind the assertion."""
    TRIED[kind] += faults
