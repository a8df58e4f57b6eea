"""``linclass demo``: the whole line, on pictures that come with the package."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import typer

from linclass_cli.commands.fitting import run_cv, run_train
from linclass_cli.commands.session import Session, command
from linclass_cli.config import Config
from linclass_cli.config_sections import DataConfig, LossName
from linclass_cli.recording import Saved
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import folded, percent, print_line, print_table, seconds

DATASET = "textures"


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def demo(session: Session) -> None:
        """Run the whole line on an embedded dataset: extract, train twice, cross-validate, plot.

        No download: the pictures are textures that scikit-image ships. The first run compiles the kernels.

        Example: linclass demo
        """
        began = time.perf_counter()
        # The defaults, whatever settings are at hand: they may be meant for one loss only.
        given = session.config
        base = Config(
            cache_dir=given.cache_dir, threads=given.threads, seed=given.seed, data=DataConfig(name=DATASET)
        )
        session.notice("demo: extract, train, cv and plot on embedded pictures")
        losses: tuple[LossName, ...] = ("softmax", "hinge")
        with compiling_shown(session.quiet):
            extracted = _extract(session, base)
            runs = [run_train(session, _with_loss(base, loss), None) for loss in losses]
            runs.append(run_cv(session, _with_loss(base, "softmax"), None))
        figures = _plot(session, runs)
        total = time.perf_counter() - began
        answer = {
            "extract": extracted,
            "train": [run.answer for run in runs[:2]],
            "cv": runs[2].answer,
            "plot": {"runs": [run.run for run in runs], "files": figures},
            "seconds": total,
        }
        session.answer(answer, lambda: _show(extracted, runs, figures, total))


def _with_loss(config: Config, loss: LossName) -> Config:
    return replace(config, model=replace(config.model, loss=loss))


def _extract(session: Session, config: Config) -> dict[str, Any]:
    from linclass_cli.extract import extract
    from linclass_cli.feature_plan import plan_features
    from linclass_cli.threads import use_threads

    plan = plan_features(config)
    with use_threads(config.threads), progress("extract", "images", session.quiet) as advance:
        return asdict(extract(plan, config, advance, notice=session.notice))


def _plot(session: Session, runs: list[Saved]) -> list[str]:
    from linclass_cli.commands.plot import evidence_of
    from linclass_cli.show.plots import draw_all, plan_drawings, save_figures

    evidence = evidence_of(session, [run.run for run in runs])
    files = save_figures(draw_all(plan_drawings(evidence, "auto"), "light", session.notice), "png", "light")
    return [str(file) for file in files]


def _show(extracted: dict[str, Any], runs: list[Saved], figures: list[str], total: float) -> None:
    images = f"{extracted['n_train']:,} training and {extracted['n_test']:,} test images"
    of = f"{extracted['feature']} features of {extracted['dataset']}"
    print_line(folded("", f"linclass demo: {of}, {images}", "  "))
    rows = []
    for saved in runs:
        m = saved.metrics
        what = "cv, best l2" if "folds" in m else "train"
        val = max(m["mean_accuracy"]) if "folds" in m else m["val_accuracy"]
        l2 = m.get("best_l2", m["l2"])
        rows.append(
            [
                saved.run,
                what,
                m["loss"],
                f"{l2:.3g}",
                percent(val),
                percent(m["test_accuracy"]),
                seconds(m["seconds"]),
            ]
        )
    print_table(["run", "what", "loss", "l2", "val", "test", "time"], rows)
    print_line(f"done in {seconds(total)}; the figures:")
    for figure in figures:
        print_line(f"  {figure}")
    print_line("next: linclass download cifar10 && linclass train")
