"""What the command line asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """``rounds`` None: each benchmark's own number; ``rows``: another number of training rows (for tests);
    ``only``: texts, one of which an entry's or a case's name has to contain (linclass always takes part)."""

    cache_dir: Path = Path("cache")
    quick: bool = False
    rounds: int | None = None
    rows: int | None = None
    losses: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def wants(self, loss: str) -> bool:
        return not self.losses or loss in self.losses

    def wants_entry(self, name: str) -> bool:
        return not self.only or any(text.lower() in name.lower() for text in self.only)
