"""``linclass evaluate``: the numbers of a run on test images, and whether another one is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.errors import UsageError
from linclass_cli.show.tables import print_line

if TYPE_CHECKING:
    from linclass_cli.scoring import Scored


def add(app: typer.Typer) -> None:
    @command(app, "memory", panel="From images to figures")
    def evaluate(
        session: Session,
        run: Annotated[str, typer.Argument(metavar="RUN", help="the run's name")],
        other: Annotated[
            str | None,
            typer.Argument(metavar="RUN2", help="a run to compare it with", show_default=False),
        ] = None,
        data: Annotated[
            str | None,
            typer.Option(
                "--data", metavar="TEXT", help=with_default("a dataset of the same classes", "the run's own")
            ),
        ] = None,
    ) -> None:
        """Judge a run on test images: accuracy with its interval, classes, log loss, calibration, confusion.

        Intervals are Wilson's, of 95 %. Log loss and the expected calibration error (ECE, 15 bins of equal
        width) are of softmax(scores / temperature); runs of hinge, squared-hinge and ridge have probabilities
        only when trained with --calibrate. With a second run: McNemar's exact test on the same images.
        top5_accuracy is in the JSON whatever the classes' number: it is 1 where there are five or fewer.

        Example: linclass evaluate run1 --json
        """
        if other == run:
            raise UsageError(f"{run} twice: a comparison wants two different runs")
        answer = _answer(session, [run, *([other] if other else [])], data)
        session.answer(answer, lambda: _show(answer, session.at))


def _answer(session: Session, names: list[str], data: str | None) -> dict[str, Any]:
    from linclass_cli.evaluation import compare_runs
    from linclass_cli.evaluation import evaluate as judge

    scored = [_scored(session, name, data) for name in names]
    answer, *rest = (judge(one) for one in scored)
    if rest:
        answer |= {"other": rest[0], "comparison": compare_runs(*scored)}
    return answer


def _scored(session: Session, name: str, data: str | None) -> Scored:
    from linclass_cli.scoring import score_run
    from linclass_cli.show.compiling import compiling_shown
    from linclass_cli.show.progress import progress
    from linclass_cli.threads import use_threads

    with (
        use_threads(session.config.threads),
        compiling_shown(session.quiet),
        progress(f"extract for {name}", "images", session.quiet) as advance,
    ):
        return score_run(session.config.cache_dir, name, advance, session.notice, data)


def _show(answer: dict[str, Any], at: str) -> None:
    from linclass_cli.show.evaluation import show_comparison, show_evaluation

    if "other" in answer:
        show_comparison(answer)
        return
    show_evaluation(answer)
    print_line(f"next: linclass plot {answer['run']}{at}")
