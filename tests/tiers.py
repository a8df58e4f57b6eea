"""Which tests every run has: what takes seconds and says little more is ``slow``; minutes ``slow_faults``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

slow = pytest.mark.slow
slow_faults = pytest.mark.slow_faults


def few(cases: Iterable[Any], n: int = 1) -> list[Any]:
    """Parameters of a test; all but the first n are slow. A tuple is a parameter for each of its members."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[] if i < n else [slow])
        for i, case in enumerate(cases)
    ]
