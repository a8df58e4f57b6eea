"""Temporary files as a process that was killed leaves them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from linclass_cli.temporary import make_name


@functools.cache
def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def stale_name(path: Path) -> Path:
    """The temporary name that the process had for the path."""
    name = make_name(path)
    return name.with_name(name.name.replace(f".{os.getpid()}-", f".{gone()}-"))
