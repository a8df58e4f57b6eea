"""``predict``: files to labels, an image, against scikit-image and scikit-learn with the same model."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.data import has_cifar
from benchmarks.measure import THREADS, EntryError, alternate, note
from benchmarks.options import Options
from benchmarks.processes import linclass_command, timed
from benchmarks.report import Entry, Group, Report
from benchmarks.workers import Prepared, Worker, crew

SIDE = 32  # pixels of the images that the model was trained on
PEERS = {"one by one": 1, "in one batch": 0}


def linclass(folder: str, kind: str) -> Prepared:
    """The command itself, in this process, on all files of the folder; its labels."""
    from linclass_cli.cli import app

    ours.enter_threads(THREADS)
    out = Path(folder) / "ours.csv"
    arguments = ["predict", "r", str(Path(folder) / kind), "--out", str(out), "--quiet"]

    def run() -> None:
        with contextlib.suppress(SystemExit):
            app([*arguments, "--cache-dir", str(Path(folder) / "cache")], prog_name="linclass")

    return Prepared(run, lambda _: [row.split(",")[1] for row in out.read_text().splitlines()[1:]])


def scikit(folder: str, kind: str, few: int, at_once: int) -> Prepared:
    """imread, resize, hog, and predict_proba of ``at_once`` images (0: of all), of the first few files."""
    from skimage.feature import hog
    from skimage.io import imread
    from skimage.transform import resize

    paths = sorted((Path(folder) / kind).iterdir())[:few]
    classifier = _same_model(folder)

    def features(path: Path) -> Any:
        image = np.atleast_3d(imread(path))
        if image.shape[:2] != (SIDE, SIDE):
            image = resize(image, (SIDE, SIDE), anti_aliasing=True, preserve_range=True)
        return hog(image.mean(axis=-1))

    def run() -> Any:
        with io.StringIO() as text:
            size = at_once or len(paths)
            for i in range(0, len(paths), size):
                some = paths[i : i + size]
                p = classifier.predict_proba([features(path) for path in some])
                for path, row in zip(some, p, strict=True):
                    text.write(f"{path},{classifier.classes_[row.argmax()]},{row.max():.6g}\n")
            return text.getvalue()

    return Prepared(run, lambda text: [row.split(",")[1] for row in text.splitlines()])


def _same_model(folder: str) -> Any:
    """scikit-learn's pipeline with the weights of linclass's run."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from linclass_cli.runs import load_model

    model = load_model(Path(folder) / "cache", "r")
    scaler, classifier = StandardScaler(), LogisticRegression()
    scaler.mean_, scaler.scale_ = model.mean, 1 / model.factor
    scaler.n_features_in_ = classifier.n_features_in_ = len(model.mean)
    classifier.coef_, classifier.intercept_ = model.weight.astype(float), model.bias.astype(float)
    classifier.classes_ = np.array(model.classes)
    return make_pipeline(scaler, classifier)


def run(options: Options) -> Report:
    """Seconds an image, of small PNG files and of photographs."""
    rounds = options.rounds or (2 if options.quick else 7)
    sizes = (
        {"png": (400, 40), "jpeg": (20, 4)} if options.quick else {"png": (10_000, 400), "jpeg": (200, 20)}
    )
    dataset = "cifar10" if has_cifar(options.cache_dir) and not options.quick else "textures"
    report = Report("predict", f"pictures of {dataset}, as files", options.quick, rounds)
    titles = {"png": f"PNG, {SIDE} × {SIDE} pixels", "jpeg": "JPEG, 640 × 480 pixels"}
    with tempfile.TemporaryDirectory() as folder:
        pictures = _train(Path(folder) / "cache", dataset, options.cache_dir)
        for kind, (n, few) in sizes.items():
            note(kind)
            n = min(n, len(pictures))
            _write(Path(folder) / kind, kind, pictures[:n])
            title = f"{titles[kind]}, from file to label, per image"
            report.groups.append(_measure(title, folder, kind, n, few, rounds))
            report.notes.append(f"{kind}: linclass takes {n:,} files, its peers the first {few}.")
    report.notes.append(
        "Without the start of a process. Same weights; linclass uses two cores, the others one. "
        "Photographs are the pictures enlarged: scikit-image resizes with anti_aliasing. accuracy: the "
        "share of labels that are linclass's."
    )
    return report


def _train(cache: Path, dataset: str, theirs: Path) -> Any:
    """A run named r on a dataset, in a cache folder of its own; the dataset's training images."""
    from linclass_cli.data.readers import load_dataset

    cache.mkdir()
    if dataset == "cifar10":
        (cache / "datasets").symlink_to(theirs / "datasets", target_is_directory=True)
    where = ["--data", dataset, "--cache-dir", str(cache), "--quiet"]
    timed([*linclass_command(), "train", "--name", "r", *where])()
    return load_dataset(dataset, cache).train.images


def _write(folder: Path, kind: str, pictures: Any) -> None:
    from PIL import Image

    folder.mkdir()
    for i, pixels in enumerate(pictures):
        image = Image.fromarray(pixels.squeeze())
        if kind == "png":
            image.save(folder / f"{i:05}.png")
        else:
            large = image.resize((640, 480), Image.Resampling.BICUBIC)
            large.save(folder / f"{i:05}.jpg", quality=90)


def _measure(title: str, folder: str, kind: str, n: int, few: int, rounds: int) -> Group:
    group = Group(title, "µs")
    wanted: dict[str, tuple[str, int, dict[str, int]]] = {"linclass predict": ("linclass", n, {})}
    for name, size in PEERS.items():
        more = {"few": few, "at_once": size}
        wanted[f"scikit-image + scikit-learn, {name}"] = ("scikit", few, more)
    with crew() as start:
        workers: dict[str, Worker] = {}
        for name, (target, _, more) in wanted.items():
            entry = Entry(name, ours=target == "linclass")
            group.entries.append(entry)
            try:
                worker = start(f"benchmarks.predict:{target}", folder=folder, kind=kind, **more)
                worker.run()
            except EntryError as error:
                entry.error = str(error)
                continue
            entry.prepared, entry.first, workers[name] = worker.prepared, worker.first, worker
        samples = alternate({name: worker.run for name, worker in workers.items()}, rounds)
        labels = {name: np.array(worker.value[:few]) for name, worker in workers.items()}
    for entry in group.entries:
        if entry.name in samples:
            entry.measured(samples[entry.name], wanted[entry.name][1])
            entry.accuracy = float(np.mean(labels[entry.name] == next(iter(labels.values()))))
    group.compare()
    return group
