"""``linclass report``: one page about some runs, for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from linclass_cli.commands.plot import RunNames, evidence_of
from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.show.tables import print_line


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def report(
        session: Session,
        runs: RunNames,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", help=with_default("a file, or a folder that is there", "report.html with the run")
            ),
        ] = None,
    ) -> None:
        """Write one HTML page about runs: numbers, every figure, the worst mistakes, all settings.

        The page holds everything itself: it opens from the disk, in a mail, on a phone, in light and dark,
        and loads nothing from anywhere.

        Example: linclass report run1 run2 --out report.html
        """
        from linclass_cli.atomic import write_bytes
        from linclass_cli.show.report import make_report, report_name

        evidence = evidence_of(session, runs)
        loaded = [one.run for one in evidence]
        path = out or loaded[0].path
        if path.is_dir():
            path /= report_name(loaded)
        write_bytes(path, make_report(evidence, session.notice).encode("utf-8", "replace"))
        session.answer({"runs": [run.id for run in loaded], "files": [path]}, lambda: print_line(str(path)))
