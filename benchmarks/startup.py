"""``startup``: how long a process takes before it can say anything, against importing typer alone."""

from __future__ import annotations

import sys
import tempfile

from benchmarks.measure import EntryError, alternate
from benchmarks.options import Options
from benchmarks.processes import linclass_command, timed
from benchmarks.report import Entry, Group, Report

BASE = 'python -c "import typer"'


def run(options: Options) -> Report:
    """Ratios here are the other way round: each command's time over that of importing typer."""
    rounds = options.rounds or (3 if options.quick else 21)
    linclass = linclass_command()
    with tempfile.TemporaryDirectory() as folder:
        completing = {"_LINCLASS_COMPLETE": "complete_bash", "COMP_WORDS": "linclass tr", "COMP_CWORD": "1"}
        calls = {
            BASE: timed([sys.executable, "-c", "import typer"]),
            "python -c pass": timed([sys.executable, "-c", "pass"]),
            "linclass --help": timed([*linclass, "--help"]),
            "linclass train --help": timed([*linclass, "train", "--help"]),
            "linclass --lss (a wrong flag)": timed([*linclass, "--lss"], expected=2),
            "linclass train --lss (a wrong flag)": timed(
                [*linclass, "train", "--lss", "softmax"], expected=2
            ),
            "linclass --version": timed([*linclass, "--version"]),
            "linclass runs list": timed([*linclass, "runs", "list", "--cache-dir", folder]),
            "completion of linclass tr": timed(linclass, more=completing),
        }
        group = Group("whole processes", "ms", [Entry(name) for name in calls], BASE)
        group.ratio = "over import typer"
        for entry in group.entries:
            try:
                entry.first = calls[entry.name]()
            except EntryError as error:
                entry.error = str(error)
                del calls[entry.name]
        samples = alternate(calls, rounds, pause=0.02)
    for entry in group.entries:
        if entry.name in samples:
            entry.measured(samples[entry.name])
    base = group.entries[0].timing
    for entry in group.entries:
        if entry.timing and base:
            entry.ratio = entry.timing.median / base.median
    report = Report("startup", "none", options.quick, rounds, [group])
    report.notes.append("first s: the run before the timed ones; it may have to compile Python files.")
    return report
