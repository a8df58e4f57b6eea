"""Help pages: every width, with and without colours, nothing lost."""

from __future__ import annotations

import io
import re
import sys

import pytest

from linclass_cli.cli import app
from linclass_cli.config import leaves

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def page(monkeypatch, capsys):
    """``page("train", width=80)``: the help page of a command."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def read(*command: str, width: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        with pytest.raises(SystemExit) as end:
            app([*command, "--help"], prog_name="linclass")
        assert not end.value.code
        return capsys.readouterr().out

    return read


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 300])
@pytest.mark.parametrize("command", [(), ("train",), ("cv",), ("plot",), ("runs",), ("config", "init")])
def test_a_page_fills_its_width_and_no_more(page, command, width):
    lines = page(*command, width=width).splitlines()
    assert max(len(line) for line in lines) == width
    boxes = [line for line in lines if line[:1] in ("╭", "│", "╰")]
    assert {len(line) for line in boxes} == {width}
    assert {line[-1] for line in boxes} == {"╮", "│", "╯"}


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_setting_is_there_whole_at_every_width(page, width):
    words = page("train", width=width).replace("│", " ").split()
    text = " ".join(words)
    for key, one in leaves():
        if not key.startswith("cv."):
            flag = "--" + (key.partition(".")[0] if one.name == "name" else one.name.replace("_", "-"))
            assert flag in words
            if one.kind is bool:
                assert f"--no-{flag[2:]}" in words
    assert "[default: cifar10]" in text
    assert "[dim]" not in text


def test_panels_stand_in_their_order(page):
    titles = re.findall(r"^╭─ (.*?) ─", page("plot"), re.MULTILINE)
    assert titles == ["Arguments", "Options", "Every command takes"]
    titles = re.findall(r"^╭─ (.*?) ─", page(), re.MULTILINE)
    assert titles == ["Options", "From images to figures", "What is there"]


def test_arguments_options_and_defaults(page):
    text = " ".join(page("plot", width=120).replace("│", " ").split())
    assert "* RUN... <list[str]> one run, or several [required]" in text
    assert "--format png|svg|pdf the files' format [default: png]" in text
    assert "--out <path> a folder [default: the run's own]" in text
    assert "--help -h <bool> Show this message and exit." in text


def test_colours_only_where_they_are_wanted(page, monkeypatch):
    plain = page("train")
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = page("train")
    assert "\x1b[1;36m--loss" in coloured
    assert COLOUR.sub("", coloured) == plain


def test_a_stdout_that_knows_no_boxes(page, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr(sys, "stdout", text)
    page()
    text.flush()
    said = text.buffer.getvalue().decode()
    assert "+- Options ---" in said
    assert "?" not in said
