"""Figures in the terminal, one under the other."""

from __future__ import annotations

from collections.abc import Sequence

from linclass_cli.show.figures.blocks import in_blocks
from linclass_cli.show.figures.canvas import render, themed
from linclass_cli.show.plots import Drawn
from linclass_cli.show.streams import write
from linclass_cli.show.terminal import colour_depth, iterm, kitty, lines_of, protocol, screen


def show_pictures(drawn: Sequence[Drawn], theme: str) -> None:
    """Draw the figures on stdout, which is a terminal that can be drawn on."""
    columns, lines = screen()
    way, depth = protocol(), colour_depth()
    for one in drawn:
        with themed(theme):
            figure = one.drawing.draw()  # a new one: for characters it is changed
            if way == "blocks":
                header = [text.get_text() for text in figure.texts[:2]]
                own = one.drawing.characters
                rows = own(columns, depth > 0) if own else in_blocks(figure, columns, lines, depth > 0)
                text = [*(line[:columns] for line in header), "", *lines_of(rows, depth), ""]
                write("\n".join([*text, ""]))
            else:
                send = kitty if way == "kitty" else iterm
                write(send(render(figure, "png"), min(columns, 100)) + "\n\n")
