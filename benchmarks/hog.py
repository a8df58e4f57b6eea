"""``hog``: linclass's `Hog` against `skimage.feature.hog`, one core each, 3 × 3 blocks, 32 × 32 images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.data import images
from benchmarks.measure import EntryError, alternate, note
from benchmarks.options import Options
from benchmarks.report import Entry, Group, Report
from benchmarks.workers import Prepared, Worker, crew

KINDS = {"grey": "mean", "RGB": "largest"}


def linclass(folder: str, kind: str) -> Prepared:
    """All images; the features of the first few are sent back."""
    from linclass_cli.features.hog import Hog

    ours.enter_threads(1)
    pictures, few = np.load(Path(folder) / "images.npy"), len(np.load(Path(folder) / "few.npy"))
    hog = Hog(channels=KINDS[kind])
    out = np.empty((len(pictures), hog.dim(pictures.shape[1:])), np.float32)
    return Prepared(lambda: hog(pictures, out), lambda _: out[:few].copy())


def scikit_image(folder: str, kind: str) -> Prepared:
    """A few images, one by one; for grey the mean of the channels is taken outside the timing."""
    from skimage.feature import hog

    few = np.load(Path(folder) / "few.npy")
    if kind == "grey":
        few = few.mean(axis=-1)
    axis = -1 if kind == "RGB" else None

    def run() -> Any:
        return np.stack([hog(image, channel_axis=axis) for image in few])

    return Prepared(run)


def run(options: Options) -> Report:
    """Seconds an image, and the largest difference between the two."""
    rounds = options.rounds or (3 if options.quick else 15)
    n, few = (2000, 100) if options.quick else (10_000, 500)
    pictures, what = images(options.cache_dir, n)
    report = Report("hog", what, options.quick, rounds)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", pictures)
        np.save(Path(folder) / "few.npy", pictures[:few])
        for kind in KINDS:
            note(f"hog {kind}")
            report.groups.append(_measure(kind, folder, rounds, {"linclass Hog": n, "scikit-image hog": few}))
    report.notes.append(
        f"per image: linclass takes {n:,} at a time, scikit-image {few}, one by one. grey: linclass takes "
        "the mean of the channels within the timing, scikit-image is given it. first s: all images, with "
        "compilation where there were no compiled kernels."
    )
    return report


def _measure(kind: str, folder: str, rounds: int, sizes: dict[str, int]) -> Group:
    group = Group(f"HOG, {kind}, one core, per image", "µs")
    with crew() as start:
        workers: dict[str, Worker] = {}
        for name, target in zip(sizes, ("linclass", "scikit_image"), strict=True):
            entry = Entry(name, ours=target == "linclass")
            group.entries.append(entry)
            try:
                workers[name] = start(f"benchmarks.hog:{target}", folder=folder, kind=kind)
                workers[name].run()
            except EntryError as error:
                entry.error = str(error)
                workers.pop(name, None)
                continue
            entry.prepared, entry.first = workers[name].prepared, workers[name].first
        samples = alternate({name: worker.run for name, worker in workers.items()}, rounds)
    for entry in group.entries:
        if entry.name in samples:
            entry.measured(samples[entry.name], sizes[entry.name])
            if len(workers) == 2:
                a, b = (worker.value for worker in workers.values())
                entry.difference = float(np.abs(a - b).max())
    group.compare()
    return group
