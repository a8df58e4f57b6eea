"""What the tests of the screen share."""

from __future__ import annotations

import io
import sys


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch, columns: int) -> io.StringIO:
    """Put a stderr in place that says it is a terminal of that width, and keeps what is written.

    No fixture: pytest puts its own stderr back between the fixtures and the test.
    """
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    return terminal
