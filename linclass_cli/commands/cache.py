"""``linclass cache``: what the cache folder holds, and whether it is intact."""

from __future__ import annotations

from typing import Any

import typer

from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.errors import IntegrityError
from linclass_cli.show.tables import print_line, print_table

HELP = "List and verify the datasets and features in the cache folder.\n\nExample: linclass cache verify"


def add(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group, help=HELP, no_args_is_help=True)
    app.add_typer(group, name="cache", rich_help_panel="What is there")

    @command(group, name="list")
    def list_(session: Session) -> None:
        """List datasets and feature files with their sizes.

        Example: linclass cache list
        """
        from linclass_cli.inventory import list_cache

        entries = list_cache(session.config.cache)
        session.answer(entries, lambda: _show(entries, str(session.config.cache)))

    @command(group)
    def verify(session: Session) -> None:
        """Read every byte in the cache and compare it with its checksum; exit code 5 if anything is damaged.

        Example: linclass cache verify --json
        """
        from linclass_cli.inventory import verify_cache

        entries = verify_cache(session.config.cache)
        session.answer(entries, lambda: _show(entries, str(session.config.cache)))
        damaged = [entry for entry in entries if not entry["intact"]]
        if damaged:
            first = damaged[0]
            others = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise IntegrityError(f"{first['problem']}{others}")


def _show(entries: list[dict[str, Any]], folder: str) -> None:
    if not entries:
        print_line(f"nothing in {folder} yet; `linclass download` and `linclass extract` fill it")
        return
    state = {True: "intact", False: "DAMAGED", None: ""}
    rows = [[e["kind"], e["name"], f"{e['bytes'] / 1e6:.1f}", state[e.get("intact")]] for e in entries]
    verified = any("intact" in e for e in entries)
    columns = ["kind", "name", "MB", "state"]
    print_table(columns if verified else columns[:3], rows if verified else [row[:3] for row in rows])
