"""Signals end the program, wherever they arrive."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from linclass_cli.errors import Terminated
from linclass_cli.signals import unwinding


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_unwinds(number, raised):
    before = signal.getsignal(number)
    with pytest.raises(raised), unwinding():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_while_llvm_calls_back_comes_again(number, raised):
    """A function of LLVM's is made up: what it raises would be lost in C."""
    names = {"__name__": "llvmlite.binding.made_up", "os": os, "time": time}
    exec("def callback(number):\n    os.kill(os.getpid(), number)\n    time.sleep(0.05)", names)
    left = False
    with pytest.raises(raised), unwinding():
        names["callback"](number)
        left = True
        time.sleep(5)
    assert left


def test_an_interrupt_that_is_ignored_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with unwinding():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_handlers_alone():
    done = []

    def work() -> None:
        with unwinding():
            done.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.getsignal(signal.SIGTERM)]
