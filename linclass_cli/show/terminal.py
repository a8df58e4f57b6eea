"""Pictures in a terminal: by its own protocol where it surely has one, else in half-blocks with real letters.

kitty's protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/; iTerm2's:
https://iterm2.com/documentation-images.html. Sixel is left out: only a terminal's answer tells who has it.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Iterator, Mapping

MOST_COLUMNS, LEAST_COLUMNS = 120, 40
_CHUNK = 4096  # characters of one escape sequence of kitty's
BLOCKS = "▀▄█…→"


def why_not(environment: Mapping[str, str] = os.environ) -> str | None:
    """Why nothing can be drawn on stdout: it is no terminal, or one that knows nothing; None where it can."""
    if not sys.stdout.isatty():
        return "stdout is no terminal"
    if environment.get("TERM", "dumb") == "dumb":
        return "TERM is dumb"
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return f"the encoding is {sys.stdout.encoding}"
    return None


def protocol(environment: Mapping[str, str] = os.environ) -> str:
    """``kitty``, ``iterm`` or ``blocks``: what the terminal surely understands.

    A multiplexer in between swallows pictures, and its variables may be those of the terminal outside.
    """
    term = environment.get("TERM", "")
    if environment.get("TMUX") or environment.get("STY") or term.startswith(("tmux", "screen")):
        return "blocks"
    if environment.get("NO_COLOR"):
        return "blocks"
    if term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if "iTerm" in (environment.get("TERM_PROGRAM", "") + environment.get("LC_TERMINAL", "")):
        return "iterm"
    return "iterm" if environment.get("TERM_PROGRAM") == "WezTerm" else "blocks"


def colour_depth(environment: Mapping[str, str] = os.environ) -> int:
    """Bits of a colour: 24, 8, or 0 where there is to be none."""
    if environment.get("NO_COLOR") or environment.get("TERM", "").startswith("vt"):
        return 0
    return 24 if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") else 8


def screen() -> tuple[int, int]:
    """Columns and lines that a picture may take."""
    size = shutil.get_terminal_size()
    return max(LEAST_COLUMNS, min(MOST_COLUMNS, size.columns)), max(16, size.lines)


def kitty(png: bytes, columns: int) -> str:
    """A PNG as kitty shows it, so many columns wide."""
    text = base64.b64encode(png).decode()
    chunks = [text[i : i + _CHUNK] for i in range(0, len(text), _CHUNK)]
    keys = [f"a=T,f=100,q=2,c={columns},", *[""] * (len(chunks) - 1)]
    return "".join(
        f"\x1b_G{key}m={int(i < len(chunks) - 1)};{chunk}\x1b\\"
        for i, (key, chunk) in enumerate(zip(keys, chunks, strict=True))
    )


def iterm(png: bytes, columns: int) -> str:
    """A PNG as iTerm2 shows it, so many columns wide."""
    about = f"inline=1;width={columns};preserveAspectRatio=1;size={len(png)}"
    return f"\x1b]1337;File={about}:{base64.b64encode(png).decode()}\x07"


Colour = tuple[int, int, int]
# A character, its colour, and that behind it; None is the terminal's own.
Cell = tuple[str, Colour | None, Colour | None]


def lines_of(rows: list[list[Cell]], depth: int) -> Iterator[str]:
    """The lines of a picture in characters; colours end with the line."""
    for row in rows:
        end = len(row)
        while end and row[end - 1][0] == " " and row[end - 1][2] is None:
            end -= 1
        line, now = "", ""
        for letter, fore, back in row[:end]:
            style = _style(fore if letter != " " else None, back, depth)
            if style != now:
                line, now = line + ("\x1b[0m" if now else "") + style, style
            line += letter
        yield line + ("\x1b[0m" if now else "")


def _style(fore: Colour | None, back: Colour | None, depth: int) -> str:
    if depth == 0:
        return ""
    codes = [
        f"{ground};2;{red};{green};{blue}" if depth == 24 else f"{ground};5;{_of_256(red, green, blue)}"
        for ground, colour in ((38, fore), (48, back))
        if colour is not None
        for red, green, blue in [colour]
    ]
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def _of_256(red: int, green: int, blue: int) -> int:
    """The nearest of xterm's 240 fixed colours: the cube of six steps a channel, and the greys."""
    steps = (0, 95, 135, 175, 215, 255)
    cube = [min(range(6), key=lambda i: abs(steps[i] - value)) for value in (red, green, blue)]
    grey = max(0, min(23, round(((red + green + blue) / 3 - 8) / 10)))
    level = 8 + 10 * grey
    off_cube = sum((steps[i] - value) ** 2 for i, value in zip(cube, (red, green, blue), strict=True))
    off_grey = sum((level - value) ** 2 for value in (red, green, blue))
    return 232 + grey if off_grey < off_cube else 16 + 36 * cube[0] + 6 * cube[1] + cube[2]
