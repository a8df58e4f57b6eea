"""``python -m benchmarks.disk FILE``: passes over features in memory, in the page cache and from the disk.

A pass is one loss and gradient (softmax, k classes) over the first ``--rows`` of the training part. From the
disk, the file's pages are dropped before every pass, and before every plain read of the same bytes, with
which the disk's speed is measured. The ways take turns; medians, least and most are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.feature_header import place_dtype
from linclass_cli.learn.objective import Part, Problem, objective
from linclass_cli.learn.scaling import Scaling
from linclass_cli.on_disk import OnDisk
from linclass_cli.store import read_header
from linclass_cli.threads import use_threads

_READ = 8 << 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disk")
    parser.add_argument("file", type=Path, help="a feature file, as `linclass cache info` lists them")
    parser.add_argument("--rows", type=int, default=1 << 40, help="of its training part, at most")
    parser.add_argument("--classes", type=int, default=10, help="scores of a row (10)")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    header = read_header(given.file)
    if header is None:
        raise SystemExit(f"{given.file} is no feature file")
    place = header["places"]["train/features"]
    n, d = min(given.rows, place["shape"][0]), place["shape"][1]
    stored = OnDisk(given.file, place["offset"], (n, d), place_dtype(place))
    mapped = np.memmap(given.file, stored.dtype, "c", stored.offset, (n, d))
    y, size = np.arange(n) % given.classes, n * stored.width
    print(f"{n:,} x {d} {stored.dtype}, {size / 1e9:.2f} GB, {given.classes} classes")

    def over(X: Any) -> Callable[[], object]:
        part = Part(X, np.arange(n), y, Scaling(np.zeros(d), np.ones(d)))
        W = np.random.default_rng(0).normal(0, 1e-3, (given.classes, d))
        problem = Problem(part, "softmax", 1e-3, given.classes)
        return lambda: objective(problem, W, np.zeros(given.classes))

    def read() -> None:
        buffer = bytearray(_READ)
        with given.file.open("rb", buffering=0) as file:
            file.seek(stored.offset)
            left = size
            while left > 0:
                left -= file.readinto(memoryview(buffer)[: min(_READ, left)]) or left

    def dropped(action: Callable[[], object]) -> Callable[[], object]:
        def act() -> object:
            return action()

        act.before = lambda: drop(given.file)  # type: ignore[attr-defined]
        return act

    with use_threads(0):
        array = np.array(mapped)
        cached = {
            "an array": over(array),
            "the map": over(np.asarray(mapped)),
            "read in pieces": over(stored),
        }
        turns("in the page cache", cached, given.rounds, size)
        del cached, array, mapped  # pages that are mapped are not dropped
        cold = {"a plain read": dropped(read), "a pass, read in pieces": dropped(over(stored))}
        turns("from the disk", cold, given.rounds, size)


def drop(path: Path) -> None:
    """Have no page of the file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def turns(what: str, ways: dict[str, Callable[[], object]], rounds: int, size: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            getattr(way, "before", lambda: None)()
            began = time.perf_counter()
            way()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - began)
    first = statistics.median(next(iter(seconds.values())))
    print(what)
    for name, found in seconds.items():
        middle = statistics.median(found)
        spread = f"{min(found):.3f} to {max(found):.3f}"
        print(f"  {name}: {middle:.3f} s ({spread}), {size / 1e9 / middle:.2f} GB/s, {middle / first:.2f} x")


if __name__ == "__main__":
    main()
