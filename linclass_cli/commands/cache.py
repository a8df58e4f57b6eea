"""``linclass cache``: what the cache folder holds, and whether it is intact."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.errors import IntegrityError
from linclass_cli.show.tables import print_line, print_table

HELP = (
    "List, verify and clean the datasets and features in the cache folder.\n\nExample: linclass cache verify"
)


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

    @command(group)
    def clean(
        session: Session,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="remove what is found")] = False,
    ) -> None:
        """Show what can go from the cache without a loss; with --yes, remove it.

        That is: temporary files of processes that are gone, what a stopped extraction has finished, feature
        files that are damaged or whose dataset is gone, parts of downloads that are complete. Datasets and
        runs are never removed.

        Example: linclass cache clean --yes
        """
        from linclass_cli.cleaning import find_rubbish, remove_rubbish

        found = find_rubbish(session.config.cache)
        answer = [
            {
                **{key: getattr(one, key) for key in ("kind", "path", "bytes", "why")},
                "removed": yes and remove_rubbish(one),
            }
            for one in found
        ]
        session.answer(answer, lambda: _show_rubbish(answer, yes, str(session.config.cache)))


def _show_rubbish(found: list[dict[str, Any]], removed: bool, folder: str) -> None:
    if not found:
        print_line(f"nothing to remove from {folder}")
        return
    for one in found:
        print_line(f"{one['path']}  {one['bytes'] / 1e6:.1f} MB: {one['why']}")
    size = sum(one["bytes"] for one in found) / 1e6
    if removed:
        gone = [one for one in found if one["removed"]]
        left = f", {len(found) - len(gone)} left: changed meanwhile" if len(gone) < len(found) else ""
        print_line(f"removed {len(gone)}, {sum(one['bytes'] for one in gone) / 1e6:.1f} MB{left}")
    else:
        print_line(
            f"{len(found)} to remove, {size:.1f} MB; nothing is removed yet: `linclass cache clean --yes`"
        )


def _show(entries: list[dict[str, Any]], folder: str) -> None:
    if not entries:
        print_line(f"nothing in {folder} yet; `linclass download` and `linclass extract` fill it")
        return
    state = {True: "intact", False: "DAMAGED", None: ""}
    rows = [[e["kind"], e["name"], f"{e['bytes'] / 1e6:.1f}", state[e.get("intact")]] for e in entries]
    verified = any("intact" in e for e in entries)
    columns = ["kind", "name", "MB", "state"]
    print_table(columns if verified else columns[:3], rows if verified else [row[:3] for row in rows])
