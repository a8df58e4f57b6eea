"""``linclass cv``: folds × strengths, the choice of l2, a refit."""

from __future__ import annotations

import typer

from linclass_cli.commands.fitting import run_cv
from linclass_cli.commands.session import Session, command
from linclass_cli.commands.train import Resume, RunLog, RunName, proven
from linclass_cli.recording import Saved
from linclass_cli.show.tables import folded, percent, print_line, print_table, seconds


def add(app: typer.Typer) -> None:
    @command(
        app,
        *(
            "data",
            "feature",
            "model.loss",
            "model.part_weights",
            "model.class_weight",
            "model.calibrate",
            "model.scale",
            "solver",
            "split.stratify",
            "split.groups",
            "cv",
            "seed",
            "memory",
            "cluster",
        ),
        panel="From images to figures",
    )
    def cv(session: Session, name: RunName = None, log: RunLog = None, resume: Resume = True) -> None:
        """Choose the strength of l2 by cross-validation, refit on everything, and test once.

        Folds are stratified and seeded, and each learns its own scaling. The one-standard-error choice is
        the strongest l2 whose mean accuracy is within one standard error of the best. The best mean flatters
        itself; --nested gives the accuracy of the whole procedure, on folds that had no part in the choice.
        What lasts keeps the fits that are done: interrupted, or killed, the same command goes on from there.
        --calibrate fits the refitted model's temperature to what the folds of the chosen l2 say of the images
        that each of them held out.

        Example: linclass cv --folds 5 --l2 1e-5:1e-1:9
        """
        saved = run_cv(session, session.config, name, log, resume)
        session.answer(saved.answer, lambda: show_cv(saved, session.at))


def show_cv(saved: Saved, at: str) -> None:
    """The table of strengths, the choices, the test figure, and the next command."""
    m = saved.metrics
    print_line(f"{saved.run}: {m['folds']}-fold cross-validation of {m['loss']}, {seconds(m['seconds'])}")
    rows = [
        [
            f"{l2:.3g}",
            percent(mean),
            percent(error),
            ", ".join(
                name for name, l2_of in (("best", "best_l2"), ("one SE", "one_se_l2")) if m[l2_of] == l2
            ),
        ]
        for l2, mean, error in zip(m["l2"], m["mean_accuracy"], m["std_error"], strict=True)
    ]
    print_table(["l2", "mean accuracy", "std error", "choice"], rows)
    if at_end := _beyond(m["l2"], m["mean_accuracy"], m["best_l2"]):
        print_line(folded("  the best ", at_end))
    if m["nested"]:
        low, high = m["nested"]["accuracy_interval"]
        span = f"95 %: {100 * low:.2f} to {percent(high)}"
        print_line(
            folded("nested, ", f"the choice included: {percent(m['nested']['accuracy'])} ({span})", "  ")
        )
        print_line(
            folded("  l2 of ", f"the outer folds: {', '.join(f'{l2:.3g}' for l2 in m['nested']['fold_l2'])}")
        )
    what = "the best" if m["choose"] == "best" else f"l2 {m['chosen_l2']:.3g} (one SE)"
    refitted = f"{what}, refitted on all {m['n_train']:,}: {percent(m['test_accuracy'])}"
    print_line(folded("test accuracy of ", refitted, "  "))
    print_line(folded("  objective ", f"{m['objective']:.6f}, {proven(m)}"))
    if m["temperature"] is not None:
        print_line(folded("  temperature ", f"{m['temperature']:.4g}, by the held-out folds"))
    print_line(f"  {saved.path}")
    print_line(f"next: linclass plot {saved.run}{at}")


def _beyond(l2: list[float], accuracy: list[float], best: float) -> str | None:
    """Where to look on, if the best strength is the last of those tried and better than the one beside it."""
    tried = sorted(zip(l2, accuracy, strict=True))
    if len(tried) > 1 and best == tried[-1][0] and tried[-1][1] > tried[-2][1]:
        return f"is the largest that was tried; for larger ones: `--l2 {best:.3g}:{100 * best:.3g}:5`"
    if len(tried) > 1 and 0 < best == tried[0][0] and tried[0][1] > tried[1][1]:
        return f"is the smallest that was tried; for smaller ones: `--l2 {best / 100:.3g}:{best:.3g}:5`"
    return None
