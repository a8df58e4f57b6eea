"""``linclass plot``: figures of runs, as files and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import print_line

if TYPE_CHECKING:
    from linclass_cli.evidence import Evidence
    from linclass_cli.runs import Run
    from linclass_cli.scoring import Scored
    from linclass_cli.show.plots import Drawn

KINDS = (
    *("auto", "curves", "cv", "confusion", "weights", "filters", "mistakes", "calibration", "compare"),
    "all",
)
FORMATS = ("png", "svg", "pdf")
THEMES = ("light", "dark")


def one_of(known: Sequence[str], flag: str, text: str) -> Any:
    """An option whose value is one of a few words; `session` checks that it is, by the metavar."""
    return typer.Option(flag, metavar="|".join(known), help=text)


RunNames = Annotated[list[str], typer.Argument(metavar="RUN...", help="one run, or several")]


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def plot(
        session: Session,
        runs: RunNames,
        kind: Annotated[
            str, one_of(KINDS, "--kind", "what is drawn, see above; auto: curves or cv, as the run is")
        ] = "auto",
        file_format: Annotated[str, one_of(FORMATS, "--format", "the files' format")] = "png",
        theme: Annotated[str, one_of(THEMES, "--theme", "on white, or on near black")] = "light",
        show: Annotated[bool, typer.Option("--show", help="draw in the terminal, too")] = False,
        out: Annotated[
            Path | None, typer.Option("--out", help=with_default("a folder", "the run's own"))
        ] = None,
    ) -> None:
        """Draw figures of runs into files, and print the files' paths.

        curves: accuracy and loss against steps, of a cross-validation every fold's. cv: accuracy against l2
        with both choices marked. confusion: which classes are taken for which. weights: what each class looks
        for, as strokes of HOG, as an image for pixels, as bars for hue. filters: the patterns that the
        feature patches has learned to look for, the most important first. mistakes: the test images that are
        most confidently wrong. calibration: confidence against accuracy, and the calibration error. compare:
        several runs, test accuracy with 95 % intervals. all: every one that the runs have.

        Example: linclass plot run1 run2 --kind compare --format svg
        """
        from linclass_cli.show.plots import draw_all, plan_drawings, save_figures

        evidence = evidence_of(session, runs)
        drawn = draw_all(plan_drawings(evidence, kind), theme, session.notice)
        files = save_figures(drawn, file_format, theme, out)
        if show:
            _show(session, drawn, theme)
        session.answer(
            {"runs": [one.run.id for one in evidence], "files": files},
            lambda: print_line("\n".join(str(file) for file in files)),
        )


def _show(session: Session, drawn: Sequence[Drawn], theme: str) -> None:
    """Draw in the terminal, or say why not: escape sequences in a pipe or in JSON would help nobody."""
    from linclass_cli.show.pictures import show_pictures
    from linclass_cli.show.terminal import why_not

    reason = "stdout is for the JSON" if session.json else why_not()
    if reason:
        session.notice(f"nothing is drawn here, {reason}; the figures are in their files")
    else:
        show_pictures(drawn, theme)


def evidence_of(session: Session, names: Sequence[str]) -> list[Evidence]:
    """The runs of these names, each once; their scores are made when a figure asks for them."""
    from linclass_cli.evidence import Evidence
    from linclass_cli.runs import load_run

    def score(run: Run) -> Scored:
        from linclass_cli.scoring import score_run
        from linclass_cli.threads import use_threads

        config = session.config
        with (
            use_threads(config.threads),
            compiling_shown(session.quiet),
            progress("extract", "images", session.quiet) as advance,
        ):
            return score_run(config.cache_dir, run.id, advance, session.notice)

    return [Evidence(load_run(session.config.cache, name), score) for name in dict.fromkeys(names)]
