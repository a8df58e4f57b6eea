"""Pictures in a terminal: what is sent to which one, and what stands in the characters."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest

from linclass_cli.evidence import Mistake
from linclass_cli.show import terminal
from linclass_cli.show.figures.blocks import in_blocks
from linclass_cli.show.figures.canvas import canvas, themed
from linclass_cli.show.figures.confusion import confusion_figure
from linclass_cli.show.figures.tiles import gallery_in_blocks
from linclass_cli.show.terminal import colour_depth, iterm, kitty, lines_of, protocol, why_not


def test_a_protocol_is_used_only_where_it_is_sure():
    assert protocol({"TERM": "xterm-256color"}) == "blocks"
    assert protocol({"TERM": "xterm-kitty"}) == "kitty"
    assert protocol({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}) == "iterm"
    assert protocol({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}) == "blocks"
    assert protocol({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}) == "blocks"
    assert protocol({"TERM": "xterm-kitty", "NO_COLOR": "1"}) == "blocks"
    assert colour_depth({"TERM": "xterm", "COLORTERM": "truecolor"}) == 24
    assert colour_depth({"TERM": "xterm"}) == 8
    assert colour_depth({"TERM": "xterm", "NO_COLOR": "1"}) == 0


def test_pictures_are_sent_whole():
    png = bytes(range(256)) * 40
    sent = kitty(png, 80)
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", sent)
    assert base64.b64decode("".join(content for _, content in chunks)) == png
    assert all(len(content) <= 4096 for _, content in chunks)
    assert chunks[0][0] == "a=T,f=100,q=2,c=80,m=1"
    assert [keys for keys, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"]
    content = re.fullmatch(r"\x1b\]1337;File=inline=1;width=80;[^:]*:([^\x07]*)\x07", iterm(png, 80))
    assert content
    assert base64.b64decode(content[1]) == png


def test_nothing_is_drawn_where_nothing_can_be(monkeypatch):
    assert why_not({"TERM": "xterm"}) == "stdout is no terminal"

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    for encoding, term, reason in (
        ("utf-8", "xterm", None),
        ("utf-8", "dumb", "TERM is dumb"),
        ("ascii", "xterm", "the encoding is ascii"),
    ):  # fmt: skip
        monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO(), encoding=encoding))
        assert why_not({"TERM": term}) == reason


def test_lines_have_colours_of_the_depth_and_end_them():
    rows = [[("▀", (255, 0, 0), (0, 0, 255)), ("a", None, None), (" ", None, None)]]
    assert list(lines_of(rows, 24)) == ["\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0ma"]
    assert list(lines_of(rows, 8)) == ["\x1b[38;5;196;48;5;21m▀\x1b[0ma"]
    assert list(lines_of(rows, 0)) == ["▀a"]
    assert terminal._of_256(128, 128, 128) == 244


def text_of(rows) -> list[str]:
    return ["".join(letter for letter, _, _ in row) for row in rows]


@pytest.mark.parametrize("columns", [60, 80])
def test_curves_have_their_line_and_their_words(columns):
    with themed("light"):
        figure, axes = canvas("run1: accuracy", "about")
        axes.plot([1, 2, 3, 4], [10, 20, 40, 80], linewidth=1.8, label="validation")
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Accuracy (%)")
        axes.legend(loc="lower right")
        rows = in_blocks(figure, columns, 24)
    text = text_of(rows)
    assert len(rows) <= 20
    assert {len(row) for row in rows} == {columns}
    for word in ("Epoch", "Accuracy (%)", "validation", "80"):
        assert any(word in line for line in text), word
    assert not any("run1" in line for line in text)
    blue = [
        (r, c) for r, row in enumerate(rows) for c, (_, fore, _) in enumerate(row) if fore == (0, 114, 178)
    ]
    assert len(blue) > columns / 4
    # It rises: from the lowest line, at the left, to the highest.
    assert min(blue, key=lambda place: place[1])[0] == max(row for row, _ in blue) > min(blue)[0] + 10


@pytest.mark.parametrize("k", [3, 10, 20, 100])
@pytest.mark.parametrize("columns", [60, 80])
def test_a_matrix_has_its_names_and_numbers(k, columns):
    counts = np.eye(k, dtype=int) * 9 + 1
    with themed("dark"):
        rows = in_blocks(confusion_figure(counts, [f"c{i}" for i in range(k)], "t", "a"), columns, 24)
    text = text_of(rows)
    assert all(len(row) == columns for row in rows)
    if k <= 20:
        for i in range(k):
            assert any(re.search(rf"\bc{i}\b", line) for line in text)
        assert f"{round(1000 / (k + 9))}" in "\n".join(text)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_gallery_has_its_pictures_and_classes(columns):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    with themed("light"):
        rows = gallery_in_blocks([Mistake(0, red, "cat", "x" * 30, "97 %")] * 7, columns)
    assert {len(row) for row in rows} == {columns}
    text = "\n".join(text_of(rows))
    assert text.count("true cat") == 7
    assert text.count("… 97 %") == 7
    assert sum(fore == (255, 0, 0) for row in rows for _, fore, _ in row) > 7 * 20
    assert list(lines_of(rows, 0))
