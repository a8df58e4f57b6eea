"""Commands in this process, datasets and servers of the tests of ``data``; at the end, what was tried."""

from __future__ import annotations

from tests.commands.conftest import linclass  # noqa: F401
from tests.data.conftest import _no_proxy, quick, tiny, tiny_tar, web  # noqa: F401
from tests.faults.bench import _bench, bench  # noqa: F401
from tests.faults.tally import TRIED, tried


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed and "test_hostile_" in report.nodeid:
        tried("hostile input")


def pytest_terminal_summary(terminalreporter):
    for kind, faults in sorted(TRIED.items()):
        terminalreporter.write_line(f"faults survived: {kind}: {faults:,}")
