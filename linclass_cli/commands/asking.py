"""Asking before something is removed."""

from __future__ import annotations

import sys

from linclass_cli.errors import UsageError
from linclass_cli.show.tables import notice
from linclass_cli.signals import Stopped


def agreed(question: str) -> bool:
    """Ask on stderr, and read a line from stdin: y or yes agrees. Raises UsageError where nobody answers."""
    if sys.stderr is not None:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
    try:
        answer = sys.stdin.readline() if sys.stdin is not None else ""
    except Stopped:
        notice("")  # what is said of it has a line of its own
        raise
    if not answer:
        notice("")
        raise UsageError("nobody is there to answer: --yes removes without asking")
    return answer.strip().lower() in ("y", "yes")
