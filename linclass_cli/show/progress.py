"""Progress, on stderr: a live bar in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from linclass_cli.show.streams import colours
from linclass_cli.show.tables import notice
from linclass_cli.visible import visible

if TYPE_CHECKING:
    from linclass_cli.show.live import Board

Advance = Callable[..., None]
S = TypeVar("S")
R = TypeVar("R")
PLAIN_SECONDS = 5.0


@contextlib.contextmanager
def progress(
    what: str, unit: str, quiet: bool = False, board: Board | None = None, live: bool = True
) -> Iterator[Advance]:
    """Yield ``advance(done, total=None, note="", phase="")``. unit: what is counted; ``bytes`` show as MB.

    board: what a terminal shows under the bar, in the notes' place. live: whether there may be a bar at all.
    """
    if quiet:
        yield lambda *_, **__: None
    elif live and sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        yield from _live(what, unit, board)
    else:
        yield _plain(what, unit)


def _live(what: str, unit: str, board: Board | None) -> Iterator[Advance]:
    from rich.console import Console, RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Count(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(_count(task.completed, task.total, unit, task.speed))

    def one_line(ratio: int | None = None) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)

    class Shown(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            if board is not None:
                lines = board.lines(console.width, console.height)
                yield Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")

    console = Console(stderr=True, color_system="auto" if colours(sys.stderr) else None)
    columns = (
        TextColumn("{task.description}", markup=False, table_column=one_line()),
        BarColumn(bar_width=max(6, min(24, (console.width - 60) // 2)), table_column=one_line()),
        Count(table_column=one_line()),
        TimeRemainingColumn(compact=True, table_column=one_line()),
        # The note takes what is left of the line, and is cut where that is too little; a board says more.
        TextColumn("{task.fields[note]}", markup=False, table_column=one_line(1)),
    )
    with Shown(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(visible(what), total=None, note="")

        phase_now: str | None = None

        def advance(done: float, total: float | None = None, note: str = "", phase: str = "") -> None:
            nonlocal phase_now
            if phase != phase_now:
                # Speed and time left are of this phase, and count from where it begins (a resumed download).
                phase_now = phase
                bar.reset(task, completed=int(done))
            bar.update(task, completed=done, total=total, note="" if board else visible(note or phase))

        yield advance


def _plain(what: str, unit: str) -> Advance:
    began = shown = time.monotonic()
    first = 0.0
    phase_now = ""

    def advance(done: float, total: float | None = None, note: str = "", phase: str = "") -> None:
        nonlocal shown, began, first, phase_now
        now = time.monotonic()
        if phase != phase_now:
            # Speed and time left are of this phase, and count from where it begins (a resumed download).
            phase_now, began, first = phase, now, done
        if now - shown < PLAIN_SECONDS or now == began:
            return
        shown, note = now, note or phase
        speed = (done - first) / (now - began)
        left = f", {max(0.0, total - done) / speed:.0f} s left" if total and speed else ""
        count = _count(done, total, unit, speed)
        notice(f"{what}: {count}{left}{'  ' + note if note else ''}")

    return advance


def _count(done: float, total: float | None, unit: str, speed: float | None) -> str:
    if unit == "bytes":
        done, total, speed, unit = done / 1e6, total and total / 1e6, speed and speed / 1e6, "MB"
        numbers = f"{done:.1f}" + (f"/{total:.1f}" if total else "")
    else:
        numbers = f"{done:,.0f}" + (f"/{total:,.0f}" if total else "")
    digits = 1 if speed and speed < 100 else 0
    per = " MB/s" if unit == "MB" else "/s"
    return f"{numbers} {unit}" + (f", {speed:,.{digits}f}{per}" if speed else "")


def follow(steps: Generator[S, None, R], each: Callable[[S], None]) -> R:
    """Run a generator to its end, showing what it yields; what it returns."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: R = end.value
            return result
        each(step)
