"""From runs to figures to files: which kinds there are, what each needs, and where its file goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from linclass_cli.atomic import write_bytes
from linclass_cli.errors import InputError, LinclassError, UsageError
from linclass_cli.evidence import Evidence
from linclass_cli.learn.metrics import wilson_interval
from linclass_cli.runs import Run
from linclass_cli.show.figures import curves
from linclass_cli.show.figures.calibration import calibration_figure
from linclass_cli.show.figures.canvas import render, themed
from linclass_cli.show.figures.compare import compare_figure
from linclass_cli.show.figures.confusion import confusion_figure
from linclass_cli.show.figures.filters import filters_figure, filters_in_blocks
from linclass_cli.show.figures.mistakes import MOST, mistakes_figure
from linclass_cli.show.figures.tiles import gallery_in_blocks
from linclass_cli.show.figures.weights import DRAWN, weights_figure
from linclass_cli.show.terminal import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Notice = Callable[[str], None]


@dataclass(frozen=True)
class Drawing:
    """A figure to be: the stem of its file's name, the runs that it is of, and what makes it.

    draw() is called within a theme; it raises a LinclassError where the runs have no such figure, which is no
    error where the figure is ``optional``. characters(columns, colours): what a terminal shows in its place.
    """

    name: str
    runs: Sequence[Run]
    draw: Callable[[], Figure]
    optional: bool = False
    characters: Callable[[int, bool], list[list[Cell]]] | None = None


@dataclass(frozen=True)
class Drawn:
    """A figure, made, with the drawing that it is of."""

    drawing: Drawing
    figure: Figure


def plan_drawings(evidence: Sequence[Evidence], kind: str) -> list[Drawing]:
    """The figures of the runs for one of ``KINDS``. ``auto`` is what each run is, ``all`` everything.

    Curves of several runs lie over each other, and ``compare`` is of all; of the rest each run has its own.
    Raises InputError where a run cannot have that kind, UsageError where ``compare`` has only one run.
    """
    if kind == "auto":
        return [*_curves(evidence, False), *_cv(evidence)]
    if kind == "all":
        several = _compare(evidence) if len(evidence) > 1 else []
        per_run = [
            drawing
            for one, plan in PER_RUN.items()
            for drawing in plan([its for its in evidence if applies(one, its.run)])
        ]
        every = [*several, *_curves(evidence, True), *_cv(evidence), *per_run]
        return [replace(one, optional=True) for one in every]
    if kind == "compare" and len(evidence) < 2:
        raise UsageError(f"--kind compare wants two runs or more, and there is only {evidence[0].run.id}")
    _check(evidence, kind)
    if kind == "curves":
        return list(_curves(evidence, True))
    without = _without_picture(evidence) if kind == "weights" else []
    return [*{"cv": _cv, "compare": _compare, **PER_RUN}[kind](evidence), *without]


def draw_all(drawings: Sequence[Drawing], theme: str, notice: Notice) -> list[Drawn]:
    """Make the figures in a theme. ``notice`` hears of optional ones that the runs do not have.

    Raises what hinders a figure that is not optional, or all of them.
    """
    drawn = []
    hindered: LinclassError | None = None
    for drawing in drawings:
        with themed(theme):
            try:
                drawn.append(Drawn(drawing, drawing.draw()))
            except LinclassError as error:
                if not drawing.optional:
                    raise
                hindered = hindered or error
                notice(f"no {drawing.name} of {drawing.runs[0].id}: {error}")
    if hindered and not drawn:
        raise hindered
    return drawn


def save_figures(
    drawn: Sequence[Drawn], file_format: str, theme: str, folder: Path | None = None
) -> list[Path]:
    """Write figures into ``folder``, else into the folder of the first run that each is of; their paths."""
    files = []
    for one in drawn:
        runs = one.drawing.runs
        # In a folder that is not the run's own, the names of runs keep their figures apart.
        names = suffix(runs) if len(runs) > 1 or folder else ""
        path = (folder or runs[0].path) / f"{one.drawing.name}{names}.{file_format}"
        with themed(theme):
            write_bytes(path, render(one.figure, file_format))
        files.append(path)
    return files


def applies(kind: str, run: Run) -> bool:
    """Whether a run on such features can have one of ``PER_RUN``."""
    features = _features(run)
    if kind == "weights":
        return any(feature in DRAWN for feature in features)
    if kind == "filters":
        return "patches" in features
    return kind != "mistakes" or features != ["vectors"]


def _features(run: Run) -> list[str]:
    """Those that the run's is joined from."""
    return list(run.config["feature"]["name"].split("+"))


def _check(evidence: Sequence[Evidence], kind: str) -> None:
    for run in (one.run for one in evidence):
        if kind == "cv" and run.kind != "cv":
            raise InputError(f"{run.id} is a training run: it has no cv to plot; use --kind curves or auto")
        if kind == "curves" and run.kind == "cv" and not curves.has_fold_curves(run):
            why = "is a cross-validation without curves (its solver takes one step)"
            raise InputError(f"{run.id} {why}; use --kind cv or auto")
        if kind == "weights" and not applies(kind, run):
            raise InputError(
                f"{run.id} is on {run.config['feature']['name']}: its weights have no picture, "
                f"{_elsewhere(_features(run))}"
            )
        if kind == "filters" and not applies(kind, run):
            raise InputError(
                f"{run.id} is on {run.config['feature']['name']}, which has no filters to plot: "
                "`linclass train --feature patches` makes a run that has"
            )


def _curves(evidence: Sequence[Evidence], folds: bool) -> Iterator[Drawing]:
    trained = [one.run for one in evidence if one.run.kind == "train"]
    if trained:
        yield Drawing("accuracy", trained, lambda: curves.accuracy_curves(trained))
        yield Drawing("loss", trained, lambda: curves.loss_curves(trained))
    for run in (one.run for one in evidence if folds and curves.has_fold_curves(one.run)):
        yield Drawing("curves", [run], lambda run=run: curves.fold_curves([run]))  # type: ignore[misc]


def _cv(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    validated = [one.run for one in evidence if one.run.kind == "cv"]
    if validated:
        yield Drawing("cv", validated, lambda: curves.cv_curves(validated))


def _compare(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    runs = [one.run for one in evidence]
    tested = [(run.metrics["test_accuracy"], run.metrics["n_test"]) for run in runs]
    intervals = [wilson_interval(round(share * n), n) for share, n in tested]
    title, about = curves.title_of(runs, "compared"), curves.about(runs)
    yield Drawing("compare", runs, lambda: compare_figure(runs, intervals, title, about))


def _each(
    name: str, draw: Callable[[Evidence, str, str], Figure], what: str
) -> Callable[..., Iterator[Drawing]]:
    """A plan that gives every run a figure of its own."""

    def plan(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
        for one in evidence:
            title, about = curves.title_of([one.run], what), curves.about([one.run])
            yield Drawing(name, [one.run], lambda one=one, t=title, a=about: draw(one, t, a))  # type: ignore[misc]

    return plan


def _confusion(one: Evidence, title: str, about: str) -> Figure:
    return confusion_figure(one.confusion, one.classes, title, about)


def _mistakes(one: Evidence, title: str, about: str) -> Figure:
    if not one.has_probabilities:
        about += "; +: how far the score is ahead"
    return mistakes_figure(one.mistakes(MOST), title, about)


def _gallery(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    for drawing, one in zip(
        _each("mistakes", _mistakes, "the most confident mistakes")(evidence), evidence, strict=True
    ):
        yield replace(drawing, characters=lambda *room, one=one: gallery_in_blocks(one.mistakes(MOST), *room))


def _calibration(one: Evidence, title: str, about: str) -> Figure:
    return calibration_figure(one.calibration, title, about, one.has_probabilities)


def _weights(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    """One figure for each of the features that a run's is joined from, and whose weights have one."""
    for one in evidence:
        features = _features(one.run)
        for index, feature in enumerate(features):
            if feature not in DRAWN:
                continue
            joined = len(features) > 1
            what = f"what the classes look for{f' in {feature}' if joined else ''}"
            title, about = curves.title_of([one.run], what), curves.about([one.run])

            def draw(
                one: Evidence = one, index: int = index, title: str = title, about: str = about
            ) -> Figure:
                return weights_figure(one.part(index), one.classes, title, about)

            yield Drawing(f"weights-{feature}" if joined else "weights", [one.run], draw)


def _without_picture(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    """For each run what tells of those of its joined features whose weights are not drawn."""
    for one in evidence:
        rest = [feature for feature in _features(one.run) if feature not in DRAWN]

        def draw(rest: list[str] = rest) -> Figure:
            raise InputError(_elsewhere(rest))

        if rest:
            yield Drawing(f"picture of the weights on {', '.join(rest)}", [one.run], draw, optional=True)


def _elsewhere(features: list[str]) -> str:
    """What is drawn in place of the weights on such features."""
    *some, last = DRAWN
    filters = "; --kind filters draws what patches looks for" if "patches" in features else ""
    return f"only those on {', '.join(some)} and {last} have one{filters}"


def _filters(evidence: Sequence[Evidence]) -> Iterator[Drawing]:
    plan = _each("filters", _filters_figure, "what its filters look for")
    for drawing, one in zip(plan(evidence), evidence, strict=True):
        yield replace(drawing, characters=lambda *room, one=one: filters_in_blocks(one.filters, *room))


def _filters_figure(one: Evidence, title: str, about: str) -> Figure:
    return filters_figure(one.filters, title, about)


PER_RUN: dict[str, Callable[[Sequence[Evidence]], Iterator[Drawing]]] = {
    "confusion": _each("confusion", _confusion, "which classes are taken for which"),
    "weights": _weights,
    "filters": _filters,
    "mistakes": _gallery,
    "calibration": _each("calibration", _calibration, "confidence against accuracy"),
}


def suffix(runs: Sequence[Run]) -> str:
    """What a file of these runs has behind its name."""
    names = [run.id for run in runs]
    return "-" + "-".join(names if len(names) <= 4 else [*names[:3], f"and-{len(names) - 3}-more"])
