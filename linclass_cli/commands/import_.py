"""``linclass import``: the user's own images or vectors as a dataset."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linclass_cli.commands.session import Session, command, with_default
from linclass_cli.data.info import FITS
from linclass_cli.errors import InputError
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import folded, print_line, seconds

if TYPE_CHECKING:
    from linclass_cli.data.importing import Imported, Order

COLORS = ("auto", "grey", "rgb")
ON_BAD = ("error", "skip")
_FEW = 5


def add(app: typer.Typer) -> None:
    @command(app, name="import", panel="From images to figures")
    def import_(
        session: Session,
        path: Annotated[
            Path,
            typer.Argument(metavar="PATH", help="a folder of pictures by class, a list of them, or arrays"),
        ],
        name: Annotated[str, typer.Option("--name", metavar="NAME", help="what --data will call it")],
        size: Annotated[
            str | None,
            typer.Option(
                metavar="N|WxH",
                help=with_default(
                    "pixels that pictures come to", "their own, to 128, if all have one; else 64"
                ),
            ),
        ] = None,
        fit: Annotated[
            str,
            typer.Option(
                metavar="|".join(FITS),
                help="what becomes of other proportions: cut to the middle, edges repeated, or stretched",
            ),
        ] = "crop",
        color: Annotated[
            str, typer.Option(metavar="|".join(COLORS), help="auto: grey where all pictures are")
        ] = "auto",
        test_fraction: Annotated[
            float,
            typer.Option(metavar="NUMBER", help="share of each class that is for the test, if nothing says"),
        ] = 0.2,
        on_bad_image: Annotated[
            str, typer.Option(metavar="|".join(ON_BAD), help="what a picture that cannot be read means")
        ] = "error",
        labels: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="labels of a .npy or idx file: .npy, idx, or text, one a line"),
        ] = None,
        rows_key: Annotated[
            str | None, typer.Option(metavar="KEY", help="column or array of paths or vectors, if not clear")
        ] = None,
        labels_key: Annotated[
            str | None, typer.Option(metavar="KEY", help="column or array of labels, if not clear")
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="replace other content under this name")] = False,
    ) -> None:
        """Make a dataset of your own: of pictures, or of vectors that another model made.

        PATH is a folder of pictures by class, below train/ and test/ or not; a CSV, TSV or JSONL list of
        path, label and perhaps split; or .npz, .npy, HDF5, Parquet or idx files of rows and labels.

        Pictures of all sizes and kinds come to one size. Without a test part, a share of each class becomes
        it, always the same. The same content again changes nothing.

        Example: linclass import photos --name pets --size 64
        """
        from linclass_cli.data.importing import import_dataset
        from linclass_cli.threads import use_threads

        keys = {"labels": labels, "rows-key": rows_key, "labels-key": labels_key}
        order = _order(size, fit, color, test_fraction, on_bad_image, keys, force)
        with (
            use_threads(session.config.threads),
            progress(f"import {name}", "rows", session.quiet) as advance,
        ):
            done = import_dataset(
                path,
                name,
                session.config.cache,
                order,
                lambda what, count, total: advance(count, total, phase=what),
                session.notice,
            )
        session.answer(asdict(done), lambda: show_imported(done, session))


def _order(
    size: str | None,
    fit: str,
    color: str,
    test_fraction: float,
    on_bad: str,
    keys: dict[str, Any],
    force: bool,
) -> Order:
    """The flags, checked. Raises InputError for what they cannot be."""
    from linclass_cli.data.importing import Order
    from linclass_cli.data.sources import Keys
    from linclass_cli.data.staging import Wish

    if not 0 < test_fraction < 1:
        raise InputError(f"--test-fraction {test_fraction:g}: allowed is a number between 0 and 1")
    typed = f" --size {size}" if size else ""
    given = {"fit": fit, "color": color, "test-fraction": f"{test_fraction:g}", "on-bad-image": on_bad}
    defaults = {"fit": "crop", "color": "auto", "test-fraction": "0.2", "on-bad-image": "error"}
    typed += "".join(f" --{flag} {value}" for flag, value in given.items() if value != defaults[flag])
    typed += "".join(f" --{flag} {shlex.quote(str(value))}" for flag, value in keys.items() if value)
    wish = Wish(_side(size), fit, color, on_bad == "skip")
    named = Keys(keys["rows-key"], keys["labels-key"], keys["labels"])
    return Order(wish, named, test_fraction, force, typed)


def _side(size: str | None) -> tuple[int, int] | None:
    """(height, width) in pixels of ``N`` or ``WIDTHxHEIGHT``."""
    if size is None:
        return None
    sides = size.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(
        side.isascii() and side.isdigit() and 1 <= int(side) <= 1024 for side in sides
    ):
        raise InputError(f"--size {size}: allowed is N or WIDTHxHEIGHT, each from 1 to 1024 pixels")
    return int(sides[-1]), int(sides[0])


def show_imported(done: Imported, session: Session) -> None:
    """What the dataset holds, what was left out, and what to do next."""
    state = "already there and intact" if done.cached else f"ready in {seconds(done.seconds)}"
    what = (
        f"vectors of {done.d}" if done.d else "images of " + "×".join(str(n) for n in done.image_shape or ())
    )
    parts = f"{done.n_train:,} training and {done.n_test:,} test {what}"
    line = f"{done.dataset}: {state}: {parts}, {len(done.classes)} classes, in {done.path}"
    print_line(folded("", line, "  "))
    show_some("skipped, unreadable", [f"{one['path']} ({one['reason']})" for one in done.skipped])
    show_some("ignored, no pictures", done.ignored)
    show_some("in both train and test", [pair_of(one) for one in done.duplicates])
    print_line(f"next: linclass train --data {done.dataset}{session.at}")


def show_some(what: str, names: list[str]) -> None:
    """A line with how many there are and the first of them; none where there is none."""
    if names:
        more = f" and {len(names) - _FEW} more (--json lists all)" if len(names) > _FEW else ""
        print_line(folded(f"  {what}: ", f"{len(names)}: {', '.join(names[:_FEW])}{more}", "    "))


def pair_of(one: dict[str, list[object]]) -> str:
    """The first of a group that stands in both parts, and its classes where they differ."""
    classes = one["classes"]
    other = f" (as {' and '.join(str(name) for name in classes)})" if len(classes) > 1 else ""
    return f"{one['train'][0]} = {one['test'][0]}{other}"
