"""Many calls, many runs, many files, many rows: neither memory nor handles, threads or time a call grow.

Each load has a process of its own, which measures itself after the first half and after the second. The
numbers here are the default's; those behind the marker are the ones that linclass promises.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.children import PACKAGE
from tests.tiers import slow, slow_faults

FEATURE = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2", "--quiet")
MB = 1000  # kB

MEASURE = """
import json, os, sys, time
import numpy as np
from linclass_cli.entry import main

real = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

def linclass(*command):
    sys.argv = ["linclass", *map(str, command)]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)

def measure():
    found = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {
        "memory": int(found["RssAnon"].split()[0]),
        "peak": int(found["VmHWM"].split()[0]),
        "threads": int(found["Threads"]),
        "handles": len(os.listdir("/proc/self/fd")),
    }

def halves(n, call):
    call(0)  # what is loaded once is loaded
    first = measure()
    for half in range(2):
        began = time.perf_counter()
        for i in range(n // 2):
            call(half * (n // 2) + i + 1)
        seconds = time.perf_counter() - began
        yield {**measure(), "seconds": seconds, "before": first}

def tell(found):
    print(json.dumps(found), file=real, flush=True)
"""

PICTURES = """
from PIL import Image
rng = np.random.default_rng(0)
def pictures(folder, n, size=(16, 16, 3)):
    os.makedirs(folder, exist_ok=True)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(f"{folder}/{i:05}.png")
"""


def load(folder: Path, script: str) -> Any:
    """What a process tells that runs the lines in a folder."""
    process = subprocess.run(
        [sys.executable, "-c", MEASURE + PICTURES + script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        text=True,
        capture_output=True,
        timeout=3000,
    )
    assert process.returncode == 0, process.stderr
    print(process.stdout)  # the figures, with -s
    return json.loads(process.stdout)


def assert_steady(halves: list[dict[str, Any]], memory: int = 4 * MB) -> None:
    """The second half leaves what the first has left; ``memory``: kB that may come on top."""
    first, second = halves
    assert second["handles"] == first["handles"]
    assert second["threads"] <= first["threads"] + 2  # which may be about to end
    assert second["memory"] <= first["memory"] + memory
    assert second["seconds"] <= 2.5 * first["seconds"] + 0.5  # others work on the machine, too


@pytest.mark.parametrize("n", [pytest.param(200, marks=slow), pytest.param(1000, marks=slow_faults)])
def test_predict_again_and_again(tmp_path, n):
    script = f"""
linclass("train", "--loss", "ridge", "--name", "r", *{FEATURE})
pictures("photos", 3)
tell(list(halves({n}, lambda i: linclass("predict", "r", "photos"))))
"""
    assert_steady(load(tmp_path, script))


@slow_faults
def test_a_thousand_processes_that_predict(tmp_path):
    script = f"""
import subprocess
linclass("train", "--loss", "ridge", "--name", "r", *{FEATURE})
pictures("photos", 3)
command = [sys.executable, "-m", "linclass_cli", "predict", "r", "photos"]
def files():
    return sum(len(names) for _, _, names in os.walk("."))
there = files()
found = list(halves(1000, lambda i: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)))
tell([found, there, files()])
"""
    halves, before, after = load(tmp_path, script)
    assert_steady(halves)
    assert after == before


@pytest.mark.parametrize("n", [pytest.param(40, marks=slow), pytest.param(100, marks=slow_faults)])
def test_many_runs(tmp_path, n):
    """Of trainings one after the other, the last is as the first; a list takes time by the run."""
    script = f"""
train = ("train", "--loss", "ridge", *{FEATURE})
trained = list(halves({n}, lambda i: linclass(*train)))
listed = list(halves(10, lambda i: linclass("runs", "list", "--json")))
tell([trained, listed, len(os.listdir("cache/runs"))])
"""
    trained, listed, runs = load(tmp_path, script)
    assert runs == n + 1
    assert_steady(trained)
    assert_steady(listed)
    assert listed[1]["seconds"] / 5 < 2 + 0.05 * n  # 3 ms a run were measured


@pytest.mark.parametrize("n", [pytest.param(2000, marks=slow), pytest.param(10_000, marks=slow_faults)])
def test_many_files_in_a_folder(tmp_path, n):
    """Predicted and imported: memory is that of a batch, whatever their number."""
    script = f"""
linclass("train", "--loss", "ridge", "--name", "r", *{FEATURE})
pictures("photos/a", {n} // 2)
pictures("photos/b", {n} // 2)
predicted = list(halves(2, lambda i: linclass("predict", "r", "photos", "--out", "labels.csv")))
rows = sum(1 for line in open("labels.csv")) - 1
before = measure()
imported = list(halves(2, lambda i: linclass("import", "photos", "--name", "mine", "--force")))
tell([predicted, rows, before, imported])
"""
    predicted, rows, before, imported = load(tmp_path, script)
    assert rows == n
    assert_steady(predicted)
    assert_steady(imported, 10 * MB)  # what Pillow's threads leave varies by some MB, and stays there
    # Of a picture its name, its label, its digest and what the look at it has told.
    assert imported[1]["peak"] - before["peak"] <= 20 * MB + 3 * n


@pytest.mark.parametrize("n", [pytest.param(100_000, marks=slow), pytest.param(1_000_000, marks=slow_faults)])
def test_many_rows_of_features(tmp_path, n):
    script = f"""
y = rng.integers(0, 3, {n})
X = (rng.normal(size=({n}, 4)) + y[:, None] * [1, 0, -1, 0]).astype(np.float32)
np.savez("points.npz", X=X, y=y)
del X, y
before = measure()
linclass("import", "points.npz", "--name", "points")
imported = measure()
trained = list(halves(2, lambda i: linclass("train", "--data", "points", "--quiet")))
folds = ("--folds", "3", "--l2", "0.1,1")
crossed = list(halves(2, lambda i: linclass("cv", "--data", "points", *folds, "--quiet")))
tell([before, imported, trained, crossed])
"""
    before, imported, trained, crossed = load(tmp_path, script)
    assert_steady(trained)
    assert_steady(crossed)
    # A row has 16 bytes; the rest is label and digest of an import, numbers and curvatures of a fit.
    assert imported["peak"] - before["peak"] <= 60 * MB + 0.6 * n
    assert crossed[1]["peak"] - before["peak"] <= 150 * MB + 0.6 * n
