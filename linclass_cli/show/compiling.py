"""Compilation, on stderr: that it happens, so that nobody wonders at the first run, and how long it took."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from linclass_cli.compilation import COMPILATION
from linclass_cli.show.tables import notice, seconds


@contextlib.contextmanager
def compiling_shown(quiet: bool = False) -> Iterator[None]:
    """A line when the block begins to compile, and one at its end; none where every kernel is there.

    A block inside another adds nothing: the outer one tells.
    """
    if quiet or COMPILATION.begins is not None:
        yield
        return
    kernels, spent = COMPILATION.compiled, COMPILATION.seconds
    said = False

    def begins() -> None:
        nonlocal said
        if not said:
            said = True
            notice("compiling kernels, once on this machine (ahead of time: `linclass warmup`) …")

    COMPILATION.begins = begins
    try:
        yield
    finally:
        COMPILATION.begins = None
    if said:
        took = seconds(COMPILATION.seconds - spent)
        lost = f"; the next run will compile again: {COMPILATION.lost}" if COMPILATION.lost else ""
        notice(f"compiled {count_kernels(COMPILATION.compiled - kernels)} in {took}{lost}")


def count_kernels(number: int) -> str:
    return f"{number} kernel" + ("" if number == 1 else "s")
