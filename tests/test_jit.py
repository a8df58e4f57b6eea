"""The kernel cache: damage is compiled away, never an end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "import numpy as np; from linclass_cli.learn.scaling import fit_scaling as f; \
print(f('standard', np.ones((3, 2), np.float32), np.arange(3)).mean)"


def run(cache: Path, **more: str) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), **more}
    environment.pop("NUMBA_DISABLE_JIT", None)
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_damaged_kernel_cache_stops_nothing(tmp_path):
    want = run(tmp_path)
    for pattern in ("*.nbi", "*.nbc"):
        for damage in (lambda b: b"", lambda b: b[:300], lambda b: b[:90] + b"\xff" * 8 + b[98:]):
            files = list(tmp_path.rglob(pattern))
            assert files
            for file in files:
                file.write_bytes(damage(file.read_bytes()))
            assert run(tmp_path) == want


@pytest.mark.parametrize("home", ["/dev/null", ""])
def test_no_home_stops_nothing(tmp_path, home):
    assert run(Path("/dev/null/x"), HOME=home) == run(tmp_path)
