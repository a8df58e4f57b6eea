"""A run's model on images: what evaluation, figures and predictions start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.config import Config, config_of, leaves
from linclass_cli.data.manifest import DatasetInfo, describe_dataset
from linclass_cli.errors import InputError, LinclassError
from linclass_cli.extract import obtain_features, silent
from linclass_cli.feature_plan import Plan, plan_features
from linclass_cli.features import Extractor, learns, make_extractor, with_learned
from linclass_cli.filling import BATCH, Advance
from linclass_cli.halves import as_stored
from linclass_cli.jit import kernel
from linclass_cli.learn.tiles import copied_rows
from linclass_cli.memory import require
from linclass_cli.model import Model
from linclass_cli.on_disk import OnDisk
from linclass_cli.runs import Run, load_model, load_run
from linclass_cli.spread import here
from linclass_cli.store import Features
from linclass_cli.threads import Spans, in_chunks

Array = np.ndarray[Any, np.dtype[Any]]
_ROWS = 512  # that a thread scores at a time


@dataclass(frozen=True)
class Scored:
    """A run's scores, float32 (n, k), on one part of a dataset, with its labels y, int64 (n,)."""

    run: Run
    model: Model
    config: Config
    scores: Array
    y: Array


def run_config(run: Run, cache_dir: str, data: str | None = None) -> Config:
    """The config that the run was made with, on another cache folder, and another dataset if one is named.

    Its feature is the run's, so that the features it stands for are those that the model was made for.
    """
    sections = {"data", "feature", "model", "solver", "split", "cv"}
    values: dict[str, Any] = {"seed": run.config["seed"], "cache_dir": cache_dir}
    for section in sections & set(run.config):
        for name, value in run.config[section].items():
            values[f"{section}.{name}"] = tuple(value) if isinstance(value, list) else value
    if data is not None:
        values["data.name"] = data
    try:
        return config_of(values)
    except (ValueError, TypeError, OverflowError) as error:
        if data is not None and _wrong_key({"data.name": data}):
            raise InputError(f"--data {data[:40]!r} is no name of a dataset") from error
        raise InputError(
            f"the config of {run.id} is not one that this version understands: see its {_wrong_key(values)}"
        ) from error


def _wrong_key(values: dict[str, Any]) -> str:
    """The first key that is not known, or has an impossible value; empty without one."""
    settings = dict(leaves())
    for key, value in values.items():
        try:
            settings[key].check(value)
        except (KeyError, ValueError, TypeError, OverflowError):
            return key
    return ""


@kernel(fast=True)
def _score_rows(rows: Array, weight: Array, bias: Array, scores: Array) -> None:
    """Scores (n, k) of rows (n, d), all float32. (BLAS's sums depend on how many rows there are.)"""
    for i in range(rows.shape[0]):
        row = rows[i]
        for c in range(weight.shape[0]):
            w, score = weight[c], bias[c]
            for j in range(row.shape[0]):
                score += row[j] * w[j]
            scores[i, c] = score


def linear_scores(model: Model, X: Array | OnDisk) -> Array:
    """((X - mean) * factor) W' + bias, float32 (n, k), of features X (n, d): each row's to the last bit the
    same, whatever the others are.

    Raises InputError where the features are not those that the model was made for.
    """
    if X.shape[1] != model.weight.shape[1]:
        raise InputError(f"the model wants {model.weight.shape[1]} features, and there are {X.shape[1]}")
    scores = np.empty((len(X), len(model.bias)), np.float32)
    # Copies: what the kernel sees is always of the same kind, so that it is compiled once.
    mean, factor, weight, bias = (
        np.array(values, np.float32) for values in (model.mean, model.factor, model.weight, model.bias)
    )

    def work(spans: Spans) -> None:
        for start, stop in spans:
            rows = np.asarray((X[start:stop] - mean) * factor, np.float32)
            _score_rows(rows, weight, bias, scores[start:stop])

    in_chunks(work, len(X), copied_rows(X.shape[1], _ROWS))
    return scores


def score_run(
    cache_dir: str,
    name: str,
    advance: Advance = silent,
    notice: Callable[[str], None] = silent,
    data: str | None = None,
    part: str = "test",
) -> Scored:
    """The scores of a run's model on ``part`` (train or test) of its own dataset, or of ``data``.

    Missing features are extracted first; those of a feature that learns are always by what this run's has
    learned. Raises MissingError where the run or the dataset is not there, and InputError where the dataset's
    classes are not the model's, or its images are unlike those that the model was made for.
    """
    run, model = load_run(Path(cache_dir), name), load_model(Path(cache_dir), name)
    config = run_config(run, cache_dir, data)
    info = describe_dataset(config.data.name, config.cache)
    _require_like(info, run, model, config)
    _require_memory(info, model, part)
    plan = plan_features(config)
    features = _stored(plan, config, model) if learns(plan.extractor) else None
    if learns(plan.extractor) and features is None:
        extractor = with_learned(plan.extractor, model.learned)
        notice(f"computing features of {config.data.name} with what {name} has learned")
        return Scored(run, model, config, *_score_images(extractor, model, config, part, advance))
    if features is None:
        _, features = obtain_features(config, advance, notice)
    block = features.train if part == "train" else features.test
    return Scored(run, model, config, linear_scores(model, here(block.X)), block.y)


def _require_like(info: DatasetInfo, run: Run, model: Model, config: Config) -> None:
    """Raise InputError where a dataset is none that the run's model can judge."""
    kind = "vectors" if config.feature.name == "vectors" else "images"
    if info.kind != kind:
        raise InputError(
            f"{run.id} judges {kind}, and {info.name} holds {info.kind}: choose a dataset of {kind}"
        )
    if info.classes != model.classes:
        raise InputError(
            f"{run.id} knows {_few(model.classes)}, and {info.name} has {_few(info.classes)}: "
            "choose a dataset of the same classes"
        )
    if info.name == run.config["data"]["name"]:
        return
    try:
        own = describe_dataset(run.config["data"]["name"], config.cache)
    except LinclassError:  # it is gone, and nobody knows any more what it was like
        return
    if not _suits(info, own, model, config):
        raise InputError(
            f"{run.id} was trained on {_such(own)} ({own.name}), and {info.name} has {_such(info)}: "
            f"choose a dataset of {kind} like the first"
        )


def _suits(info: DatasetInfo, own: DatasetInfo, model: Model, config: Config) -> bool:
    """Whether images have the features that the model was made for on its own ones."""
    extractor = make_extractor(config.feature.name, **config.feature.options(config.feature.name))
    if learns(extractor) and info.image_shape[2] != own.image_shape[2]:
        return False
    try:
        return extractor.dim(info.image_shape) == len(model.mean)
    except InputError:
        return False


def _such(info: DatasetInfo) -> str:
    """The shape of a dataset's images or vectors, in words."""
    height, width, channels = info.image_shape
    if info.kind == "vectors":
        return f"vectors of {channels} numbers"
    return f"{'grey' if channels == 1 else 'colour'} images of {height} x {width} pixels"


def _stored(plan: Plan, config: Config, model: Model) -> Features | None:
    """The planned features from the store, if they are by what the model's own feature has learned.

    Those of another dataset, or of another machine, are by what was learned there.
    """
    if not plan.path.is_file():
        return None
    features = obtain_features(config)[1]
    learned = features.learned
    same = learned.keys() == model.learned.keys() and all(
        np.array_equal(array, model.learned[name]) for name, array in learned.items()
    )
    return features if same else None


def _score_images(
    extractor: Extractor, model: Model, config: Config, part: str, advance: Advance
) -> tuple[Array, Array]:
    """Scores (n, k) and labels (n,) of the images of a part; their features are not kept."""
    from linclass_cli.data.readers import load_dataset

    dataset = load_dataset(config.data.name, config.cache)
    split = dataset.train if part == "train" else dataset.test
    images, n = split.images, len(split.labels)
    scores = np.empty((n, len(model.bias)), np.float32)
    for start in range(0, n, BATCH):
        some = images[start : start + BATCH]
        X = np.empty((len(some), extractor.dim(some.shape[1:])), np.float32)
        extractor(some, X)
        X = as_stored(X, config.feature.store_dtype, part, start)
        scores[start : start + BATCH] = linear_scores(model, X)
        advance(min(start + BATCH, n), n)
    return scores, np.asarray(split.labels, np.int64)


def _require_memory(info: DatasetInfo, model: Model, part: str) -> None:
    """Raise ResourceError where the scores surely do not fit."""
    k, d = model.weight.shape
    n = info.n_train if part == "train" else info.n_test
    require(f"scoring {info.name}", {"scores": 4 * n * k, "rows": 4 * d})


def _few(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:3])
    return f"{len(classes)} classes ({shown}{', …' if len(classes) > 3 else ''})"
