"""Where the program starts: signals are heard before anything that takes time is loaded."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """The console script ``linclass``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by a script's background
            signal.signal(number, _leave)
    from linclass_cli.cli import main

    main()


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End at once. While modules are loaded an exception would be caught, or shown, by some of them."""
    what = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
    try:
        os.write(2, f"{what}: nothing is half written; the same command starts again\n".encode())
    finally:
        os._exit(128 + number)
