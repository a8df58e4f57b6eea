"""``linclass plot``: figures of runs, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from linclass_cli.commands.completion import runs
from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.errors import InputError
from linclass_cli.show.tables import print_line

_run_names = runs  # other commands' name for it
KINDS = ("auto", "curves", "cv")
FORMATS = ("png", "svg", "pdf")


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def plot(
        session: Session,
        runs: Annotated[
            list[str],
            typer.Argument(metavar="RUN...", help="one run, or several over each other"),
        ],
        kind: Annotated[
            str, typer.Option("--kind", metavar="|".join(KINDS), help="what is drawn; auto: what the run is")
        ] = "auto",
        file_format: Annotated[
            str, typer.Option("--format", metavar="|".join(FORMATS), help="the files' format")
        ] = "png",
        out: Annotated[
            Path | None, typer.Option("--out", help=with_default("a folder", "the run's own"))
        ] = None,
    ) -> None:
        """Draw the curves of runs into files, and print the files' paths.

        A training run gives its accuracy and its loss against steps, a cross-validation its accuracy against
        l2 with both choices marked; --kind curves draws every fold's accuracy against steps.

        Example: linclass plot run1 run2 --format svg
        """
        for flag, value, known in (("--kind", kind, KINDS), ("--format", file_format, FORMATS)):
            if value not in known:
                raise InputError(f"{flag} {value}: allowed is {', '.join(known)}")
        from linclass_cli.runs import load_run
        from linclass_cli.show.plots import save_figures

        loaded = [load_run(session.config.cache, name) for name in dict.fromkeys(runs)]
        files = save_figures(loaded, kind, file_format, out)
        session.answer(
            {"runs": [run.id for run in loaded], "files": files},
            lambda: print_line("\n".join(str(file) for file in files)),
        )
