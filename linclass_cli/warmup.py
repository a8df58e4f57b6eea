"""Compiling ahead of time: the real functions run on tiny made-up data, so that later runs find every kernel.

What there is to run is asked of the registries and of the config: a new feature, loss, solver or setting is
warmed up without a line here.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from linclass_cli.atomic_folders import scratch_folder
from linclass_cli.compilation import COMPILATION
from linclass_cli.config import Config, leaves
from linclass_cli.data.pictures import Frame
from linclass_cli.errors import InputError, ResourceError, SettingsError
from linclass_cli.features import FEATURES, Extractor, fit_extractor, make_extractor
from linclass_cli.kernel_cache import kernel_folder, remove_unused
from linclass_cli.learn.crossval import cross_validate
from linclass_cli.learn.fit import train
from linclass_cli.learn.gradcheck import check_gradient, made_up_point
from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.solvers import SOLVERS
from linclass_cli.model import Model
from linclass_cli.on_disk import NewRows
from linclass_cli.predicting.pictures import read_pictures
from linclass_cli.scoring import linear_scores
from linclass_cli.settings import resolve
from linclass_cli.store import Array, Features, load_features, write_features

# Enough rows for a pass to be cut into several blocks: arrays of one row have another layout.
SIZES = {"train": 1200, "test": 300}
CLASSES = ("a", "b", "c")
IMAGE_SHAPES = ((32, 32, 3), (32, 32, 1))
_D = 24  # features of the made-up images
_STEPS = 3  # of each solver

Job = tuple[str, Callable[[], object]]
Advance = Callable[..., None]


@dataclass(frozen=True)
class Warmed:
    """How many kernels were compiled, how many were there already, and in which folder they are."""

    compiled: int
    cached: int
    seconds: float
    path: Path


def warm_up(advance: Advance) -> Warmed:
    """Compile every kernel that is not in the kernel cache; ``advance(kernels, None, note)`` hears of jobs.

    Raises ResourceError where kernels cannot be kept.
    """
    began = time.perf_counter()
    compiled, cached = COMPILATION.compiled, COMPILATION.cached
    folder = kernel_folder()
    if folder is None:
        raise ResourceError("there is no home folder to keep kernels in; set XDG_CACHE_HOME to a folder")
    COMPILATION.lost = ""
    remove_unused(folder.parent)
    with _scratch(folder.parent) as scratch:
        jobs = [*_extractions(scratch), *_readings(scratch), _scores(), *_fits(scratch), *_checks()]
        for done, (name, job) in enumerate(jobs):
            kernels = COMPILATION.compiled - compiled + COMPILATION.cached - cached
            advance(kernels, None, f"{name}, {done + 1} of {len(jobs)}")
            job()
            if COMPILATION.lost:
                raise _cannot_keep(COMPILATION.lost)
    seconds = time.perf_counter() - began
    return Warmed(COMPILATION.compiled - compiled, COMPILATION.cached - cached, seconds, folder)


@contextlib.contextmanager
def _scratch(base: Path) -> Iterator[Path]:
    """A folder for made-up data where the kernels will be; what a killed process left there is removed."""
    with contextlib.ExitStack() as stack:
        try:
            scratch = stack.enter_context(scratch_folder(base / "warmup"))
        except ResourceError as error:
            why = getattr(error.__cause__, "strerror", None) or str(error)
            raise _cannot_keep(f"cannot write {base}: {why.lower()}") from error
        yield scratch


def _cannot_keep(why: str) -> ResourceError:
    return ResourceError(f"kernels cannot be kept: {why}; set XDG_CACHE_HOME to another folder")


def _extractions(scratch: Path) -> Iterator[Job]:
    """Every feature with its defaults, and with one of its settings changed, for each kind of image."""
    rng = np.random.default_rng(0)
    for name in FEATURES:
        for config in _configs(scratch, {"feature.name": name, **_SMALL.get(name, {})}, *_changes(name)):
            extractor = make_extractor(name, **config.feature.options(name))
            for shape in IMAGE_SHAPES:
                images = rng.integers(0, 256, (64, *shape), np.uint8)
                yield f"extract {name}", lambda e=extractor, i=images: _extract(e, i)  # type: ignore[misc]


# What is learned in earnest would take long, and compile the same.
_SMALL: dict[str, dict[str, Any]] = {
    "patches": {"feature.filters": 16, "feature.patch_samples": 200, "feature.rounds": 1}
}


def _changes(feature: str) -> Iterator[dict[str, Any]]:
    """Each other choice of each setting of the feature, and for numbers the one below."""
    for key, field in leaves():
        if feature in field.only_for:
            kind, default = field.kind, field.default
            others = [default - 1] if kind is int else [not default] if kind is bool else field.choices
            yield from ({key: other} for other in others)


def _readings(scratch: Path) -> Iterator[Job]:
    """Files of pictures, of each kind of image."""
    for height, width, channels in IMAGE_SHAPES:
        path, frame = scratch / f"{channels}.png", Frame(height, width, channels)
        Image.new("L" if channels == 1 else "RGB", (width, height)).save(path)
        yield "read pictures", lambda p=path, f=frame: read_pictures([str(p)], f) and None  # type: ignore[misc]


def _scores() -> Job:
    k = len(CLASSES)
    model = Model(np.zeros((k, _D)), np.zeros(k), np.zeros(_D), np.ones(_D), CLASSES, "softmax", "")
    return "score images", lambda: linear_scores(model, np.zeros((SIZES["test"], _D), np.float32))


def _extract(extractor: Extractor, images: Array) -> None:
    try:
        d = extractor.dim(images.shape[1:])
    except InputError:  # not for images of this kind
        return
    fit_extractor(extractor, images)(images, np.empty((len(images), d), np.float32))


def _fits(scratch: Path) -> Iterator[Job]:
    """Every loss by every solver that can minimise it, once with validation and once in cross-validation."""
    features = _made_up_features(scratch)
    for loss in LOSSES:
        for solver in SOLVERS:
            own = Config().solver.options(solver)
            limits = {f"solver.{key}": _STEPS for key in ("epochs", "max_iterations") if key in own}
            chosen = {"model.loss": loss, "solver.name": solver, "cv.folds": 2, "cv.l2": (0.1, 1.0), **limits}
            for config in _configs(scratch, chosen, {"model.scale": "range"}):
                for kind, start in (("train", train), ("cv", cross_validate)):

                    def job(start: Any = start, config: Config = config) -> None:
                        for _ in start(features, CLASSES, config):
                            pass

                    yield f"{kind} {loss} by {solver}", job


def _configs(folder: Path, base: dict[str, Any], *changes: dict[str, Any]) -> Iterator[Config]:
    """The config with the settings of ``base``, and with each of the changes; not what a command refuses."""
    for change in ({}, *changes):
        flags = {key: (key, value) for key, value in {**base, **change}.items()}
        try:
            yield resolve(flags, environment={}, folder=folder).config
        except SettingsError:
            continue


def _checks() -> Iterator[Job]:
    """The gradient check, whose numbers are float64."""
    point = made_up_point(0)
    for loss in LOSSES:
        yield f"gradcheck {loss}", lambda loss=loss: check_gradient(point, loss, 0.1)  # type: ignore[misc]


def _made_up_features(folder: Path) -> Features:
    """Three clouds of points, through the store: kernels are to see them as they see a file's."""
    rng = np.random.default_rng(0)
    meta = {
        "format": 1,
        "dataset": {"name": "warmup", "digest": ""},
        "feature": {"name": "warmup", "version": 1, "params": {}},
    }

    def fill(part: str, X: NewRows, y: Array) -> None:
        y[:] = np.arange(SIZES[part]) % len(CLASSES)
        X[:] = rng.normal(size=X.shape) + np.eye(len(CLASSES), _D)[y]

    path = folder / "features.h5"
    write_features(path, meta, SIZES, _D, fill)
    return load_features(path, meta)
