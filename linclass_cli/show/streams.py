"""What stdout is: a terminal with colours, a pipe, a reader who has left."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TextIO


def colours(stream: TextIO | None = None) -> bool:
    """Whether a stream, else stdout, is a terminal that shows colours, and nobody asks for none.

    NO_COLOR and TERM=dumb ask for none; then nothing is bold or dim, either.
    """
    if os.environ.get("FORCE_COLOR"):
        return True
    dumb = os.environ.get("TERM") in ("dumb", "unknown") or bool(os.environ.get("NO_COLOR"))
    return (stream or sys.stdout).isatty() and not dumb


def into_pipe() -> bool:
    """Whether stdout is a pipe, whose reader may write to the terminal that stderr is."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    return False


def write(text: str) -> None:
    """Write to stdout now, while somebody catches the error of a reader who has left."""
    sys.stdout.write(text)
    sys.stdout.flush()


def silence_stdout() -> None:
    """Let what is still in stdout's buffer go nowhere, so that leaving does not fail over it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
