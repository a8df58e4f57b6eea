"""Predictions as text: CSV for tables, JSON lines for scripts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from linclass_cli.predicting.sources import Failed
from linclass_cli.predicting.stream import Batch


def header(file_format: str, top: int) -> str:
    """What stands before the first row; ``top`` classes a row."""
    if file_format == "jsonl":
        return ""
    more = [f"{name}_{i}" for i in range(2, top + 1) for name in ("label", "probability")]
    return ",".join(["path", "label", "probability", *more]) + "\n"


def make_writer(file_format: str, classes: tuple[str, ...], in_row: int) -> Callable[[Batch], str]:
    """A function from a batch to its rows; ``in_row``: classes in a row of CSV."""
    if file_format == "csv":
        return lambda batch: _csv(batch, classes, in_row)
    names = [json.dumps(name) for name in classes]
    return lambda batch: _json_lines(batch, names)


def _csv(batch: Batch, classes: tuple[str, ...], in_row: int) -> str:
    """Rows of path, label, probability, and so on; after a path that failed the rest is empty."""
    names = np.array(classes, object)
    columns: list[list[Any]] = []
    for place in range(in_row):
        columns.append(names[batch.labels[:, place]].tolist())
        p = batch.probabilities
        columns.append([""] * len(batch.labels) if p is None else [f"{x:.6g}" for x in p[:, place].tolist()])
    cells = zip(*columns, strict=True)
    empty = ("",) * len(columns)
    text = io.StringIO()
    # A return alone is no line end to the writer, and is one to those who read.
    returns = any("\r" in (path.path if isinstance(path, Failed) else path) for path in batch.paths)
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerows(
        (path.path, *empty) if isinstance(path, Failed) else (path, *next(cells)) for path in batch.paths
    )
    return text.getvalue()


def _json_lines(batch: Batch, names: list[str]) -> str:
    """Objects as ``json.dumps`` writes them; put together by hand, which takes a quarter of its time."""
    lines = []
    for path, cells in _rows(batch):
        if isinstance(path, Failed):
            lines.append(json.dumps({"path": path.path, "error": path.error}))
            continue
        assert cells is not None
        top = ", ".join(
            f'{{"label": {names[label]}, "probability": {_number(p)}, "score": {score:.6g}}}'
            for label, score, p in cells
        )
        label, _, p = cells[0]
        start = f'{{"path": {json.dumps(path)}, "label": {names[label]}, "probability": {_number(p)}'
        lines.append(f'{start}, "top": [{top}]}}')
    return "".join(line + "\n" for line in lines)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"


def _rows(batch: Batch) -> Iterator[tuple[str | Failed, list[tuple[int, float, float | None]] | None]]:
    labels, scores = batch.labels.tolist(), batch.scores.tolist()
    p = batch.probabilities
    chances = [[None] * len(row) for row in labels] if p is None else p.tolist()
    at = 0
    for path in batch.paths:
        if isinstance(path, Failed):
            yield path, None
        else:
            yield path, list(zip(labels[at], scores[at], chances[at], strict=True))
            at += 1
