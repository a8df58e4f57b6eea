"""``linclass cache``: what the cache folder holds, and whether it is intact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer

from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.errors import IntegrityError, ResourceError
from linclass_cli.show.tables import print_line, print_table

list_of_texts = list[str]  # in the functions below, list is a command

HELP = (
    "List, verify, repair and clean the datasets, features and runs in the cache folder.\n\n"
    "Example: linclass cache verify"
)


def add(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group, help=HELP, no_args_is_help=True)
    app.add_typer(group, name="cache", rich_help_panel="What is there")

    @command(group, name="list")
    def list_(session: Session) -> None:
        """List datasets, feature files and runs with their sizes.

        Example: linclass cache list
        """
        from linclass_cli.inventory import list_cache

        entries = list_cache(session.config.cache)
        session.answer(entries, lambda: _show(entries, str(session.config.cache)))

    @command(group)
    def verify(session: Session) -> None:
        """Read every byte of datasets, features and runs, and compare it with its checksum.

        Exit code 5 if anything is damaged. What stopped commands have left is no damage, and only noted.

        Example: linclass cache verify --json
        """
        from linclass_cli.inventory import verify_cache

        entries = verify_cache(session.config.cache)
        session.answer(entries, lambda: _show(entries, str(session.config.cache)))
        _note_leftovers(session)
        _complain([entry["problem"] for entry in entries if not entry["intact"]])

    @command(group)
    def repair(
        session: Session,
        names: Annotated[
            list_of_texts | None,
            typer.Argument(
                metavar="[NAME]...", help="datasets, feature files or runs; all, if none is named"
            ),
        ] = None,
        source: Annotated[
            str | None,
            typer.Option("--from", metavar="PATH|URL", help="take the damaged dataset from there"),
        ] = None,
        retrain: Annotated[
            bool, typer.Option("--retrain", help="fit damaged runs again; only the very same model is taken")
        ] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
    ) -> None:
        """Mend what `cache verify` finds damaged, as far as it can be made again, and say what cannot.

        Known datasets are downloaded again, features computed again from their dataset. In runs and in small
        files of imported datasets one flipped bit is found by its checksum; --retrain also fits a run again,
        and takes the model only if its checksum is the recorded one. Whatever else is damaged stays as it is.

        Example: linclass cache repair --retrain
        """
        from linclass_cli.mending import Wish, repair_cache
        from linclass_cli.show.compiling import compiling_shown
        from linclass_cli.show.progress import progress

        def bar(what: str, unit: str) -> AbstractContextManager[Any]:
            return progress(what, unit, session.quiet)

        wish = Wish(source, retrain, dry_run, session.config.threads, session.notice, bar)
        with compiling_shown(session.quiet):
            found, hindered = _follow(repair_cache(session.config.cache, names or [], wish), session)
        session.answer(found, lambda: _show_repairs(found, dry_run, str(session.config.cache)))
        if hindered:
            raise hindered
        if not dry_run:
            _complain([one["done"] for one in found if not one["mended"]])

    @command(group)
    def clean(
        session: Session,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="remove what is found")] = False,
    ) -> None:
        """Show what can go from the cache without a loss; with --yes, remove it.

        That is: temporary files of processes that are gone, what a stopped extraction has finished, fits
        that were stopped more than 30 days ago, feature files that are damaged or whose dataset is gone,
        parts of downloads that are complete. Datasets and runs are never removed.

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


def _complain(problems: list[str]) -> None:
    """Raise IntegrityError with the first problem, if there is one, and how many more there are."""
    if problems:
        others = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise IntegrityError(f"{problems[0]}{others}")


def _note_leftovers(session: Session) -> None:
    from linclass_cli.cleaning import find_leftovers

    left = [one for one in find_leftovers(session.config.cache) if one.kind != "lock"]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        size = f"{sum(one.bytes for one in left) / 1e6:.1f} MB"
        session.notice(
            f"note: stopped commands have left {left[0].path}{more}, {size}: "
            f"`linclass cache clean{session.at}` shows what can go"
        )


def _follow(
    repairs: Iterator[dict[str, Any]], session: Session
) -> tuple[list[dict[str, Any]], ResourceError | None]:
    """Run the repairs, saying what each will do; the last that is known of each, and what hindered one."""
    found: dict[Any, dict[str, Any]] = {}
    try:
        for one in repairs:
            if one["done"] is None:
                session.notice(one["problem"])
                session.notice(f"  will {one['will']}")
            found[one["path"]] = one
    except ResourceError as error:
        return [*found.values()], error
    return [*found.values()], None


def _show_repairs(found: list[dict[str, Any]], dry: bool, folder: str) -> None:
    if not found:
        print_line(f"nothing is damaged in {folder}")
    for one in found:
        state = "damaged" if dry else "mended" if one["mended"] else "NOT MENDED"
        print_line(f"{one['kind']} {one['name']}: {state}: {one['will'] if dry else one['done']}")


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
