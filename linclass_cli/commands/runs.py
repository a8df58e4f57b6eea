"""``linclass runs``: what has been trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from linclass_cli.commands.asking import agreed
from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.errors import UsageError
from linclass_cli.show.tables import percent, print_facts, print_line, print_table
from linclass_cli.show.tables import seconds as time_of

HELP = "List, show, compare and remove the recorded runs.\n\nExample: linclass runs list"


def add(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group, help=HELP, no_args_is_help=True)
    app.add_typer(group, name="runs", rich_help_panel="What is there")

    @command(group)
    def list(
        session: Session,
        sort: Annotated[
            str | None,
            typer.Option("--sort", metavar="KEY", help="a column, a metric or a setting, as test_accuracy"),
        ] = None,
        reverse: Annotated[bool, typer.Option("--reverse", help="the largest, or the last, first")] = False,
        conditions: Annotated[
            list_of_texts | None,
            typer.Option(
                "--filter",
                metavar="KEY=VALUE",
                help="only such runs; also !=, >=, <=, and * in texts; repeatable",
            ),
        ] = None,
    ) -> None:
        """List the runs, oldest number first; a damaged record is named and passed over.

        Keys are those of a run's row, metrics and settings, as `runs show` has them: loss, l2, test_accuracy,
        model.scale, seconds.

        Example: linclass runs list --sort test_accuracy --filter loss=softmax
        """
        from linclass_cli.run_table import load_runs, row, select

        runs = load_runs(session.config.cache, session.notice)
        rows = [row(run) for run in select(runs, conditions or [], sort, reverse)]
        session.answer(rows, lambda: _show_rows(rows, bool(runs)))

    @command(group)
    def show(
        session: Session, name: Annotated[str, typer.Argument(metavar="RUN", help="the run's name")]
    ) -> None:
        """Show one run: its settings, its numbers, where it was made.

        Example: linclass runs show run1
        """
        from linclass_cli.run_table import flat
        from linclass_cli.runs import load_run

        run = load_run(session.config.cache, name)
        answer = {key: value for key, value in asdict(run).items() if key != "history"}

        def show_run() -> None:
            for part in ("metrics", "config", "environment"):
                print_line(part)
                print_facts({key: _shown(key, value) for key, value in flat(answer[part]).items()})
            print_line(f"record\n  {run.path}")

        session.answer(answer, show_run)

    @command(group)
    def compare(
        session: Session,
        names: Annotated[list_of_texts, typer.Argument(metavar="RUN...", help="two runs or more")],
    ) -> None:
        """Show what differs between runs, and nothing else: settings, numbers, where they were made.

        Example: linclass runs compare run1 run2
        """
        from linclass_cli.run_table import differences
        from linclass_cli.runs import load_run

        wanted = [*dict.fromkeys(names)]
        if len(wanted) < 2:
            raise UsageError("runs compare wants two runs or more: linclass runs compare run1 run2")
        found = differences([load_run(session.config.cache, name) for name in wanted])
        session.answer({"runs": wanted, **found}, lambda: _show_differences(wanted, found))

    @command(group)
    def remove(
        session: Session,
        names: Annotated[list_of_texts, typer.Argument(metavar="RUN...", help="the runs")],
        yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    ) -> None:
        """Remove runs: their records, models and figures. Asks first.

        Example: linclass runs remove run1 --yes
        """
        from linclass_cli.runs import find_run, remove_run

        paths = {name: find_run(session.config.cache, name) for name in dict.fromkeys(names)}
        what = f"remove {', '.join(paths)} from {session.config.cache / 'runs'}, for good?"
        agree = yes or agreed(what)
        for path in paths.values() if agree else ():
            remove_run(path)
        removed = [{"run": name, "path": path} for name, path in paths.items() if agree]
        text = f"removed {', '.join(paths)}" if agree else "nothing removed"
        session.answer(removed, lambda: print_line(text))


list_of_dicts = list[dict[str, Any]]
list_of_texts = list[str]


def _show_rows(rows: list_of_dicts, any_runs: bool) -> None:
    if not rows:
        print_line("no run meets that" if any_runs else "no runs yet; `linclass train` makes one")
        return
    print_table(["run", "of", "loss", "solver", "l2", "val", "test"], [_row(row) for row in rows])


def _show_differences(names: list_of_texts, found: dict[str, dict[str, Any]]) -> None:
    rows = [
        [key, *(_short(key, value) for value in values)]
        for part in found.values()
        for key, values in part.items()
    ]
    if rows:
        print_table(["", *names], rows)
    else:
        print_line("nothing differs")


def _short(key: str, value: Any) -> Any:
    return f"{len(value)} values" if isinstance(value, list) else _shown(key, value)


def _shown(key: str, value: Any) -> Any:
    """A fact as people read it: shares in percent, times with their unit, true as `config show` has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if key.endswith("accuracy") and isinstance(value, float):
        return percent(value)
    return time_of(value) if key == "seconds" else value


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    from linclass_cli.run_table import dataset_and_feature

    l2 = "cv" if isinstance(row["l2"], list) else f"{row['l2']:g}"
    return (
        row["run"],
        dataset_and_feature(row),
        row["loss"],
        row["solver"],
        l2,
        percent(row["val_accuracy"]),
        percent(row["test_accuracy"]),
    )
