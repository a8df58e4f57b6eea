"""Dataset → features → store: what ``extract`` does, and ``train`` and ``cv`` when features are missing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linclass_cli.atomic import discard
from linclass_cli.config import Config
from linclass_cli.data.manifest import DatasetInfo, describe_dataset
from linclass_cli.data.registry import DATASETS
from linclass_cli.digest import digest
from linclass_cli.errors import InputError
from linclass_cli.feature_check import check_features
from linclass_cli.feature_header import describe_feature
from linclass_cli.features import (
    Extractor,
    describe_extractor,
    fit_extractor,
    learned_by,
    learning_bytes,
    learns,
    make_extractor,
    parts_of,
)
from linclass_cli.halves import as_stored
from linclass_cli.locks import holding, lock_path
from linclass_cli.memory import buffer_bytes, require
from linclass_cli.on_disk import NewRows
from linclass_cli.partial import Partial, partial_folder
from linclass_cli.signals import NOTHING, at_work
from linclass_cli.store import (
    Array,
    Features,
    feature_path,
    load_features,
    make_key,
    write_features,
)

if TYPE_CHECKING:
    from linclass_cli.cluster.work import Cluster
    from linclass_cli.data.readers import Split

BATCH = 2048  # images between two reports of progress
_BATCH_BYTES = 64 << 20  # of float32 features, at most, that wait to be stored

Advance = Callable[[int, int], None]
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Extracted:
    """What the command reports. images_per_second is None where nothing had to be computed."""

    key: str
    path: Path
    feature: str
    dataset: str
    n_train: int
    n_test: int
    d: int
    cached: bool
    seconds: float
    images_per_second: float | None


@dataclass(frozen=True)
class Plan:
    """Which features are wanted, and where they belong. Made without reading an image."""

    info: DatasetInfo
    extractor: Extractor
    meta: dict[str, Any]
    path: Path


def plan_features(config: Config) -> Plan:
    """Decide what is wanted. MissingError when the dataset is not there, InputError for bad parameters."""
    extractor = make_extractor(config.feature.name, **config.feature.options(config.feature.name))
    info = describe_dataset(config.data.name, config.cache)
    if info.kind == "vectors" and extractor.name != "vectors":
        raise InputError(
            f"{info.name} holds vectors, no images, so {extractor.name} cannot be computed; "
            "take --feature vectors"
        )
    if info.kind == "images" and extractor.name == "vectors":
        raise InputError(f"{info.name} holds images, no vectors; take --feature hog, or import vectors")
    extractor.dim(info.image_shape)
    meta = {
        "format": 1,
        "dataset": {"name": info.name, "digest": info.digest},
        "feature": describe_extractor(extractor),
    }
    if config.feature.store_dtype != "float32":
        meta["dtype"] = config.feature.store_dtype
    return Plan(info, extractor, meta, feature_path(config.cache, meta))


def silent(*_: object) -> None:
    """Hears of nothing."""


def extract(
    plan: Plan,
    config: Config,
    advance: Advance,
    force: bool = False,
    notice: Notice = silent,
    cluster: Cluster | None = None,
) -> Extracted:
    """Fill the store with the planned features, unless they are there, verified; ``force``: in any case.

    ``advance(done, total)`` hears of images; a ``cluster`` computes their features. What an interrupted
    extraction has finished is not computed again; while another process extracts the same features, this one
    waits; ``notice`` hears of both.

    Raises IntegrityError when what is there is damaged (and not ``force``), ResourceError when the disk is
    too small.
    """
    began = time.perf_counter()
    if plan.path.is_file() and not force:
        return _cached(plan, began)
    what = f"{describe_feature(plan.meta)} features of {plan.info.name}"

    def wait(who: str) -> None:
        notice(f"{who} is extracting these features ({what}): waiting for it")

    d = plan.extractor.dim(plan.info.image_shape)
    _require_memory(plan, d)
    with holding(lock_path(plan.path), wait):
        if plan.path.is_file() and not force:
            return _cached(plan, began)
        if plan.info.kind == "vectors":
            with at_work(NOTHING):
                fill, sizes = _copying(plan, config, advance)
                write_features(plan.path, plan.meta, sizes, d, fill)
            computed = sum(sizes.values())
        else:
            computed = _compute(plan, config, advance, force, notice, cluster)
    seconds = time.perf_counter() - began
    return _report(plan, d, seconds, computed / seconds)


def _require_memory(plan: Plan, d: int) -> None:
    """Raise ResourceError where images, or what learns from them, surely do not fit."""
    info = plan.info
    n = info.n_train + info.n_test
    what = f"extracting {plan.extractor.name} of {info.name}"
    held = {"labels": 2 * 8 * n, "a batch": 4 * d}
    images = {"images": n * math.prod(info.image_shape)}
    # The images of known datasets are put together in memory; imported ones are pages of their files. Vectors
    # are read when they are wanted, if need be, and features written as they come.
    mapped: dict[str, int] = {}
    if info.name in DATASETS:
        held |= images
    elif info.kind == "images":
        mapped = images
    if learns(plan.extractor):
        # Before there are features.
        learning = {"the dictionary": learning_bytes(plan.extractor, info.image_shape)}
        require(what, held | learning, mapped, ": fewer --patch-samples or --filters")
    require(what, held, mapped)


def _cached(plan: Plan, began: float) -> Extracted:
    features = _load(plan)
    return _report(plan, features.d, time.perf_counter() - began, None)


# Fills a part's features and labels: (part, X, y).
Fill = Callable[[str, NewRows, Array], None]


def _copying(plan: Plan, config: Config, advance: Advance) -> tuple[Fill, dict[str, int]]:
    """What takes vectors as they are, and how many there are of each part."""
    from linclass_cli.data.imported import load_imported

    _, parts = load_imported(plan.info.name, config.cache)
    sizes = {part: len(labels) for part, (_, labels) in parts.items()}

    def fill(part: str, X: NewRows, y: Array) -> None:
        vectors, y[:] = parts[part]
        batch = _batch(X)
        for start in range(0, len(X), batch):
            X[start : start + batch] = as_stored(vectors[start : start + batch], X.dtype.name, part, start)
        advance(sum(sizes.values()) if part == "test" else sizes["train"], sum(sizes.values()))

    return fill, sizes


def _compute(
    plan: Plan, config: Config, advance: Advance, force: bool, notice: Notice, cluster: Cluster | None
) -> int:
    """Write the features of images; of how many they were computed, and not found as an earlier try's."""
    images = _load_images(plan, config)
    extractor = fit_extractor(plan.extractor, images["train"].images)
    sizes = {part: len(split.labels) for part, split in images.items()}
    total, done, computed = sum(sizes.values()), 0, 0
    folder = partial_folder(plan.path)
    if force:
        discard(folder)
    kept = Partial(folder, lambda: _key_of_values(plan, extractor))
    compute = _batches(plan, config, cluster)

    def fill(part: str, X: NewRows, y: Array) -> None:
        nonlocal done, computed
        y[:] = images[part].labels
        missing = kept.take(part, X)
        done += sizes[part] - sum(stop - start for start, stop in missing)
        if missing and computed == 0 and done > 0:
            notice(f"going on where an extraction stopped: {done:,} of {total:,} images are done")
        batch = _batch(X)
        wanted = [
            (start, min(start + batch, last))
            for first, last in missing
            for start in range(first, last, batch)
        ]
        for start, stop, values in compute(extractor, part, images[part].images, X.shape[1], wanted):
            X[start:stop] = as_stored(values, X.dtype.name, part, start)
            kept.add(part, X, start, stop)
            done, computed = done + stop - start, computed + stop - start
            advance(done, total)

    def left() -> str:
        rows = f"{kept.rows:,} of {total:,} images are kept; the same command goes on from there"
        return rows if kept.rows else NOTHING

    with kept, at_work(left):
        d = extractor.dim(plan.info.image_shape)
        write_features(plan.path, plan.meta, sizes, d, fill, learned_by(extractor))
    return computed


# (extractor, part, images, d, spans of images): (start, stop, their features) as they are done.
Compute = Callable[[Extractor, str, Any, int, Sequence[tuple[int, int]]], Iterator[tuple[int, int, Array]]]


def _batches(plan: Plan, config: Config, cluster: Cluster | None) -> Compute:
    if cluster is None:
        return _compute_here
    from linclass_cli.cluster.images import Batches

    return Batches(cluster, plan.info, config.cache)


def _compute_here(
    extractor: Extractor,
    part: str,  # noqa: ARG001
    images: Any,
    d: int,
    wanted: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, int, Array]]:
    """The values are for one turn: the next batch has the same memory."""
    values = np.empty((max((stop - start for start, stop in wanted), default=0), d), np.float32)
    for start, stop in wanted:
        some = values[: stop - start]
        extractor(images[start:stop], some)
        yield start, stop, some


def _batch(X: NewRows) -> int:
    """Rows of X (n, d) that are computed at a time."""
    return max(1, min(BATCH, buffer_bytes(4 * X.shape[1], _BATCH_BYTES) // (4 * X.shape[1])))


def _key_of_values(plan: Plan, extractor: Extractor) -> str:
    """The key of the features, what they have learned, and what else decides their last bit."""
    from linclass_cli.environment import numerics

    learned = {name: sha256(array.tobytes()).hexdigest() for name, array in learned_by(extractor).items()}
    return digest({"features": make_key(plan.meta), "learned": learned, "numerics": numerics()})


def _load_images(plan: Plan, config: Config) -> dict[str, Split]:
    """The images of each part; meanwhile the extractor's kernels are loaded, or compiled."""
    from linclass_cli.data.readers import load_dataset

    aside = ThreadPoolExecutor(1)
    try:
        # Most of the reading runs without the interpreter: time enough to load what is wanted next.
        ready = aside.submit(_load_the_rest, plan)
        dataset = load_dataset(config.data.name, config.cache)
        ready.result()
    finally:
        aside.shutdown(wait=False)  # somebody who interrupts does not wait for what is being compiled
    return {"train": dataset.train, "test": dataset.test}


def _load_the_rest(plan: Plan) -> None:
    """Use the extractor once, on one black image: what it loads, or compiles, is there from then on."""
    import h5py  # noqa: F401  # for the store

    shape = plan.info.image_shape
    if not learns(plan.extractor):
        plan.extractor(np.zeros((1, *shape), np.uint8), np.empty((1, plan.extractor.dim(shape)), np.float32))


def obtain_features(
    config: Config, advance: Advance = silent, notice: Notice = silent, cluster: Cluster | None = None
) -> tuple[Plan, Features]:
    """The verified features that the config asks for; extracted first where they are missing, saying so."""
    plan = plan_features(config)
    if not plan.path.is_file():
        what = "" if plan.info.kind == "vectors" else f"{describe_feature(plan.meta)} "
        notice(f"no {what}features of {config.data.name} in the store yet: extracting them first")
        extract(plan, config, advance, notice=notice, cluster=cluster)
    return plan, _load(plan)


def _load(plan: Plan) -> Features:
    """The planned features, verified, of the dataset's rows and classes."""
    features, info = load_features(plan.path, plan.meta), plan.info
    sizes = {"train": info.n_train, "test": info.n_test}
    check_features(features, sizes, plan.extractor.dim(info.image_shape), len(info.classes))
    return replace(features, parts=tuple(part.dim(info.image_shape) for part in parts_of(plan.extractor)))


def _report(plan: Plan, d: int, seconds: float, rate: float | None) -> Extracted:
    return Extracted(
        key=make_key(plan.meta),
        path=plan.path,
        feature=plan.extractor.name,
        dataset=plan.info.name,
        n_train=plan.info.n_train,
        n_test=plan.info.n_test,
        d=d,
        cached=rate is None,
        seconds=seconds,
        images_per_second=rate,
    )
