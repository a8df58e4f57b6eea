"""Says at the end of a run how many faults it has tried."""

from __future__ import annotations

from tests.faults.tally import TRIED


def pytest_terminal_summary(terminalreporter):
    for kind, faults in sorted(TRIED.items()):
        terminalreporter.write_line(f"faults survived: {kind}: {faults:,}")
