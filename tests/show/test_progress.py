from __future__ import annotations

import io
import sys

import pytest

from linclass_cli.show import progress as module
from linclass_cli.show.progress import follow, progress
from linclass_cli.show.tables import print_table
from tests.show.conftest import on_a_terminal


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
        advance(100_000_000, None, phase="from a mirror")
        clock.now += 10
        advance(105_000_000, 110_000_000, phase="from a mirror")
    # What was there before the transfer began says nothing of its speed.
    want = "download x: 105.0/110.0 MB, 0.5 MB/s, 10 s left  from a mirror\n"
    assert capsys.readouterr().err == want


def test_a_reader_that_has_left_stops_nothing(clock, monkeypatch):
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    with progress("x", "images") as advance:
        clock.now += 60
        advance(1, 2)
    monkeypatch.setattr(sys, "stderr", None)
    with progress("x", "images") as advance:
        clock.now += 60
        advance(1, 2)


def test_quiet_says_nothing(clock, capsys):
    with progress("x", "images", quiet=True) as advance:
        clock.now += 60
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_in_a_terminal_a_live_bar_on_stderr(monkeypatch):
    terminal = on_a_terminal(monkeypatch, 100)
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
