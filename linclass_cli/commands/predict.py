"""``linclass predict``: labels for images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from linclass_cli.commands.session import Session, command, with_default

Format = Annotated[
    str | None, typer.Option("--format", metavar="csv|jsonl", help=with_default("what is written", "csv"))
]
Top = Annotated[
    int | None,
    typer.Option(
        "--top", metavar="INT", help=with_default("classes told of an image", "1 in CSV, 5 in JSON")
    ),
]


def add(app: typer.Typer) -> None:
    @command(app, "memory", panel="From images to figures")
    def predict(
        session: Session,
        run: Annotated[str, typer.Argument(metavar="RUN", help="the run")],
        paths: Annotated[
            list[str],
            typer.Argument(
                metavar="PATH...", help="files, folders, quoted globs; -: a list of them on stdin"
            ),
        ],
        file_format: Format = None,
        top: Top = None,
        out: Annotated[Path | None, typer.Option("--out", help=with_default("a file", "stdout"))] = None,
    ) -> None:
        """Label images with the model of a run, in the order that they are given.

        Images of any size become what the model was trained on. The list on stdin has a path a line, or NUL
        bytes between paths (find -print0), and may be endless. CSV has the columns path, label, probability;
        --json is --format jsonl: an object a line with path, label, probability and top. Probabilities are
        those of softmax, or of a run trained with --calibrate; others have none.

        What cannot be read is told on stderr, and in its place: a CSV row with nothing behind the path, a
        JSON object with path and error. The rest is done, and the exit code is 3; 4 where nothing was found.
        A run on imported vectors takes .npy and .npz files of vectors, and tells of rows as FILE[0], FILE[1].

        Example: linclass predict run1 photos 'more/**/*.jpg' --out labels.csv
        """
        from linclass_cli.commands.predicting import check_options, predict_all

        options = check_options(session, file_format, top)
        predict_all(session, run, paths, options, out)
