"""What stands under the bar while a fit is under way: its last steps and its curve, or its folds so far.

Each board is told of what happened, and gives its lines for a screen of some width and height; colours are
ANSI's, which whoever shows them may leave out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from linclass_cli.show.tables import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from linclass_cli.learn.fit import Step

BLUE, ORANGE, DIM, PLAIN = "\x1b[34m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_STEPS = 5  # of the last ones that stand in the table
_CURVE = 6  # lines of the curve
_BAR = 2  # lines that the bar and the cursor take
# The dots of a braille letter, by row and column, as bits from U+2800 (Unicode 1.0, chapter 21.1).
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Board(Protocol):
    """Lines for a screen of ``width`` columns and ``height`` lines; never more, never wider."""

    def lines(self, width: int, height: int) -> list[str]: ...


class TrainBoard:
    """The last steps of one fit, and its accuracy against the steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)

    def lines(self, width: int, height: int) -> list[str]:
        if not self.steps:
            return []
        rows = [f"{'step':>6}  {'objective':>10}  {'train':>8}  {'validation':>10}"]
        for step in self.steps[-_STEPS:]:
            train, val = percent(step.train_accuracy), percent(step.val_accuracy)
            rows.append(f"{step.iteration:>6}  {step.objective:>10.5f}  {train:>8}  {val:>10}")
        rows = [f"{DIM}{rows[0][:width]}{PLAIN}", *(row[:width] for row in rows[1:])]
        if height >= len(rows) + _CURVE + 2 + _BAR and len(self.steps) > 3:
            rows += ["", *self._curve(width)]
        return rows[: max(0, height - _BAR)]

    def _curve(self, width: int) -> list[str]:
        steps = self.steps[1:]  # all weights zero, where it starts, would squeeze everything else
        train = [100 * step.train_accuracy for step in steps]
        val = [100 * step.val_accuracy for step in steps if step.val_accuracy is not None]
        series = [(train, ORANGE), (val, BLUE)] if val else [(train, ORANGE)]
        rows = chart(series, width - 9, _CURVE)
        low, high = min(train + val), max(train + val)
        names = f"{ORANGE}train{PLAIN}" + (f" {BLUE}validation{PLAIN}" if val else "")
        edge = [f"{high:>6.2f} %"[:8], *[" " * 8] * (_CURVE - 2), f"{low:>6.2f} %"[:8]]
        return [f"{left} {row}" for left, row in zip(edge, rows, strict=True)] + [f"{'':>8} {names}"]


class CvBoard:
    """The accuracy of every fold and strength, as far as it is known; strongest first, as it is solved."""

    def __init__(self, strengths: Sequence[float], folds: int) -> None:
        self.strengths = sorted(strengths, reverse=True)
        self.folds = folds
        self.title = ""
        self.now: float | None = None
        self._known: dict[float, dict[int, float]] = {}

    def begin(self, title: str) -> None:
        """Another cross-validation on the same board (the next outer fold of a nested one)."""
        if title != self.title:
            self.title = title
            self._known.clear()

    def set(self, l2: float, accuracy: dict[int, float]) -> None:
        """The accuracy of some folds with one strength."""
        self.now = l2
        self._known.setdefault(l2, {}).update(accuracy)

    def lines(self, width: int, height: int) -> list[str]:
        each = 11 + 7 * self.folds + 9 <= width  # otherwise the mean must do
        folds = [f"fold {fold + 1}" for fold in range(self.folds)] if each else ["folds"]
        head = f"{'l2':>9}  " + "".join(f"{name:>7}" for name in folds) + f"{'mean':>9}"
        rows = [f"{DIM}{head[:width]}{PLAIN}"]
        room = max(1, height - _BAR - 1 - bool(self.title))
        means = {l2: self._mean(l2) for l2 in self.strengths}
        whole = [l2 for l2 in self.strengths if len(self._of(l2)) == self.folds]
        best = max(whole, key=lambda l2: means[l2] or 0.0, default=None)
        for l2 in self._window(room):
            known = self._of(l2)
            cells = [
                f"{100 * known[fold]:>7.2f}" if fold in known else f"{'·':>7}" for fold in range(self.folds)
            ]
            if not each:
                cells = [f"{len(known)}/{self.folds}".rjust(7)]
            mean = means[l2]
            row = f"{l2:>9.3g}  {''.join(cells)}{'·' if mean is None else f'{100 * mean:.2f} %':>9}"
            row += " best" if l2 == best and len(row) + 5 <= width else ""
            rows.append(f"{BLUE}{row[:width]}{PLAIN}" if l2 == best else row[:width])
        return ([self.title[:width]] if self.title else []) + rows

    def _of(self, l2: float) -> dict[int, float]:
        return self._known.get(l2, {})

    def _mean(self, l2: float) -> float | None:
        known = self._of(l2)
        return sum(known.values()) / len(known) if known else None

    def _window(self, room: int) -> list[float]:
        """The strengths for which there is room, around the one that is under way."""
        at = self.strengths.index(self.now) if self.now in self.strengths else 0
        first = max(0, min(at - room // 2, len(self.strengths) - room))
        return self.strengths[first : first + room]


def chart(series: Sequence[tuple[Sequence[float], str]], width: int, height: int) -> list[str]:
    """Curves in braille letters, ``width`` columns and ``height`` lines, on one scale, each in its colour."""
    every = [value for values, _ in series for value in values]
    low, high = min(every), max(every)
    dots = [[0] * width for _ in range(height)]
    paint = [[""] * width for _ in range(height)]
    for values, colour in series:
        before: int | None = None
        for x in range(2 * width):
            at = x / max(1, 2 * width - 1) * (len(values) - 1)
            left = int(at)
            right = min(left + 1, len(values) - 1)
            value = values[left] + (values[right] - values[left]) * (at - left)
            y = round((high - value) / ((high - low) or 1.0) * (4 * height - 1))
            # Where it is steep, the dots between two columns belong to it, too.
            last = y if before is None else before
            for dot in range(min(y, last), max(y, last) + 1):
                dots[dot // 4][x // 2] |= _DOTS[dot % 4][x % 2]
                paint[dot // 4][x // 2] = colour
            before = y
    lines = []
    for row, colours in zip(dots, paint, strict=True):
        line, now = "", ""
        for bits, colour in zip(row, colours, strict=True):
            if bits and colour != now:
                line, now = line + colour, colour
            line += chr(0x2800 + bits) if bits else " "
        lines.append(line.rstrip() + (PLAIN if now else ""))
    return lines
