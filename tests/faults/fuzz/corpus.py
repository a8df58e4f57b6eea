"""Inputs that are kept: those that reached code that others did not, and those that found something.

``corpus/NAME`` has one on each line, as Python writes bytes.
"""

from __future__ import annotations

import ast
from pathlib import Path

_FOLDER = Path(__file__).parent / "corpus"


def corpus_of(name: str) -> list[bytes]:
    """The inputs that are kept for a target; none if it has none."""
    path = _FOLDER / name
    return [ast.literal_eval(line) for line in path.read_text().splitlines()] if path.exists() else []
