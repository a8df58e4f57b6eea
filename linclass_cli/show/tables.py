"""Results, on stdout: tables for people, one JSON object for scripts. Notices go to stderr."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from linclass_cli.show.streams import colours, write
from linclass_cli.visible import visible

_KEPT = re.compile(r"\([^()]{,40}\)|`[^`]{,60}`| %")
_TOGETHER = "\0"  # a space that is not broken at, while lines are made


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout; paths as text."""
    import json  # only --json pays for it

    write(json.dumps(value, default=str, allow_nan=False) + "\n")


def print_line(text: str) -> None:
    write(visible(text, keep="\n") + "\n")


def notice(text: str) -> None:
    """A line on stderr that is no result: what is being done, and why. Nobody there to read it: no matter."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(folded("", visible(text), stream=sys.stderr) + "\n")
            sys.stderr.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table, its numbers aligned right. Off a terminal it is as wide as it wants to be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(
        title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
    )
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        right = numeric or all(str(row[index])[:1].isdigit() for row in rows if row[index] is not None)
        table.add_column(column, justify="right" if right and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    width = None if sys.stdout.isatty() else 160
    console = Console(file=sys.stdout, width=width, color_system="auto" if colours() else None)
    with console.capture() as drawn:  # Rich itself would end the program where a reader has left
        console.print(table)
    # Cells are filled up with blanks; where lines are broken, these would make lines of their own.
    write("\n".join(line.rstrip() for line in drawn.get().split("\n")))


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, a line each, the values aligned."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print_line(folded(f"  {name:<{width}}  ", _cell(value)))


def folded(head: str, text: str, indent: str = "", stream: TextIO | None = None) -> str:
    """The text behind its head; in a terminal broken between words, the rest below its beginning.

    What stands in parentheses, a command in backquotes (it may be copied from there), and a number and its
    percent sign, stay together where there is room. stream: where the line goes, if not to stdout.
    """
    if not (stream or sys.stdout).isatty():
        return head + text
    width, below = shutil.get_terminal_size().columns, indent or " " * len(head)
    lines = textwrap.wrap(
        head + re.sub(_KEPT, lambda found: found[0].replace(" ", _TOGETHER), text),
        width,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_TOGETHER, " ")


def counted(n: int, feature: str) -> str:
    """How many images, or imported vectors, that have the feature of that name."""
    return f"{n:,} {rows_of(feature)}"


def rows_of(feature: str) -> str:
    """What has a feature: images, or vectors that were imported."""
    return "vectors" if feature == "vectors" else "images"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return visible(str(value))
