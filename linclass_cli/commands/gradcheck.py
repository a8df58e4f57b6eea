"""``linclass gradcheck``: a loss's gradient against its slope."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linclass_cli.commands.session import Session, command
from linclass_cli.errors import CheckError
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.tables import folded, print_line, print_table

if TYPE_CHECKING:
    from linclass_cli.learn.gradcheck import Checked, Point

SHOWN = 10  # entries in the table, evenly spread over W and b


def add(app: typer.Typer) -> None:
    @command(app, "model.loss", "model.l2", "seed", panel="What is there")
    def gradcheck(
        session: Session,
        out: Annotated[
            Path | None,
            typer.Option("--out", help="an .npz file of the point, for your own gradient"),
        ] = None,
    ) -> None:
        """Check the gradient of a loss: analytic, by the kernels that fit, against numeric, by its slope.

        At a random point, in float64: 30 images of 7 features, 4 classes, W and b not zero. Numeric is the
        central difference (F(θ + h) - F(θ - h)) / 2h of the objective, h = 6e-6, along every entry of W and
        b. The relative error is the largest difference over the gradient's largest entry: about 1e-9 where
        all is right. Exit code 1 if it is 1e-6 or more: a bug in linclass. --out writes the arrays X, y, W,
        b, l2, dW, db and objective for numpy.load.

        Example: linclass gradcheck --loss softmax --l2 0.1
        """
        from linclass_cli.learn.gradcheck import check_gradient, made_up_point

        model, point = session.config.model, made_up_point(session.config.seed)
        with compiling_shown(session.quiet):
            found = check_gradient(point, model.loss, model.l2)
        answer = _answer(model.loss, model.l2, point, found)
        if out is not None:
            answer["file"] = str(_save(out, point, found, model.l2))
        session.answer(answer, lambda: _show(answer))
        if not found.ok:
            raise CheckError(
                f"the gradient of {model.loss} is not its slope: relative error {found.relative_error:.1e}, "
                "where less than 1e-6 is right; this is a bug in linclass"
            )


def _answer(loss: str, l2: float, point: Point, found: Checked) -> dict[str, Any]:
    from linclass_cli.learn.gradcheck import STEP, TOLERANCE

    (n, d), k = point.X.shape, len(point.b)
    numbers = {"n": n, "d": d, "k": k, "objective": found.objective, "step": STEP, "tolerance": TOLERANCE}
    entries = [asdict(entry) for entry in found.entries]
    judged = {"relative_error": found.relative_error, "ok": found.ok}
    return {"loss": loss, "l2": l2, **numbers, **judged, "entries": entries}


def _save(path: Path, point: Point, found: Checked, l2: float) -> Path:
    """Write the point, the objective and the analytic gradient; the file's path."""
    import io

    import numpy as np

    from linclass_cli.atomic import write_bytes

    gradient = np.array([entry.analytic for entry in found.entries])
    held = io.BytesIO()
    dW, db = gradient[: point.W.size].reshape(point.W.shape), gradient[point.W.size :]
    at = {"X": point.X, "y": point.y, "W": point.W, "b": point.b, "l2": np.asarray(l2)}
    of = {"objective": np.asarray(found.objective), "dW": dW, "db": db}
    np.savez(held, allow_pickle=False, **at, **of)
    write_bytes(path, held.getvalue())
    return path


def _difference(entry: dict[str, Any]) -> float:
    return float(abs(entry["analytic"] - entry["numeric"]))


def _show(answer: dict[str, Any]) -> None:
    of = f"{answer['n']} images, {answer['d']} features, {answer['k']} classes, float64"
    at = f"gradient of {answer['loss']}, l2 {answer['l2']:g}: "
    print_line(folded("", f"{at}{of}, h = {answer['step']:g}", "  "))
    entries = answer["entries"]
    shown = [entries[at * (len(entries) - 1) // (SHOWN - 1)] for at in range(SHOWN)]
    rows = [
        [e["name"], *(f"{e[kind]:14.10f}" for kind in ("analytic", "numeric")), f"{_difference(e):.0e}"]
        for e in shown
    ]
    print_table(["entry", "analytic", "numeric", "difference"], rows)
    verdict = f"{'right' if answer['ok'] else 'WRONG'} (limit {answer['tolerance']:g})"
    largest = f"largest relative error of all {len(entries)} entries: {answer['relative_error']:.1e}"
    print_line(folded("", f"{largest}; {verdict}", "  "))
    if "file" in answer:
        print_line(f"  {answer['file']}")
