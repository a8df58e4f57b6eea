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
    from linclass_cli.learn.crossval import Cell
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

    # L-BFGS usually ends long before its limit: for it, no total would be honest.
    total = config.solver.options(config.solver_name).get("epochs")

    def show(step: Step, advance: Advance) -> None:
        val = "" if step.val_accuracy is None else f"val {percent(step.val_accuracy)} "
        note = f"{val}train {percent(step.train_accuracy)} objective {step.objective:.5f}"
        advance(step.iteration, total, note)

    return _run(session, config, name, "train", train, show)


def run_cv(session: Session, config: Config, name: str | None) -> Saved:
    """Cross-validate, showing each cell, and record the run."""
    from linclass_cli.learn.crossval import cross_validate

    total = config.cv.folds * len(config.cv.l2) + 1
    done = 0

    def show(cell: Cell, advance: Advance) -> None:
        nonlocal done
        done += 1
        place = (
            "refit on everything"
            if cell.fold is None
            else f"fold {cell.fold} val {percent(cell.val_accuracy)}"
        )
        advance(done, total, f"l2 {cell.l2:.3g} {place}")

    return _run(session, config, name, "cv", cross_validate, show)


def _run(
    session: Session,
    config: Config,
    name: str | None,
    kind: str,
    start: Callable[..., Generator[Any, None, Outcome]],
    show: Callable[[Any, Advance], None],
) -> Saved:
    from linclass_cli.extract import obtain_features
    from linclass_cli.runs import claim, save_run
    from linclass_cli.threads import use_threads

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
    return Saved(run, path, outcome.metrics)
