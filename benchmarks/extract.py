"""``extract``: the whole command, from process start, against a script with scikit-image; a cold store."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import has_cifar
from benchmarks.measure import EntryError, alternate, note
from benchmarks.options import Options
from benchmarks.processes import linclass_command, timed
from benchmarks.report import Entry, Group, Report


def run(options: Options) -> Report:
    """In a cache folder of its own, with the datasets of the given one; kernels are compiled before."""
    rounds = options.rounds or (1 if options.quick else 5)
    dataset = "cifar10" if has_cifar(options.cache_dir) else "textures"
    if options.quick:
        dataset = "textures"
    what = {
        "cifar10": "CIFAR-10, 60,000 images 32 × 32 × 3",
        "textures": "textures, 2,148 images 32 × 32 × 1 that linclass embeds: a small stand-in of CIFAR-10",
    }[dataset]
    report = Report("extract", what, options.quick, rounds)
    group = Group("the whole process: read, HOG (3 × 3 blocks), HDF5")
    report.groups.append(group)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        if dataset == "cifar10":
            (cache / "datasets").symlink_to(options.cache_dir / "datasets", target_is_directory=True)
        theirs = Path(folder) / "peer.h5"
        mine = ["extract", "--force", "--data", dataset, "--cache-dir", str(cache), "--quiet"]
        calls = {
            "linclass extract": timed(
                [*linclass_command(), *mine], before=lambda: shutil.rmtree(cache / "features", True)
            ),
            "scikit-image script, 2 processes": timed(
                [sys.executable, "-m", "benchmarks.extract_peer", dataset, str(cache), str(theirs)],
                before=lambda: theirs.unlink(missing_ok=True),
            ),
        }
        for name in list(calls):
            entry = Entry(name, ours=name.startswith("linclass"))
            group.entries.append(entry)
            if entry.ours or not options.quick:
                note(f"{name}: first run")
                try:
                    entry.first = calls[name]()
                except EntryError as error:
                    entry.error = str(error)
                    del calls[name]
        samples = alternate(calls, rounds, budget=300)
        for entry in group.entries:
            if entry.name in samples:
                entry.measured(samples[entry.name])
        written = next(iter((cache / "features").glob("*.h5")), None)
        if written and theirs.is_file():
            group.facts["largest difference of the two files"] = _difference(written, theirs)
    group.compare()
    report.notes.append(
        "Each run begins without a feature file. first s: the run before the timed ones, with compilation "
        "where there were no compiled kernels. linclass verifies all that it reads; the script does not."
    )
    return report


def _difference(a: Path, b: Path) -> float:
    import h5py

    with h5py.File(a) as one, h5py.File(b) as other:
        if any(not np.array_equal(one[f"{p}/labels"][:], other[f"{p}/labels"][:]) for p in ("train", "test")):
            return float("inf")
        parts = [np.abs(one[f"{p}/features"][:] - other[f"{p}/features"][:]).max() for p in ("train", "test")]
    return float(max(parts))
