"""``linclass train``: one fit, one run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from linclass_cli.commands.fitting import run_train
from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.recording import Saved
from linclass_cli.show.tables import counted, percent, print_facts, print_line, seconds

RunName = Annotated[str | None, typer.Option("--name", help=with_default("the run's name", "run1, run2, …"))]


RunLog = Annotated[
    str | None,
    typer.Option(
        "--log", metavar="tensorboard|mlflow", help=with_default("tell it to another program, too", "none")
    ),
]

Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="go on where the same fit was interrupted")
]


def add(app: typer.Typer) -> None:
    @command(
        app,
        "data",
        "feature",
        "model",
        "solver",
        "split",
        "seed",
        "memory",
        "cluster",
        panel="From images to figures",
    )
    def train(session: Session, name: RunName = None, log: RunLog = None, resume: Resume = True) -> None:
        """Fit one linear model and record the run.

        Missing features are extracted first. The weights of the best validation step are kept, and tested
        once. The objective is mean(loss) + l2/2 · ||W||², the bias unpenalised: l2 = 1/(n·C) of scikit-learn.
        --class-weight multiplies each image's loss by the weight of its class; balanced lets every class
        count the same in all.

        A fit that lasts keeps what it has done: interrupted, or killed, the same command goes on from there,
        to the same result.

        --log tensorboard writes an event file into tensorboard/ of the cache folder, --log mlflow a run to
        MLFLOW_TRACKING_URI or mlruns/ of the cache folder; both are extras
        (pip install 'linclass[mlflow]', or in a clone of linclass: pip install '.[mlflow]').

        Example: linclass train --loss hinge --preset course --name svm
        """
        saved = run_train(session, session.config, name, log, resume)
        session.answer(saved.answer, lambda: show_train(saved, session.at, session.config.feature.name))


def show_train(saved: Saved, at: str, feature: str) -> None:
    """The run's result, and the next command."""
    m = saved.metrics
    print_line(f"{saved.run}: {m['loss']} by {m['solver']}, l2 {m['l2']:g}, {seconds(m['seconds'])}")
    end = "converged" if m["converged"] else "not converged" if m["solver"] != "sgd" else "all epochs done"
    facts = {
        "train": f"{percent(m['train_accuracy'])}  ({counted(m['n_train'], feature)})",
        "validation": f"{percent(m['val_accuracy'])}  ({counted(m['n_val'], feature)})",
        "test": f"{percent(m['test_accuracy'])}  ({counted(m['n_test'], feature)})",
        "kept": f"step {m['best_step']} of {m['steps']}",
        "solver": end,
        "objective": f"{m['objective']:.6f}, {proven(m)}",
        "calibrated": f"temperature {m['temperature'] or 1:.4g}, by the validation part",
        "record": saved.path,
    }
    if m["temperature"] is None:
        del facts["calibrated"]
    if m["val_accuracy"] is None:
        del facts["validation"]
    print_facts(facts)
    print_line(f"next: linclass plot {saved.run}{at}")


def proven(m: dict[str, Any]) -> str:
    """How near to the optimum a fit is for certain, in words."""
    if m["gap_bound"] is None:
        return f"gradient {m['gradient_norm']:.1e}"
    gap = 100 * m["gap_bound"]
    return f"at most {f'{gap:,.0f}' if gap >= 10 else f'{gap:.2g}'} % above the optimum"
