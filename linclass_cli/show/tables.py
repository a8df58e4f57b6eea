"""Results, on stdout: tables for people, one JSON object for scripts. Notices go to stderr."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from linclass_cli.show.streams import colours, write
from linclass_cli.visible import visible

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
            sys.stderr.write(visible(text) + "\n")
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
    write(drawn.get())


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, a line each, the values aligned."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print_line(folded(f"  {name:<{width}}  ", _cell(value)))


def folded(head: str, text: str, indent: str = "") -> str:
    """The text behind its head; in a terminal broken between words, the rest below its beginning.

    What stands in parentheses, and a number and its percent sign, stay together where there is room.
    """
    if not sys.stdout.isatty():
        return head + text
    width, below = shutil.get_terminal_size().columns, indent or " " * len(head)
    lines = textwrap.wrap(
        head + re.sub(r"\([^()]{,40}\)| %", lambda found: found[0].replace(" ", _TOGETHER), text),
        width,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_TOGETHER, " ")


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
