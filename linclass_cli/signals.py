"""SIGINT and SIGTERM end the program within two seconds, whatever it is at, and say what is kept.

They raise in the main thread, so that temporary files go and claimed names are freed on the way out. Where
that takes too long (a product of large matrices hears of nothing until its end), or at the second signal, a
thread that is told of signals by the interpreter's C code ends the process: what stays is what a kill leaves.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

GRACE_SECONDS = 1.5  # for tidying up, of the two that a signal may take
AGAIN_SECONDS = 0.1
NUMBERS = (signal.SIGINT, signal.SIGTERM)
FINISHED = "what is finished is kept, nothing is half written; the same command starts again"
NOTHING = "nothing is kept, nothing is half written; the same command starts again"

_IMPORTING = ("importlib._bootstrap", "_frozen_importlib")
_kept: str | Callable[[], str] = FINISHED
_stopping = False
_echoes = 0  # signals that were sent by this module, not from outside


class Stopped(BaseException):
    """Raised in the main thread by the first SIGINT or SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def at_work(kept: str | Callable[[], str]) -> Iterator[None]:
    """What an interrupt in the block is answered with: what is kept, and how to go on."""
    global _kept
    before, _kept = _kept, kept
    yield
    _kept = before  # not after an exception: it is told of where that ends


def farewell(number: int) -> str:
    """The line for whoever has sent a signal."""
    what = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
    return f"{what}: {_kept if isinstance(_kept, str) else _kept()}"


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """In the block the first SIGINT or SIGTERM raises Stopped, and if that does not help the process ends.

    What is ignored, as SIGINT by a script's background, stays so. Outside of the main thread nothing is
    changed: whoever runs us there decides.
    """
    global _kept, _stopping
    _kept, _stopping = FINISHED, False
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    told = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reader,), name="linclass-signals", daemon=True)
    watch.start()
    kept = {}
    try:
        for number in heard:
            kept[number] = signal.signal(number, _raise)
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(told)
        os.close(writer)
        watch.join()
        os.close(reader)


def _watch(pipe: int) -> None:
    """Hear of signals through the pipe, a byte each, until it is closed; end what they do not end."""
    global _echoes
    last: float | None = None
    number = 0
    while True:
        left = None if last is None else max(0.0, last - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            _end(number)
        came = os.read(pipe, 1)
        if not came:
            return
        if came[0] not in NUMBERS:
            continue
        if _echoes:
            _echoes -= 1
            continue
        number = came[0]
        if last is not None:
            _end(number)
        last = time.monotonic() + GRACE_SECONDS


def _end(number: int) -> None:
    """End the process now; not by its streams, which the main thread may be holding."""
    show_cursor = "\r\x1b[?25h" if os.isatty(2) else ""  # a live bar hides it
    with contextlib.suppress(OSError):
        os.write(2, f"{show_cursor}{farewell(number)}\n".encode(errors="replace"))
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> None:
    global _stopping
    if _stopping:
        return  # tidying up is not to be disturbed; `_watch` ends it
    if _unheard(frame):
        again = threading.Timer(AGAIN_SECONDS, _send_again, (number,))
        again.daemon = True
        again.start()
        return
    _stopping = True
    raise Stopped(number)


def _send_again(number: int) -> None:
    global _echoes
    _echoes += 1
    os.kill(os.getpid(), number)


def _unheard(frame: FrameType | None) -> bool:
    """Whether an exception would be lost: LLVM, compiling, calls Python; modules in C catch all that import.

    A signal that arrives there comes again a moment later.
    """
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("llvmlite.") or name in _IMPORTING:
            return True
        frame = frame.f_back
    return False
