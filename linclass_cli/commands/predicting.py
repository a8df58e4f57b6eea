"""What ``predict`` does: from the options to the last row."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from linclass_cli.atomic import new_file, replacing
from linclass_cli.commands.session import Session
from linclass_cli.errors import InputError, MissingError, UsageError
from linclass_cli.predicting.predictor import load_predictor
from linclass_cli.predicting.rows import header, make_writer
from linclass_cli.predicting.sources import SUFFIXES, VECTORS, Failed, find_files
from linclass_cli.predicting.stream import Batch, predict_files
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import progress
from linclass_cli.show.streams import into_pipe
from linclass_cli.show.tables import notice
from linclass_cli.signals import NOTHING, at_work
from linclass_cli.threads import use_threads
from linclass_cli.visible import visible

Write = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """``top``: classes told of an image; ``in_row``: those of them that a row of CSV has."""

    file_format: str
    top: int


def check_options(session: Session, file_format: str | None, top: int | None) -> Options:
    """What was asked for. Raises UsageError and InputError."""
    if session.json and file_format == "csv":
        raise UsageError("--json and --format csv: one of them")
    chosen = file_format or ("jsonl" if session.json else "csv")
    if top is not None and top < 1:
        raise InputError(f"--top {top}: allowed is a whole number >= 1")
    return Options(chosen, top or (5 if chosen == "jsonl" else 1))


def predict_all(session: Session, run: str, paths: list[str], options: Options, out: Path | None) -> None:
    """Predict and write everything. Raises InputError at the end where some of it could not be read."""
    tally = Tally()
    # A bar would stand among the rows of a terminal, be they ours or those of who reads ours (`| head`).
    quiet, live = session.quiet or (out is None and sys.stdout.isatty()), out is not None or not into_pipe()
    with (
        use_threads(session.config.threads),
        compiling_shown(session.quiet),
        _opened(out) as write,
        progress("predict", "images", quiet, live=live) as advance,
    ):
        stdin = sys.stdin.buffer if "-" in paths else None
        predictor = load_predictor(session.config.cache, run)
        top = min(options.top, len(predictor.model.classes))
        rows = make_writer(options.file_format, predictor.model.classes, top)
        write(header(options.file_format, top))
        files = find_files(paths, stdin, VECTORS if predictor.takes_vectors else SUFFIXES)
        for batch in predict_files(predictor, files, top):
            write(rows(batch))
            tally.add(batch)
            advance(tally.done)
    tally.check()


@dataclass
class Tally:
    """How many paths were done, how many failed, and whether all of those were missing."""

    done: int = 0
    failed: int = 0
    missing: int = 0

    def add(self, batch: Batch) -> None:
        """Count a batch, and tell of what failed."""
        self.done += len(batch.paths)
        for path in batch.paths:
            if isinstance(path, Failed):
                notice(f"{path.path}: {path.error}")
                self.failed += 1
                self.missing += path.missing

    def check(self) -> None:
        """Raise MissingError where nothing was found, InputError where something could not be read."""
        if not self.failed:
            return
        error = MissingError if self.done == self.missing else InputError
        raise error(f"{self.failed:,} of {self.done:,} paths without a prediction, as said above")


@contextlib.contextmanager
def _opened(out: Path | None) -> Iterator[Write]:
    """A function that writes text to the file, there as a whole at the end, or to stdout, there at once.

    Paths keep the bytes that they have in the file system, but for what a terminal would do as it says.
    """
    if out is None:
        stdout, seen = sys.stdout.buffer, sys.stdout.isatty()

        def write(text: str) -> None:
            stdout.write(_encode(visible(text, keep="\n") if seen else text))
            stdout.flush()

        yield write
        return
    with at_work(NOTHING), replacing(out) as temporary, new_file(temporary) as write_file:
        yield lambda text: write_file(_encode(text))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
