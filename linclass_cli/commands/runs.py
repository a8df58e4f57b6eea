"""``linclass runs``: what has been trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import Session, command
from linclass_cli.errors import LinclassError
from linclass_cli.show.tables import percent, print_facts, print_line, print_table

HELP = "List the recorded runs, or show one.\n\nExample: linclass runs list"


def add(app: typer.Typer) -> None:
    group = typer.Typer(cls=Group, help=HELP, no_args_is_help=True)
    app.add_typer(group, name="runs", rich_help_panel="What is there")

    @command(group)
    def list(session: Session) -> None:
        """List the runs, oldest number first; a damaged record is named and passed over.

        Example: linclass runs list --json
        """
        from linclass_cli.runs import list_runs, load_run

        rows: list_of_dicts = []
        for name in list_runs(session.config.cache):
            try:
                run = load_run(session.config.cache, name)
            except LinclassError as error:
                session.notice(f"warning: {error}")
                continue
            keys = ("loss", "solver", "l2", "val_accuracy", "test_accuracy")
            config = {"dataset": run.config["data"]["name"], "feature": run.config["feature"]["name"]}
            metrics = {key: run.metrics.get(key) for key in keys}
            rows.append({"run": name, "kind": run.kind, "created": run.created, **config, **metrics})

        def show() -> None:
            if not rows:
                print_line("no runs yet; `linclass train` makes one")
                return
            columns = ["run", "of", "loss", "solver", "l2", "val", "test"]
            print_table(columns, [_row(row) for row in rows])

        session.answer(rows, show)

    @command(group)
    def show(
        session: Session, name: Annotated[str, typer.Argument(metavar="RUN", help="the run's name")]
    ) -> None:
        """Show one run: its settings, its numbers, where it was made.

        Example: linclass runs show run1
        """
        from linclass_cli.runs import load_run

        run = load_run(session.config.cache, name)
        answer = {key: value for key, value in asdict(run).items() if key != "history"}

        def show_run() -> None:
            for part in ("metrics", "config", "environment"):
                print_line(part)
                print_facts(answer[part])
            print_line(f"record\n  {run.path}")

        session.answer(answer, show_run)


list_of_dicts = list[dict[str, Any]]


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    l2 = "cv" if isinstance(row["l2"], list) else f"{row['l2']:g}"
    of = f"{row['dataset']} {row['feature']}"
    return (
        row["run"],
        of,
        row["loss"],
        row["solver"],
        l2,
        percent(row["val_accuracy"]),
        percent(row["test_accuracy"]),
    )
