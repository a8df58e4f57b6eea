"""Signals end the program, wherever they arrive."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from linclass_cli.signals import FINISHED, Stopped, at_work, farewell, unwinding


@pytest.fixture(autouse=True)
def interrupts():
    """Where the tests run in a script's background, SIGINT is ignored: not in these."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_a_signal_unwinds(number):
    before = signal.getsignal(number), signal.set_wakeup_fd(-1)
    with pytest.raises(Stopped) as stopped, unwinding():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert stopped.value.number == number
    assert (signal.getsignal(number), signal.set_wakeup_fd(-1)) == before
    assert "linclass-signals" not in [thread.name for thread in threading.enumerate()]


@BOTH
@pytest.mark.parametrize("module", ["llvmlite.binding.made_up", "importlib._bootstrap"])
def test_a_signal_where_exceptions_are_lost_comes_again(number, module):
    """A function of LLVM's, or of the import system's, is made up: what it raises would be lost in C."""
    names = {"__name__": module, "os": os, "time": time}
    exec("def callback(number):\n    os.kill(os.getpid(), number)\n    time.sleep(0.05)", names)
    left = False
    with pytest.raises(Stopped), unwinding():
        names["callback"](number)
        left = True
        time.sleep(5)
    assert left


def test_what_is_kept_is_told_of_where_the_work_ended():
    with unwinding():
        with at_work("one"), at_work(lambda: "two"):
            assert farewell(signal.SIGINT) == "interrupted: two"
        assert farewell(signal.SIGTERM) == f"stopped by SIGTERM: {FINISHED}"
        with pytest.raises(ValueError), at_work("three"):
            raise ValueError
        assert farewell(signal.SIGINT) == "interrupted: three"
    with unwinding():
        assert farewell(signal.SIGINT) == f"interrupted: {FINISHED}"


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
