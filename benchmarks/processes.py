"""Whole processes, from start to end, as a shell would run them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import EntryError

ROOT = Path(__file__).resolve().parent.parent


def linclass_command() -> list[str]:
    """The console script of this Python, or the package where there is none."""
    script = Path(sysconfig.get_path("scripts")) / "linclass"
    return [str(script)] if script.is_file() else [sys.executable, "-m", "linclass_cli"]


def timed(
    command: list[str],
    expected: int = 0,
    before: Callable[[], object] = lambda: None,
    more: dict[str, str] | None = None,
) -> Callable[[], float]:
    """A call that runs ``before`` (untimed), then the process, and returns its wall seconds.

    It raises EntryError where the exit code is not the expected one. ``more``: environment variables.
    """
    unset = ("PYTHONDONTWRITEBYTECODE", "PYTHONPROFILEIMPORTTIME")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | (more or {})

    def call() -> float:
        before()
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        seconds = time.perf_counter() - began
        if done.returncode != expected:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise EntryError(f"exit code {done.returncode}: {' '.join(last)[:200]}")
        return seconds

    return call
