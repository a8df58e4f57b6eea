"""Commands as processes of their own, with a few lines of Python run in them first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2]

NO_LOCKS = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
LOCKS_THAT_LOCK_NOTHING = """
import fcntl
fcntl.flock = lambda *_: None
"""


def start(folder: Path, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """``linclass ARGUMENTS`` in a working folder, after the lines ``before``."""
    script = f"{before}\nimport sys\nfrom linclass_cli.entry import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """(exit code, stdout, stderr); a process that takes too long is killed, and the test fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def run(folder: Path, *arguments: str, before: str = "") -> tuple[int, str, str]:
    return end(start(folder, *arguments, before=before))
