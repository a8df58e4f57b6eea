"""``accuracy``: test accuracy against seconds on CIFAR-10, of every preset and of what one writes by hand.

Each entry is whole processes, from start to end, with a cold feature store: read, extract, fit, test. The
settings are the presets'; they were chosen on the training part, and the test part is looked at once a seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data import has_cifar
from benchmarks.measure import EntryError, note, summarise
from benchmarks.options import Options
from benchmarks.processes import ROOT, linclass_command
from benchmarks.report import Entry, Group, Report

# What is shown, and the arguments of train.
OURS: dict[str, list[str]] = {
    "linclass train --val-fraction 0": ["--val-fraction", "0"],
    "linclass train --preset hog-best": ["--preset", "hog-best"],
    "linclass train --preset patches-fast": ["--preset", "patches-fast"],
    "linclass train --preset patches": ["--preset", "patches"],
    "linclass train --preset patches-best": ["--preset", "patches-best"],
}
PEERS = {
    "pixels, scikit-learn LogisticRegression": "pixels",
    "scikit-image hog, scikit-learn LinearSVC": "hog",
}
LEARNING = ("patches",)  # whose dictionary has a seed, too


def run(options: Options) -> Report:
    """One seed; ``--rounds 3``: the seeds 0, 1 and 2, of linclass's entries."""
    if not has_cifar(options.cache_dir):
        raise SystemExit(
            f"accuracy is asked of the real CIFAR-10, and there is none in {options.cache_dir}: "
            "linclass download cifar10 --cache-dir DIR, then --data DIR"
        )
    rounds = options.rounds or 1
    report = Report("accuracy", "CIFAR-10, 50,000 training and 10,000 test images", options.quick, rounds)
    group = Group("the whole way: read, extract, fit, test", base=next(iter(OURS)), ratio="time/train's")
    for name, peer in PEERS.items():
        if options.wants_entry(name) and not options.quick:
            command = [sys.executable, "-m", "benchmarks.accuracy_peer", peer, str(options.cache_dir)]
            group.entries.append(_measure(name, lambda _, command=command: _once(command), 1))
    for name, arguments in OURS.items():
        if options.wants_entry(name) and (not options.quick or name == group.base):
            entry = _measure(name, lambda seed, a=arguments: _train(a, seed, options.cache_dir), rounds)
            entry.ours = True
            group.entries.append(entry)
    base = next((e.timing for e in group.entries if e.name == group.base), None)
    for entry in group.entries:
        entry.ratio = entry.timing.median / base.median if entry.timing and base else None
    report.add(group)
    report.notes.append("kernels were compiled before; accuracy is the mean over the seeds")
    return report


def _measure(name: str, once: Any, rounds: int) -> Entry:
    entry, seconds, accuracies = Entry(name), [], []
    for seed in range(rounds):
        note(f"{name}, seed {seed}")
        began = time.perf_counter()
        try:
            accuracies.append(once(seed)["test_accuracy"])
        except EntryError as error:
            entry.error = str(error)
            break
        seconds.append(time.perf_counter() - began)
        note(f"  {accuracies[-1]:.4f} in {seconds[-1]:.1f} s")
    entry.timing = summarise(seconds)
    if accuracies:
        entry.accuracy = sum(accuracies) / len(accuracies)
        entry.remark = "seeds: " + " ".join(f"{100 * a:.2f}" for a in accuracies) if rounds > 1 else ""
    return entry


def _train(arguments: list[str], seed: int, cache: Path) -> dict[str, Any]:
    """``linclass train`` in a cache folder of its own, with the datasets of the given one."""
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        (Path(folder) / "datasets").symlink_to(cache / "datasets", target_is_directory=True)
        more = ["--seed", str(seed)]
        if any(word in argument for argument in arguments for word in LEARNING):
            more += ["--dictionary-seed", str(seed)]
        command = [
            *linclass_command(),
            "train",
            *arguments,
            *more,
            "--cache-dir",
            folder,
            "--json",
            "--quiet",
        ]
        return _once(command)


def _once(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise EntryError(f"exit code {done.returncode}: {' '.join(last)[:200]}")
    found: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return found
