"""SIGINT and SIGTERM unwind the stack, so that temporary files go and claimed names are freed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from linclass_cli.errors import Terminated

AGAIN_SECONDS = 0.1


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """In the block SIGTERM raises Terminated and SIGINT KeyboardInterrupt, but not where nobody hears it.

    LLVM, while it compiles, calls Python functions; what they raise is printed and forgotten, and the program
    would go on. A signal that arrives there comes again a moment later.
    """
    kept = {}
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in a script's background
            kept[signal.SIGINT] = signal.signal(signal.SIGINT, _raise)
        kept[signal.SIGTERM] = signal.signal(signal.SIGTERM, _raise)
    except ValueError:  # not the main thread: whoever runs us there decides
        yield
        return
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def leave_now(code: int) -> None:
    """End the process, everything being tidied up, without waiting for threads: they may be compiling."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _raise(number: int, frame: FrameType | None) -> None:
    if _within_llvm(frame):
        again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    if number == signal.SIGTERM:
        raise Terminated
    raise KeyboardInterrupt


def _within_llvm(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("llvmlite."):
            return True
        frame = frame.f_back
    return False
