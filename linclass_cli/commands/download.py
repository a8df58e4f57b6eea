"""``linclass download``: a known dataset, fetched and verified."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from linclass_cli.commands.completion import downloads
from linclass_cli.commands.import_ import pair_of, show_some
from linclass_cli.commands.session import Session, command
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import folded, print_line, seconds
from linclass_cli.signals import at_work


def add(app: typer.Typer) -> None:
    @command(app, panel="From images to figures")
    def download(
        session: Session,
        name: Annotated[
            str,
            typer.Argument(
                help="cifar10, cifar100, fashion-mnist or mnist", metavar="NAME", autocompletion=downloads
            ),
        ],
        source: Annotated[
            str | None,
            typer.Option("--from", metavar="PATH|URL", help="take it from an archive or folder elsewhere"),
        ] = None,
    ) -> None:
        """Fetch a known dataset and verify every byte of it.

        A transfer that broke goes on where it stopped. What is there already, intact, is not fetched again.
        Images that stand in both parts, pixel for pixel, are reported.

        Example: linclass download cifar10 --from ~/Downloads/cifar-10-binary.tar.gz
        """
        from linclass_cli.data.duplicates import duplicates_of
        from linclass_cli.data.fetch import download as fetch

        with progress(f"download {name}", "bytes", session.quiet) as advance:
            fetched = fetch(
                name,
                session.config.cache,
                source,
                lambda what, done, total: advance(done, total, phase=what),
                notice=session.notice,
            )
        with at_work(f"{name} is there, and was only being looked through for duplicates"):
            duplicates = duplicates_of(name, session.config.cache)

        def show() -> None:
            state = "already there and intact" if fetched.cached else f"ready in {seconds(fetched.seconds)}"
            size = "×".join(str(side) for side in fetched.image_shape)
            parts = f"{fetched.n_train:,} training and {fetched.n_test:,} test images of {size}"
            line = f"{fetched.dataset}: {state}: {parts}, {len(fetched.classes)} classes, in {fetched.path}"
            print_line(folded("", line, "  "))
            show_some("in both train and test (row numbers)", [pair_of(one) for one in duplicates])
            print_line(f"next: linclass extract --data {fetched.dataset}{session.typed}")

        session.answer({**asdict(fetched), "duplicates": duplicates}, show)
