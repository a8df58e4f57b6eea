"""What ``train``, ``cv`` and ``demo`` share: features in hand, a name claimed, a record written."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linclass_cli.commands.session import Session
from linclass_cli.config import Config
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import Advance, follow, progress
from linclass_cli.show.tables import percent

if TYPE_CHECKING:
    from linclass_cli.learn import crossval, nested
    from linclass_cli.learn.fit import Step
    from linclass_cli.runs import Outcome


@dataclass(frozen=True)
class Saved:
    """A finished run: its name, folder and metrics."""

    run: str
    path: Path
    metrics: dict[str, Any]

    @property
    def answer(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"run": self.run, "path": self.path, **self.metrics}


def run_train(session: Session, config: Config, name: str | None) -> Saved:
    """Fit, showing each step, and record the run."""
    from linclass_cli.learn.fit import train
    from linclass_cli.learn.temperature import check_calibration

    check_calibration(config)  # before features are extracted for it
    # L-BFGS usually ends long before its limit: for it, no total would be honest.
    total = config.solver.options(config.solver_name).get("epochs")

    def show(step: Step, advance: Advance) -> None:
        val = "" if step.val_accuracy is None else f"val {percent(step.val_accuracy)} "
        note = f"{val}train {percent(step.train_accuracy)} objective {step.objective:.5f}"
        advance(step.iteration, total, note)

    return _run(session, config, name, "train", train, show)


def run_cv(session: Session, config: Config, name: str | None) -> Saved:
    """Cross-validate, showing each cell, and record the run."""
    from linclass_cli.learn.crossval import Progress, cross_validate
    from linclass_cli.learn.nested import Inner, Outer, nested_cross_validate

    fits, folds, done = config.cv.folds * len(config.cv.l2) + 1, config.cv.folds, 0
    total = fits * (folds + 1) if config.cv.nested else fits

    def show(event: nested.Inner | nested.Outer | crossval.Cell | Progress, advance: Advance) -> None:
        nonlocal done
        cell = event.event if isinstance(event, Inner) else event
        where = f"outer {event.outer} " if isinstance(event, Inner) else ""
        if isinstance(cell, Progress):
            shown = " ".join(f"{100 * value:.1f}" for value in cell.val_accuracy)
            advance(done, total, f"{where}l2 {cell.l2:.3g} step {cell.step} val {shown}")
            return
        done += 1
        if isinstance(cell, Outer):
            advance(done, total, f"outer {cell.fold} l2 {cell.l2:.3g} test {percent(cell.accuracy)}")
            return
        place = (
            "refit on everything"
            if cell.fold is None
            else f"fold {cell.fold} val {percent(cell.val_accuracy)}"
        )
        advance(done, total, f"{where}l2 {cell.l2:.3g} {place}")

    start = nested_cross_validate if config.cv.nested else cross_validate
    return _run(session, config, name, "cv", start, show)


def _run(
    session: Session,
    config: Config,
    name: str | None,
    kind: str,
    start: Callable[..., Generator[Any, None, Outcome]],
    show: Callable[[Any, Advance], None],
) -> Saved:
    from linclass_cli.class_weights import load_weighting
    from linclass_cli.extract import obtain_features, plan_features
    from linclass_cli.groups import load_groups
    from linclass_cli.runs import claim, save_run
    from linclass_cli.threads import use_threads

    # What files say is looked at before features are extracted.
    info = plan_features(config).info
    load_groups(config.split.groups, info.n_train)
    load_weighting(config.model.class_weight, info.classes)

    with (
        use_threads(config.threads) as threads,
        compiling_shown(session.quiet),
        claim(config.cache, name) as run,
    ):
        with progress(f"extract {config.feature.name}", "images", session.quiet) as advance:
            plan, features = obtain_features(config, advance, session.notice)
        with progress(
            f"{kind} {config.model.loss}", "fits" if kind == "cv" else "steps", session.quiet
        ) as advance:
            steps = start(features, plan.info.classes, config)
            outcome = follow(steps, lambda step: show(step, advance))
        path = save_run(config.cache, run, kind, config.record(), threads, outcome)
    if not outcome.metrics["converged"] and outcome.metrics["solver"] != "sgd":
        session.notice(_not_met(kind, outcome))
    return Saved(run, path, outcome.metrics)


def _not_met(kind: str, outcome: Outcome) -> str:
    """What to do where the solver's tolerance was not met."""
    m = outcome.metrics
    fits = [one for one in outcome.history if not one["converged"]] if kind == "cv" else []
    what = f"{len(fits)} of {len(outcome.history)} fits" if fits else "the fit"
    key = {"newton": "--gap", "smoothed": "--duality-gap"}.get(m["solver"], "--tolerance")
    return f"note: {what} did not meet the tolerance (history.jsonl): raise --max-iterations or {key}, or l2"
