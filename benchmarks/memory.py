"""``python -m benchmarks.memory``: every command on features that are ten times a real limit of memory.

The features are made so that the optimum is known: with H a Hadamard matrix, d a power of two, an image of
group j has the features H[j], and every group has as many images of the classes j, j + 1, … as ``SHARES``
say. In W H the objective falls apart into one problem of k scores for each group, all alike but for a shift,
whose biases are zero by symmetry: the optimum is that of k numbers, found to the last digit. One more
feature, the same for all groups of a turn, tells the turns apart; by symmetry its weights are zero.

The limit is of address space (``ulimit -v``), which counts everything; beside it ``--memory`` says the same
to linclass. Only the import has none. Needs four times the size of the features of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SHARES = (9, 3, 2, 1, 1, 0, 0, 0)  # images of a group, by classes from its own on
K = len(SHARES)
L2 = 1e-3
_ROWS = 4096  # made at a time
_UNITS = {"M": 1 << 20, "G": 1 << 30}


def hadamard(d: int) -> Array:
    """Sylvester's, float32 (d, d): rows of +-1, orthogonal."""
    H = np.ones((1, 1), np.float32)
    while len(H) < d:
        H = np.block([[H, H], [H, -H]])
    return H


def optimum() -> float:
    """The least of mean(loss) + l2/2 ||W||^2 over all images, by Newton's method on one group's scores.

    ||W||^2 is the sum over the d groups of ||W H[j]||^2 / d: each adds 1/d of cross entropy + l2/2 ||s||^2.
    """
    shares, s = np.array(SHARES) / sum(SHARES), np.zeros(K)
    for _ in range(100):
        p = np.exp(s - s.max())
        p /= p.sum()
        hessian = np.diag(p) - np.outer(p, p) + L2 * np.eye(K)
        s -= np.linalg.solve(hessian, p - shares + L2 * s)
    p = np.exp(s - s.max())
    return float(-(shares * np.log(p / p.sum())).sum() + L2 / 2 * s @ s)


def write_vectors(folder: Path, size: int, d: int) -> int:
    """vectors.h5 of about so many bytes, in a shuffled order, and test.npy; the training rows."""
    import h5py

    of_group, H, rng = sum(SHARES), hadamard(d), np.random.default_rng(0)
    turns = max(1, size // (4 * (d + 1) * d * of_group))
    classes, marks = np.repeat(np.arange(K), SHARES), rng.uniform(-1, 1, turns + 1)

    def rows(which: Array) -> tuple[Array, Array]:
        turn, place = np.divmod(which, d * of_group)
        group, label = np.divmod(place, of_group)
        return np.column_stack([H[group], marks[turn].astype(np.float32)]), (classes[label] + group) % K

    order, tests = (
        rng.permutation(turns * d * of_group),
        np.arange(turns * d * of_group, (turns + 1) * d * 16),
    )
    with h5py.File(folder / "vectors.h5", "w") as file:
        for part, which in (("train", order), ("test", tests[:_ROWS])):
            X = file.create_dataset(f"{part}/x", (len(which), d + 1), np.float32)
            y = file.create_dataset(f"{part}/y", (len(which),), np.int64)
            for first in range(0, len(which), _ROWS):
                at = slice(first, min(first + _ROWS, len(which)))
                X[at], y[at] = rows(which[at])
        np.save(folder / "test.npy", file["test/x"][:])
    return len(order)


def run(folder: Path, limit: int, *command: str) -> dict[str, Any]:
    """A command of linclass in a process of its own: exit code, seconds, peak of resident memory, JSON."""

    def limited() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    began = time.perf_counter()
    whole = [sys.executable, "-m", "linclass_cli", *command, "--json", "--quiet"]
    process = subprocess.Popen(
        whole, cwd=folder, stdout=subprocess.PIPE, preexec_fn=limited, env={**os.environ, "COLUMNS": "200"}
    )
    assert process.stdout
    out = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "command": " ".join(command),
        "exit": process.returncode,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6),
        "answer": json.loads(out) if out and process.returncode == 0 and command[0] != "predict" else {},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--folder", type=Path, required=True, help="an empty or new folder on a disk")
    parser.add_argument("--limit", default="800M", help="of address space (800M); 0 for none")
    parser.add_argument("--times", type=int, default=10, help="the features are so many times the limit (10)")
    parser.add_argument("--d", type=int, default=2048, help="features of an image, a power of two (2048)")
    parser.add_argument("--solver", action="append", default=[], help="of train (lbfgs); may be repeated")
    parser.add_argument("--cv", action="store_true", help="cross-validate, too")
    given = parser.parse_args()
    limit = int(float(given.limit[:-1]) * _UNITS[given.limit[-1]]) if given.limit != "0" else 0
    size = given.times * (limit or 1 << 30)
    given.folder.mkdir(parents=True, exist_ok=True)
    memory = ("--memory", given.limit) if limit else ()
    if not (given.folder / "cache/datasets/hadamard").exists():
        n = write_vectors(given.folder, size, given.d)
        print(f"{n:,} x {given.d} float32: {4 * n * given.d / 1e9:.1f} GB; limit {limit / 1e9:.2f} GB")
        show(run(given.folder, 0, "import", "vectors.h5", "--name", "hadamard"))
        (given.folder / "vectors.h5").unlink()
    data, best = ("--data", "hadamard"), optimum()
    show(run(given.folder, limit, "extract", *data, *memory))
    fit = (*data, "--scale", "none", *memory)
    for solver in given.solver or ["lbfgs"]:
        named = ("--val-fraction", "0", "--l2", str(L2), "--solver", solver, "--name", f"{solver}-run")
        done = run(given.folder, limit, "train", *fit, *named)
        show(done)
        if done["answer"]:
            above = done["answer"]["objective"] / best - 1
            print(f"  objective {done['answer']['objective']:.9f}, optimum {best:.9f}: {above:+.1e}")
            show(run(given.folder, limit, "evaluate", f"{solver}-run", *memory))
            show(run(given.folder, limit, "predict", f"{solver}-run", "test.npy", "--out", "p.csv", *memory))
        shutil.rmtree(given.folder / f"cache/runs/{solver}-run", ignore_errors=True)
    if given.cv:
        named = ("--solver", "lbfgs", "--folds", "3", "--l2", str(L2), "--name", "cv-run")
        show(run(given.folder, limit, "cv", *fit, *named))
        shutil.rmtree(given.folder / "cache/runs/cv-run", ignore_errors=True)


def show(done: dict[str, Any]) -> None:
    print(
        f"{done['command']}: exit {done['exit']}, {done['seconds']} s, peak {done['peak_mb']} MB", flush=True
    )


if __name__ == "__main__":
    main()
