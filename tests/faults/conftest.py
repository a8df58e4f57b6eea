"""Commands in this process, the datasets and servers of the tests of ``data``; and what was tried, at the end."""

from __future__ import annotations

from tests.commands.conftest import linclass  # noqa: F401
from tests.data.conftest import _no_proxy, quick, tiny, tiny_tar, web  # noqa: F401
from tests.faults.tally import TRIED


def pytest_terminal_summary(terminalreporter):
    for kind, faults in sorted(TRIED.items()):
        terminalreporter.write_line(f"faults survived: {kind}: {faults:,}")
