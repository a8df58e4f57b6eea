"""``linclass config``: what the settings are and where they come from."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.config import FILE_NAME, leaves
from linclass_cli.errors import InputError
from linclass_cli.show.tables import print_line, print_table

HELP = "Show the settings and where each comes from, or write a commented file of them.\n\n\
Example: linclass config show --preset course"


def add(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group, help=HELP, no_args_is_help=True)
    app.add_typer(group, name="config", rich_help_panel="What is there")

    @command(group)
    def show(session: Session) -> None:
        """Show every setting: its value, where that comes from, and its environment variable.

        Later sources win: defaults < preset < linclass.toml or --config < environment < flags.

        Example: linclass config show --preset course --json
        """
        from linclass_cli.settings import env_name

        values = asdict(session.config)
        table = []
        for key, _ in leaves():
            section, _, name = key.rpartition(".")
            table.append((key, (values[section] if section else values)[name], session.sources[key]))
        answer = {
            key: {"value": value, "source": source, "environment": env_name(key)}
            for key, value, source in table
        }

        def show_table() -> None:
            print_table(
                ["setting", "from", "value"], [[key, source, _text(value)] for key, value, source in table]
            )
            print_line("in the environment, LINCLASS_CV_FOLDS=10 sets cv.folds")

        session.answer(answer, show_table)

    @command(group)
    def init(
        session: Session,
        path: Annotated[Path, typer.Argument(help="where to", show_default=True)] = Path(FILE_NAME),
        force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
    ) -> None:
        """Write a linclass.toml that lists every setting, commented out, with its default.

        Example: linclass config init
        """
        from linclass_cli.atomic import write_bytes
        from linclass_cli.settings import commented_toml

        if path.exists() and not force:
            raise InputError(f"{path} is there already; --force replaces it")
        write_bytes(path, commented_toml().encode())
        session.answer({"path": path}, lambda: print_line(f"wrote {path}"))


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{item:.3g}" for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
