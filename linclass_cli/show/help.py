"""Help pages: usage, text, and panels of options and of commands; plain text, with colours in a terminal.

Typer lets Rich draw its pages, and Rich takes longer to import than all the rest of a help page: this draws
the same panels without it.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from linclass_cli.show.streams import colours, write

# A text that is never broken (what stands behind it, a space or nothing, belongs to it), and its style.
Piece = tuple[str, str]
Cell = list[Piece]
Row = tuple[Cell, ...]

PLAIN, BOLD, DIM, RED = "", "1", "2", "31"
USAGE, FLAG, SHORT, NEGATIVE, TYPE = "1;33", "1;36", "1;32", "1;35", "1;33"
# What a panel is drawn with, in a stdout that knows these characters and in one that may not.
ROUND, ASCII = tuple("╭─╮│╰╯"), tuple("+-+|++")
GAP = 2
LEAST = 8  # columns of a text, however little room there is
_EXTRA = re.compile(r"\[(?:default|required)[^\[]*\]$")


def print_help(command: Any, ctx: Any) -> None:
    """Print the help page of a Typer command or group."""
    width = max(shutil.get_terminal_size().columns, 30)
    # Typer writes {RUN...}... for one run or several.
    usage = _words(re.sub(r"\{(\S+?)(\.\.\.)?\}(\.\.\.)?", r"\1\3", command.get_usage(ctx)), BOLD)
    usage[0] = (usage[0][0], USAGE)
    texts = [without_markup(paragraph) for paragraph in (command.help or "").split("\n\n")]
    lines = [""]
    for text in [usage, *(_words(text, DIM if index else PLAIN) for index, text in enumerate(texts))]:
        lines += [" " + _painted(line) for line in _folded(text, width - 2)] + [""]
    for title, rows in _panels(command, ctx).items():
        lines += _panel(title, rows, width)
    for title, rows in _command_panels(command, ctx).items():
        lines += _panel(title, rows, width)
    write("\n".join(lines) + "\n")


def _panels(command: Any, ctx: Any) -> dict[str, list[Row]]:
    """The rows of each panel: arguments first, then the options that are in no panel of their own."""
    panels: dict[str, list[Row]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if param.hidden:
            continue
        if param.param_type_name == "argument":
            title, names = "Arguments", [(f"{param.metavar or param.name} ", PLAIN)]
        else:
            title = getattr(param, "rich_help_panel", None) or "Options"
            flags = sorted(param.opts, key=lambda flag: not flag.startswith("--"))
            names = [(f"{flag} ", FLAG if flag.startswith("--") else SHORT) for flag in flags]
            names += [(f"{flag} ", NEGATIVE) for flag in param.secondary_opts]
        star = [("* ", RED)] if param.required else []
        kinds = [(kind, TYPE) for kind in re.findall(r"[^|]+\|?", param.display_type_rich(ctx=ctx) or "")]
        text = without_markup(param.get_help_record(ctx)[1])
        extra = _EXTRA.search(text)
        main, end = (text[: extra.start()], extra.group()) if extra else (text, "")
        row = (star + names, kinds, _words(main, PLAIN) + _words(end, DIM))
        panels.setdefault(title, []).append(row)
    return panels


def _command_panels(group: Any, ctx: Any) -> dict[str, list[Row]]:
    """The rows of each panel of a group's commands, their names aligned in all panels; none for a command."""
    if not hasattr(group, "list_commands"):
        return {}
    commands = [group.get_command(ctx, name) for name in group.list_commands(ctx)]
    longest = max(len(command.name) for command in commands)
    panels: dict[str, list[Row]] = {}
    for command in commands:
        first = without_markup(command.help or "").split("\n\n")[0]
        row = ([(command.name.ljust(longest), FLAG)], _words(first, PLAIN))
        panels.setdefault(command.rich_help_panel or "Commands", []).append(row)
    return panels


def _panel(title: str, rows: Sequence[Row], width: int) -> Iterator[str]:
    """The lines of a box around a table; none where there are no rows."""
    if not rows:
        return
    encoding = (sys.stdout.encoding or "utf-8").lower()
    left, bar, right, side, bottom_left, bottom_right = ROUND if encoding.startswith("utf") else ASCII
    inner = width - 4
    widths = _widths(rows, inner)
    edge = _style(side, DIM)
    yield _style(f"{left}{bar} {title} {bar * (width - len(title) - 5)}{right}", DIM)
    for row in rows:
        cells = [_folded(cell, column) for cell, column in zip(row, widths, strict=True)]
        for number in range(max(len(cell) for cell in cells)):
            parts = [cell[number] if number < len(cell) else [] for cell in cells]
            line = (" " * GAP).join(
                _painted(part) + " " * (column - _length(part))
                for part, column in zip(parts, widths, strict=True)
            )
            yield f"{edge} {line} {edge}"
    yield _style(f"{bottom_left}{bar * (width - 2)}{bottom_right}", DIM)


def _widths(rows: Sequence[Row], inner: int) -> list[int]:
    """The columns' widths. The last one, the text, gets what the others leave.

    Where that is too little, the widest of the others give way, by breaking a piece only where they must.
    """
    columns = [list(column) for column in zip(*rows, strict=True)]
    widths = [max(_length(cell) for cell in column) for column in columns]
    least = [
        max((len(text.rstrip()) for cell in column for text, _ in cell), default=0) for column in columns
    ]
    wanted = min(widths.pop(), inner * 2 // 5)
    space = inner - GAP * len(widths)
    while (left := space - sum(widths)) < wanted:
        free = [index for index, width in enumerate(widths) if width > least[index] or left < LEAST]
        if not free:
            break
        widths[max(free, key=lambda index: widths[index])] -= 1
    return [*widths, left]


def _folded(cell: Cell, width: int) -> list[Cell]:
    """The cell's pieces on lines of at most this width; a piece that is longer is broken all the same."""
    lines: list[Cell] = [[]]
    for text, style in cell:
        if lines[-1] and _length([*lines[-1], (text, style)]) > width:
            lines.append([])
        while len(text.rstrip()) > width:
            lines[-1].append((text[:width], style))
            lines.append([])
            text = text[width:]
        lines[-1].append((text, style))
    return lines


def _words(text: str, style: str) -> Cell:
    """The words of a text; flags stand out."""
    return [(f"{word} ", FLAG if word.startswith("--") else style) for word in text.split()]


def without_markup(text: str) -> str:
    """The text without what Typer's own pages would want: ``[dim]``, and a backslash before a bracket."""
    return re.sub(r"(?<!\\)\[/?dim\]", "", text).replace("\\[", "[")


def _length(cell: Cell) -> int:
    return len("".join(text for text, _ in cell).rstrip())


def _painted(cell: Cell) -> str:
    ended = [*cell[:-1], (cell[-1][0].rstrip(), cell[-1][1])] if cell else []
    runs = groupby(ended, lambda piece: piece[1])
    return "".join(_style("".join(text for text, _ in pieces), style) for style, pieces in runs)


def _style(text: str, style: str) -> str:
    """The text in colour, where there is a terminal that shows it."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and colours() else text
