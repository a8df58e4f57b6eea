"""``linclass warmup``: compile the kernels ahead of time."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from linclass_cli.commands.session import Session, command
from linclass_cli.show.compiling import count_kernels
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import print_line, seconds

if TYPE_CHECKING:
    from linclass_cli.warmup import Warmed


def add(app: typer.Typer) -> None:
    @command(app, panel="What is there")
    def warmup(session: Session) -> None:
        """Compile the kernels ahead of time, so that no later run has to.

        A kernel is compiled once on a machine, by the first run that needs it; all of them take about
        twenty seconds. (Those of float16 features are left to the first run that has some.) They are kept in
        the user's cache folder; the kernels of other versions that have not been used for 30 days are removed
        from it.

        Example: linclass warmup
        """
        from linclass_cli.threads import use_threads
        from linclass_cli.warmup import warm_up

        with use_threads(session.config.threads), progress("warmup", "kernels", session.quiet) as advance:
            done = warm_up(advance)
        session.answer(asdict(done), lambda: show_warmup(done))


def show_warmup(done: Warmed) -> None:
    """What was compiled, what was there, and where it is."""
    if done.compiled:
        there = f", {done.cached} were there already" if done.cached else ""
        print_line(f"compiled {count_kernels(done.compiled)} in {seconds(done.seconds)}{there}")
    else:
        print_line(f"all {count_kernels(done.cached)} were there already, {seconds(done.seconds)}")
    print_line(f"  {done.path}")
