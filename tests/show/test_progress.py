from __future__ import annotations

import io
import sys

import pytest

from linclass_cli.show import progress as module
from linclass_cli.show.progress import follow, progress
from linclass_cli.show.tables import print_table


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_off_a_terminal_a_plain_line_every_few_seconds(clock, capsys):
    with progress("extract hog", "images") as advance:
        for done in range(1, 13):
            clock.now += 1
            advance(1000 * done, 20_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "extract hog: 5,000/20,000 images, 1,000/s, 15 s left",
        "extract hog: 10,000/20,000 images, 1,000/s, 10 s left",
    ]


def test_bytes_are_shown_as_megabytes(clock, capsys):
    with progress("download x", "bytes") as advance:
        clock.now += 10
        advance(5_000_000, None, "from a mirror")
    assert capsys.readouterr().err == "download x: 5.0 MB, 0.5 MB/s  from a mirror\n"


def test_quiet_says_nothing(clock, capsys):
    with progress("x", "images", quiet=True) as advance:
        clock.now += 60
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_in_a_terminal_a_live_bar_on_stderr(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("train [softmax]", "steps") as advance:
        advance(3, 4, "val 51 %")
    assert "train [softmax]" in terminal.getvalue()
    assert "3/4 steps" in terminal.getvalue()


def test_follow_shows_each_and_gives_the_result():
    def steps():
        yield 1
        yield 2
        return "end"

    seen = []
    assert follow(steps(), seen.append) == "end"
    assert seen == [1, 2]


def test_tables_do_not_read_markup_in_what_they_show(capsys):
    print_table(["name", "n"], [["[red]x[/red]", "1.5"]])
    assert "[red]x[/red]" in capsys.readouterr().out
