"""What ``train``, ``cv`` and ``demo`` share: a run recorded while a person watches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from linclass_cli.commands.session import Session
from linclass_cli.config import Config
from linclass_cli.recording import Saved, cross_validate, train
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.live import Board, CvBoard, TrainBoard
from linclass_cli.show.progress import Advance, progress
from linclass_cli.show.tables import percent

if TYPE_CHECKING:
    from linclass_cli.learn import cells, nested
    from linclass_cli.learn.fit import Step


def run_train(
    session: Session, config: Config, name: str | None, log: str | None = None, resume: bool = True
) -> Saved:
    """Fit, showing each step, and record the run."""
    # L-BFGS usually ends long before its limit: for it, no total would be honest.
    total = config.solver.options(config.solver_name).get("epochs")
    board = TrainBoard()

    def show(step: Step, advance: Advance) -> None:
        board.add(step)
        val = "" if step.val_accuracy is None else f"val {percent(step.val_accuracy)} "
        note = f"{val}train {percent(step.train_accuracy)} objective {step.objective:.5f}"
        advance(step.iteration, total, note)

    return _run(session, config, name, log, resume, train, show, board)


def run_cv(
    session: Session, config: Config, name: str | None, log: str | None = None, resume: bool = True
) -> Saved:
    """Cross-validate, showing each cell, and record the run."""
    from linclass_cli.learn.cells import Progress
    from linclass_cli.learn.nested import Inner, Outer

    fits, folds, done = config.cv.folds * len(config.cv.l2) + 1, config.cv.folds, 0
    total = fits * (folds + 1) if config.cv.nested else fits
    board = CvBoard(config.cv.l2, folds)

    def show(event: nested.Inner | nested.Outer | cells.Cell | Progress, advance: Advance) -> None:
        nonlocal done
        cell = event.event if isinstance(event, Inner) else event
        where = f"outer {event.outer} " if isinstance(event, Inner) else ""
        if isinstance(event, Inner):
            board.begin(f"inside outer fold {event.outer + 1} of {folds}")
        elif not isinstance(event, Outer):
            board.begin("")
        if isinstance(cell, Progress):
            board.set(cell.l2, dict(enumerate(cell.val_accuracy)))
            shown = " ".join(f"{100 * value:.1f}" for value in cell.val_accuracy)
            advance(done, total, f"{where}l2 {cell.l2:.3g} step {cell.step} val {shown}")
            return
        done += 1
        if isinstance(cell, Outer):
            advance(done, total, f"outer {cell.fold} l2 {cell.l2:.3g} test {percent(cell.accuracy)}")
            return
        if cell.fold is not None and cell.val_accuracy is not None:
            board.set(cell.l2, {cell.fold: cell.val_accuracy})
        place = (
            "refit on everything"
            if cell.fold is None
            else f"fold {cell.fold} val {percent(cell.val_accuracy)}"
        )
        advance(done, total, f"{where}l2 {cell.l2:.3g} {place}")

    return _run(session, config, name, log, resume, cross_validate, show, board)


def _run(
    session: Session,
    config: Config,
    name: str | None,
    log: str | None,
    resume: bool,
    start: Callable[..., Saved],
    show: Callable[[Any, Advance], None],
    board: Board,
) -> Saved:
    def bar(what: str, unit: str) -> AbstractContextManager[Advance]:
        return progress(what, unit, session.quiet, None if unit == "images" else board)

    with compiling_shown(session.quiet):
        saved = start(config, name, log=log, resume=resume, each=show, notice=session.notice, bar=bar)
    if not saved.metrics["converged"] and saved.metrics["solver"] != "sgd":
        session.notice(_not_met(saved))
    return saved


def _not_met(saved: Saved) -> str:
    """What to do where the solver's tolerance was not met."""
    m = saved.metrics
    fits = [one for one in saved.history if not one["converged"]] if "folds" in m else []
    what = f"{len(fits)} of {len(saved.history)} fits" if fits else "the fit"
    key = {"newton": "--gap", "smoothed": "--duality-gap"}.get(m["solver"], "--tolerance")
    return f"note: {what} did not meet the tolerance (history.jsonl): raise --max-iterations or {key}, or l2"
