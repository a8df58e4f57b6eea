"""What fills a feature file: vectors as they are, or features of images, computed here or by a cluster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from linclass_cli.atomic import discard
from linclass_cli.config import Config
from linclass_cli.digest import digest
from linclass_cli.feature_plan import Plan
from linclass_cli.features import Extractor, fit_extractor, learned_by, learns
from linclass_cli.halves import as_stored
from linclass_cli.memory import buffer_bytes
from linclass_cli.on_disk import NewRows
from linclass_cli.partial import Partial, partial_folder
from linclass_cli.signals import NOTHING, at_work
from linclass_cli.store import Array, make_key, write_features

if TYPE_CHECKING:
    from linclass_cli.cluster.work import Cluster
    from linclass_cli.data.readers import Split

BATCH = 2048  # images between two reports of progress
_BATCH_BYTES = 64 << 20  # of float32 features, at most, that wait to be stored, and of their images

Advance = Callable[[int, int], None]
Notice = Callable[[str], None]


def fill_with_vectors(plan: Plan, config: Config, advance: Advance) -> int:
    """Write vectors as features; of how many images."""
    from linclass_cli.data.imported import load_imported

    _, parts = load_imported(plan.info.name, config.cache)
    sizes = {part: len(labels) for part, (_, labels) in parts.items()}

    def fill(part: str, X: NewRows, y: Array) -> None:
        vectors, y[:] = parts[part]
        batch = _batch(X)
        for start in range(0, len(X), batch):
            X[start : start + batch] = as_stored(vectors[start : start + batch], X.dtype.name, part, start)
        advance(sum(sizes.values()) if part == "test" else sizes["train"], sum(sizes.values()))

    with at_work(NOTHING):
        write_features(plan.path, plan.meta, sizes, plan.d, fill)
    return sum(sizes.values())


def fill_with_features(
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
        batch = _batch(X, math.prod(plan.info.image_shape))
        wanted = [
            (start, min(start + batch, last))
            for first, last in missing
            for start in range(first, last, batch)
        ]
        before = done
        for start, stop, values in compute(extractor, part, images[part].images, X.shape[1], wanted):
            X[start:stop] = as_stored(values, X.dtype.name, part, start)
            kept.add(part, X, start, stop)
            done, computed = done + stop - start, computed + stop - start
            advance(done, total)
        # A batch that is missing would be rows of nothing in a file that says it is verified.
        assert done - before == sum(stop - start for start, stop in missing)

    def left() -> str:
        rows = f"{kept.rows:,} of {total:,} images are kept; the same command goes on from there"
        return rows if kept.rows else NOTHING

    with kept, at_work(left):
        write_features(plan.path, plan.meta, sizes, plan.d, fill, learned_by(extractor))
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


def _batch(X: NewRows, image: int = 1) -> int:
    """Rows of X (n, d) that are computed at a time, of images of so many bytes."""
    row = max(4 * X.shape[1], image)
    return max(1, min(BATCH, buffer_bytes(row, _BATCH_BYTES) // row))


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
        plan.extractor(np.zeros((1, *shape), np.uint8), np.empty((1, plan.d), np.float32))
