"""Real commands, killed at random moments one after the other in the same folder; then all of them are run.

A few kills as a rule, two hundred with ``-m slow_faults``.
"""

from __future__ import annotations

import shutil
import subprocess
import time

import numpy as np
import pytest

from tests.faults.bench import Bench
from tests.faults.children import end, start
from tests.faults.forge import SETTINGS, temporaries, tree, verify
from tests.faults.tally import tried
from tests.tiers import slow

HOG = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
COMMANDS = [
    ("import", "{sources}/other", "--name", "new", "--size", "8", "--force"),
    ("import", "{sources}/vectors.npz", "--name", "dots", "--force"),
    ("download", "tiny", "--from", "{sources}/members"),
    ("extract", *HOG, "--force"),
    ("train", *HOG, "--loss", "softmax", "--solver", "sgd", "--epochs", "30"),
    ("train", *SETTINGS, "--name", "named"),
    ("cv", *HOG, "--folds", "3", "--l2", "0.1,1"),
    ("plot", "old", "--kind", "confusion", "--out", "figures"),
    ("report", "old", "--out", "report.html"),
    ("export", "old", "--format", "npz", "--out", "model"),
    ("predict", "pets", "{sources}/pictures", "--out", "labels.csv"),
    ("runs", "remove", "pets", "--yes"),
    ("cache", "clean", "--yes"),
]
MADE = ("cache/datasets/new/", "cache/datasets/dots/", "cache/features/textures-hog", "model/", "figures/")


REGISTER = "from tests.faults.server import register; register('http://127.0.0.1:9/'); "


def kill_some(bench: Bench, kills: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    commands = [[one.format(sources=bench.sources) for one in command] for command in COMMANDS]
    reference, folder = bench.copy(), bench.copy()
    for command in commands:
        assert bench.forge.run(reference, *command).code == 0, command

    began = time.monotonic()
    assert end(start(folder, *commands[-1]))[0] == 0
    short = time.monotonic() - began  # what a command takes that has little to do
    killed = 0
    while killed < kills:
        command = commands[rng.integers(len(commands))]
        process = start(folder, *command, before=REGISTER if command[0] == "download" else "")
        try:
            process.communicate(timeout=rng.uniform(0.4, 1.8) * short)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        else:
            assert process.returncode in (0, 3, 4), command  # a name that is taken, a run that is gone
        verify(folder)

    for command in commands:
        result = bench.forge.run(folder, *command)
        assert result.code in (0, 3, 4), (command, result)
    verify(folder)
    assert not temporaries(folder)
    made = [
        {name: content for name, content in tree(one).items() if name.startswith(MADE)}
        for one in (reference, folder)
    ]
    assert made[0] == made[1]
    tried("kill -9 at a random moment", kills)
    for one in (reference, folder):
        shutil.rmtree(one)


@slow
def test_a_few_kills(bench: Bench):
    kill_some(bench, 10, seed=0)


@pytest.mark.slow_faults
def test_two_hundred_kills(bench: Bench):
    kill_some(bench, 200, seed=1)
