"""Taking turns, statistics of what was measured, and what it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

THREADS = 2  # of linclass, of numpy and of every peer that can use more than one
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PACKAGES = (
    *("linclass", "numpy", "scipy", "numba", "h5py", "typer", "scikit-image", "scikit-learn"),
    *("liblinear-official", "scikit-learn-intelex", "torch", "snapml", "vowpalwabbit"),
)


class EntryError(Exception):
    """An entry could not be measured: not installed, failed, died, or too slow."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the n timed calls of an entry."""

    median: float
    low: float
    high: float
    n: int


@dataclass
class Samples:
    """What the turns of one entry took; ``error`` says why it left, if it did."""

    seconds: list[float] = field(default_factory=list)
    error: str | None = None


def summarise(seconds: list[float]) -> Timing | None:
    """Median, minimum, maximum and number; None where there is nothing."""
    if not seconds:
        return None
    return Timing(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def alternate(
    calls: Mapping[str, Callable[[], float]], rounds: int, budget: float = 120.0, pause: float = 0.2
) -> dict[str, Samples]:
    """Let every call take its turn, ``rounds`` times over: A B C A B C …; each returns the seconds it took.

    An entry that has used up ``budget`` seconds, or would with one turn more, misses the rounds that
    are left: its n says so. One that raises EntryError leaves. ``pause``: seconds between turns, for threads
    of the one before to stop spinning.
    """
    samples = {name: Samples() for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            mine = samples[name]
            spent = sum(mine.seconds)
            if mine.error or (turn and spent + spent / turn > budget):
                continue
            time.sleep(pause)
            try:
                mine.seconds.append(call())
            except EntryError as error:
                mine.error = str(error)
    return samples


def exponent(sizes: list[float], values: list[float]) -> float:
    """The slope of log(value) over log(size), by least squares: 1 is linear growth."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def limit_threads() -> None:
    """Set what the thread pools of the worker processes will read when they start."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(THREADS)


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and system, as the operating system tells them."""
    from linclass_cli.threads import available

    model, flags = platform.processor() or platform.machine(), set()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "processor": model,
        "vector": next((name for name in ("avx512f", "avx2", "avx", "sse4_2") if name in flags), None),
        "cores": available(),
        "memory_gb": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str | None]:
    """The version of Python and of every package that takes part; None: not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def note(text: str) -> None:
    """A line of progress, on stderr: stdout is for the result."""
    print(f"  … {text}", file=sys.stderr, flush=True)
