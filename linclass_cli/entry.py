"""Where the program starts: signals are heard before anything that takes time is loaded."""

from __future__ import annotations

import os
import resource
import signal
from types import FrameType

_LEAST = 56 << 20  # address space, without which Python cannot load the command line (measured: 42 MB)


def main() -> None:
    """The console script ``linclass``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by a script's background
            signal.signal(number, _leave)
    if 0 <= resource.getrlimit(resource.RLIMIT_AS)[0] < _LEAST:
        _say(f"error: not enough memory to start: `ulimit -v` allows less than {_LEAST >> 10} kB; raise it")
        os._exit(6)
    from linclass_cli.cli import main

    main()


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End at once. While modules are loaded an exception would be caught, or shown, by some of them."""
    what = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
    try:
        _say(f"{what}: nothing is half written; the same command starts again")
    finally:
        os._exit(128 + number)


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode())
