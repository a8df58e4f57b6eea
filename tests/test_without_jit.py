"""The kernels as plain Python: what Numba compiles must mean the same without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import few

ROOT = Path(__file__).parent.parent
SMALL = [
    ["tests/features/test_kernels_small.py"],
    ["tests/learn/test_losses.py"],
    ["tests/learn/test_objective.py", "-k", "twin and not 700 and not 600 or slope or rows_and_scaling"],
    ["tests/learn/test_solvers.py", "-k", "epochs_equal_their_twin"],
    ["tests/learn/test_lanes.py"],
    ["tests/learn/test_folds.py", "-k", "values and 47"],
    ["tests/learn/test_scaling.py"],
    ["tests/features/test_patches.py", "-k", "twin and shape0 or scikit or overlap"],
    ["tests/learn/test_halves.py", "-k", "not copy and not cross_validate"],
]


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is that run")
@pytest.mark.parametrize("arguments", few(SMALL, len(SMALL) - 2), ids=lambda arguments: arguments[0])
def test_kernels_mean_the_same_without_numba(arguments):
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    assert "passed" in result.stdout
