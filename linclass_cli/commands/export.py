"""``linclass export``: a run's model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.show.tables import print_line

FORMATS = ("onnx", "safetensors", "npz")


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def export(
        session: Session,
        run: Annotated[str, typer.Argument(metavar="RUN", help="the run")],
        file_format: Annotated[
            str, typer.Option("--format", metavar="|".join(FORMATS), help="the files' format")
        ] = "onnx",
        out: Annotated[
            Path | None, typer.Option("--out", help=with_default("a folder", "the working folder"))
        ] = None,
    ) -> None:
        """Write a run's model for other programs, and print the files' paths.

        onnx gives RUN.onnx, from features (float32) to probabilities, scores and the label's number, and for
        hog, pixels and patches RUN-images.onnx, from images (uint8: n, height, width, channels) to the same.
        safetensors and npz hold weight, bias, mean and factor, with the formula, and of patches the
        dictionary. Scaling is always included.

        Example: linclass export run1 --format onnx --out models
        """
        from linclass_cli.exporting.files import export_run

        files = export_run(session.config.cache, run, file_format, out, session.notice)
        session.answer({"run": run, "files": files}, lambda: print_line("\n".join(map(str, files))))
