"""The gallery of mistakes in characters: a figure of that size would have no room for the classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linclass_cli.evidence import Mistake
from linclass_cli.show.figures.blocks import Letters, cells
from linclass_cli.show.figures.canvas import ink, label, rgb, wrong
from linclass_cli.show.figures.mistakes import pixels_of
from linclass_cli.show.terminal import Cell

MOST = 12
_WIDE = 20  # columns of a picture with the two between it and the next, at least


def gallery_in_blocks(mistakes: Sequence[Mistake], columns: int, colours: bool = True) -> list[list[Cell]]:
    """The first mistakes, each with its classes over it, in rows of ``columns`` cells."""
    from PIL import Image

    shown = mistakes[:MOST]
    across = max(1, columns // _WIDE)
    side = columns // across - 2
    side -= side % 2
    high = 2 + side // 2 + 1  # lines: two of text, the picture, an empty one
    rows = -(-len(shown) // across) * high
    pixels = np.zeros((2 * rows, columns, 4))
    letters: Letters = {}
    for place, one in enumerate(shown):
        row, column = place // across * high, place % across * (side + 2)
        image = Image.fromarray(pixels_of(one.image)).convert("RGB")
        image.thumbnail((side, side), Image.Resampling.BOX)
        if max(image.size) < side:
            scale = side / max(image.size)
            wanted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(wanted, Image.Resampling.NEAREST)
        top = 2 * (row + 2)
        pixels[top : top + image.height, column : column + image.width, :3] = np.asarray(image) / 255
        pixels[top : top + image.height, column : column + image.width, 3] = 1
        answer = f"→ {label(one.predicted, side - 3 - len(one.sure))} {one.sure}"
        lines = ((label(f"true {one.true}", side), ink()), (answer, wrong()))
        for line, (text, color) in enumerate(lines):
            letters |= {(row + line, column + i): (letter, rgb(color)) for i, letter in enumerate(text)}
    return cells(pixels, letters, colours)
