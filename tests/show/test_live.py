"""What a terminal shows under the bar: it fits, and says what happened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from linclass_cli.commands.fitting import Saved
from linclass_cli.commands.train import show_train
from linclass_cli.learn.fit import Step
from linclass_cli.show.live import CvBoard, TrainBoard, chart
from linclass_cli.show.progress import progress
from tests.show.conftest import on_a_terminal

SIZES = [(80, 24), (60, 20), (40, 10), (20, 5)]


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[\d+m", "", line) for line in lines]


def trained(count: int, val: bool = True) -> TrainBoard:
    board = TrainBoard()
    for i in range(count):
        accuracy = i / (i + 1)
        board.add(Step(i, 2.3 / (i + 1), 0.1, 2.0, accuracy, 1.0, accuracy / 2 if val else None, 0.1))
    return board


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", [0, 1, 4, 2000])
def test_the_board_of_a_fit_fits_the_screen(width, height, count):
    lines = plain(trained(count).lines(width, height))
    assert len(lines) <= height - 2
    assert all(len(line) <= width for line in lines)


def test_the_last_steps_and_the_curve_are_shown():
    lines = plain(trained(30).lines(80, 24))
    assert lines[0].split() == ["step", "objective", "train", "validation"]
    assert lines[5].split() == ["29", "0.07667", "96.67", "%", "48.33", "%"]
    assert lines[7].split()[0] == "96.67"
    assert lines[12].split()[0] == "25.00"  # the start is left out
    assert "–" in plain(trained(3, val=False).lines(80, 24))[3]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("folds", "count"), [(5, 9), (20, 100), (3, 1)])
def test_the_board_of_folds_fits_the_screen(width, height, folds, count):
    board = CvBoard([10.0**-i for i in range(count)], folds)
    board.begin("inside outer fold 2 of 5")
    for i in range(count):
        board.set(10.0**-i, dict.fromkeys(range(folds), 0.5))
        lines = plain(board.lines(width, height))
        assert len(lines) <= height - 2
        assert all(len(line) <= width for line in lines)
        assert f"{10.0**-i:.3g}" in "\n".join(lines)


def test_the_folds_and_the_best_mean_are_shown():
    board = CvBoard([0.1, 1.0], 2)
    board.set(1.0, {0: 0.5, 1: 0.6})
    board.set(0.1, {0: 0.9})
    lines = plain(board.lines(60, 20))
    assert lines[0].split() == ["l2", "fold", "1", "fold", "2", "mean"]
    assert lines[1].split() == ["1", "50.00", "60.00", "55.00", "%", "best"]
    assert lines[2].split() == ["0.1", "90.00", "·", "90.00", "%"]
    board.begin("inside outer fold 2 of 5")
    assert "90.00" not in "\n".join(plain(board.lines(60, 20)))


def test_a_chart_goes_from_its_lowest_to_its_highest():
    rising = plain(chart([([0, 1, 2, 3], "\x1b[34m")], 10, 4))
    assert [len(line) for line in rising] == [10, 8, 6, 3]
    assert rising[3][0] != " "
    level = plain(chart([([1, 1, 1], "")], 5, 3))
    assert level == ["⠉⠉⠉⠉⠉", "", ""]


def test_a_board_stands_under_the_bar_and_not_in_a_pipe(monkeypatch, capsys):
    board = trained(5)
    with progress("train softmax", "steps", board=board) as advance:
        advance(3, 4, "val 51 %")
    assert capsys.readouterr() == ("", "")
    terminal = on_a_terminal(monkeypatch, 60)
    with progress("train softmax", "steps", board=board) as advance:
        advance(3, 4, "val 51 %")
    assert "validation" in terminal.getvalue()
    assert "val 51 %" not in terminal.getvalue()


def test_the_final_table_of_a_fit_fits_sixty_columns(capsys):
    accuracies = {f"{part}_accuracy": 0.51234 for part in ("train", "val", "test")}
    numbers = {"n_train": 40_000, "n_val": 10_000, "n_test": 10_000, "best_step": 3, "steps": 6}
    solved = {"objective": 1.375832, "gap_bound": 1.234e-7, "converged": True, "seconds": 1.0}
    solved |= {"temperature": 1.234}
    metrics = {"loss": "squared-hinge", "solver": "newton", "l2": 3.16e-05, **accuracies, **numbers, **solved}
    show_train(Saved("run1", Path("cache/runs/run1"), metrics, []), "", "hog")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert lines[-1] == "next: linclass plot run1"
