"""Where output goes, and what it looks like there: pipes, terminals of all kinds, readers who leave."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from PIL import Image

from tests.commands.test_line import FAST

LINCLASS = [sys.executable, "-m", "linclass_cli"]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working folder with a run in its cache."""
    place = tmp_path_factory.mktemp("screens")
    subprocess.run(
        [*LINCLASS, "train", *FAST, "--loss", "ridge", "--quiet"], cwd=place, check=True, env=clean()
    )
    return place


def clean(**more: str) -> dict[str, str]:
    dropped = ("LINCLASS_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)} | more


def on_a_terminal(folder: Path, columns: int, *arguments: str, code: int = 0, **environment: str) -> str:
    """What a command of linclass shows on a terminal of that width, both streams."""
    return shown_by(folder, columns, *LINCLASS, *arguments, code=code, **environment)


def shown_by(folder: Path, columns: int, *command: str, code: int = 0, **environment: str) -> str:
    """What any command shows there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen(command, cwd=folder, env=clean(**environment), **streams)
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way of saying that nobody holds the other end any more
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == code, shown
    return shown.decode()


@pytest.mark.parametrize(
    "arguments",
    [("runs", "list"), ("config", "show"), ("train", *FAST, "--loss", "ridge"), ("train", "--help")],
)
@pytest.mark.parametrize("columns", [60, 100])
def test_nothing_is_wider_than_the_terminal(folder, arguments, columns):
    shown = on_a_terminal(folder, columns, *arguments, TERM="xterm-256color")
    lines = ESCAPE.sub("", shown).replace("\r\n", "\n").replace("\r", "\n").splitlines()
    tables = [line for line in lines if arguments[0] != "train" or "--help" in arguments or "%" not in line]
    assert max(len(line) for line in tables) <= columns, shown


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1", "TERM": "xterm-256color"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("arguments", [("runs", "list"), ("train", "--help"), ("doctor",)])
def test_no_colours_where_none_are_wanted(folder, variable, arguments):
    assert "\x1b" not in on_a_terminal(folder, 80, *arguments, **variable)


@pytest.mark.parametrize("command", [("train",), ("cv", "--folds", "2", "--l2", "0.1,1")])
def test_a_live_table_without_colours_is_plain(folder, command):
    """Rich would leave out colours and keep what is bold or dim; the cursor moves all the same."""
    shown = on_a_terminal(folder, 80, *command, *FAST, TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[2K" in shown
    assert not re.search(r"\x1b\[[0-9;]*m", shown)


def test_progress_on_a_dumb_terminal_moves_no_cursor(folder):
    options = (*FAST, "--solver", "sgd", "--epochs", "3")
    shown = on_a_terminal(folder, 80, "train", *options, TERM="dumb")
    assert "\x1b" not in shown
    assert "validation" in shown


def test_a_line_of_facts_is_broken_between_words(folder):
    """Numbers keep their percent sign, and parentheses their end."""
    shown = on_a_terminal(folder, 40, "evaluate", "run1", TERM="xterm-256color")
    lines = [line.rstrip() for line in ESCAPE.sub("", shown).splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("  accuracy"))
    assert re.fullmatch(r"  accuracy +\d+\.\d\d %", lines[at])
    assert re.fullmatch(r" +\(95 %: \d+\.\d\d to \d+\.\d\d %\)", lines[at + 1])
    assert not [line for line in lines if line.lstrip().startswith(("%", ")"))]


def test_an_error_is_broken_between_words_and_its_command_nowhere(folder):
    shown = on_a_terminal(folder, 50, "plot", "rum1", code=4, TERM="xterm-256color")
    assert shown.splitlines() == [
        "error: no run rum1 in cache/runs; did you mean",
        "run1?; `linclass runs list` shows those that are",
    ]
    narrow = on_a_terminal(folder, 26, "plot", "rum1", code=4, TERM="xterm-256color")
    assert "`linclass runs list`" in narrow


def test_a_table_in_a_pipe_ends_its_lines_where_the_words_end(folder):
    done = subprocess.run(
        [*LINCLASS, "config", "show"], cwd=folder, env=clean(), capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line != line.rstrip()]
    assert max(len(line) for line in lines if "cv.l2" not in line and "─" not in line) < 60


def test_help_has_colours_on_a_terminal_that_shows_them(folder):
    assert "\x1b[1;36m--loss" in on_a_terminal(folder, 80, "train", "--help", TERM="xterm-256color")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", *FAST, "--loss", "ridge"),
        ("cv", *FAST, "--folds", "2", "--l2", "0.1,1"),
    ],
)
def test_in_a_pipe_stdout_has_the_result_and_nothing_else(folder, arguments):
    done = subprocess.run([*LINCLASS, *arguments], cwd=folder, env=clean(), capture_output=True, text=True)
    assert done.returncode == 0
    assert not ESCAPE.search(done.stdout + done.stderr)
    assert "\r" not in done.stdout + done.stderr
    with_json = subprocess.run(
        [*LINCLASS, *arguments, "--json"], cwd=folder, env=clean(), capture_output=True, text=True
    )
    assert len(with_json.stdout.splitlines()) == 1
    assert isinstance(json.loads(with_json.stdout), dict)


@pytest.mark.parametrize("reader", ["true", "head -1"])
@pytest.mark.parametrize("command", ["config show", "runs list --json", "train --help", "--help"])
def test_a_reader_who_leaves_is_no_error(folder, command, reader):
    line = f'"{sys.executable}" -m linclass_cli {command} | {reader}; echo "${{PIPESTATUS[0]}}" >&2'
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=clean(), capture_output=True, text=True)
    assert done.stderr.strip() in ("0", "141")


@pytest.mark.parametrize("reader", ["cat", "head -1"])
def test_no_bar_stands_among_the_rows_that_a_reader_shows(folder, reader):
    Image.new("L", (16, 16)).save(folder / "a.png")
    subprocess.run([*LINCLASS, "predict", "run1", "a.png"], cwd=folder, env=clean(), check=True)
    line = f'"{sys.executable}" -m linclass_cli predict run1 a.png | {reader}'
    shown = shown_by(folder, 80, "bash", "-c", line, TERM="xterm-256color")
    assert shown.startswith("path,label,probability\r\n")
    assert "\x1b" not in shown
    # The reader of a file is none: there is a bar.
    line = f'"{sys.executable}" -m linclass_cli predict run1 a.png > rows.csv'
    assert "\x1b[2K" in shown_by(folder, 80, "bash", "-c", line, TERM="xterm-256color")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_behind_stdout_is_said(folder):
    with Path("/dev/full").open("w") as full:
        streams = {"stdout": full, "stderr": subprocess.PIPE}
        done = subprocess.run([*LINCLASS, "runs", "list"], cwd=folder, env=clean(), text=True, **streams)
    assert done.returncode == 6
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
