"""What is done on workers: Dask calls these functions with what it has brought."""

from __future__ import annotations

import functools
import hashlib
import platform
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli import __version__
from linclass_cli.blocks import Kept, Pass, Rows, Sums, Tree, keep_run, sum_run
from linclass_cli.cluster.asking import distributed
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.data.readers import load_dataset
from linclass_cli.digest import digest as make_digest
from linclass_cli.environment import numerics
from linclass_cli.errors import LinclassError, ResourceError
from linclass_cli.features import Extractor
from linclass_cli.memory import use_memory
from linclass_cli.on_disk import OnDisk
from linclass_cli.store import Array, open_rows, read_header
from linclass_cli.threads import keep_to_threads

Images = tuple[str, slice]  # of which part, and its rows


def run(version: str, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``, in one thread: Dask calls as many at once as the worker has.

    Raises ResourceError where this is another version of linclass than the one that asks.
    """
    if version != __version__:
        raise ResourceError(
            f"a worker has linclass {__version__}, and {version} asks: install the same on both"
        )
    keep_to_threads(1)
    with np.errstate(over="ignore", invalid="ignore"):  # as in `threads.use_threads`
        return function(*args)


class Unseen(Exception):
    """A file that others see is not to be seen by this worker."""


class Held:
    """A branch's rows on a worker, opened when they are wanted. Moved to another, they are not sent, but
    opened there.
    """

    def __init__(self, path: str, chunks: bytes, part: str, first: int, stop: int, nbytes: int) -> None:
        self._place = path, chunks, part, first, stop, nbytes

    @functools.cached_property
    def X(self) -> Array | OnDisk:
        path, chunks, part, first, stop, _ = self._place
        if not has_features(path, hashlib.sha256(chunks).hexdigest()):
            raise Unseen(path)
        limit = _limit()
        with use_memory(f"{limit >> 10}K" if limit else ""):
            return open_rows(Path(path), chunks, part, first, stop)

    def __reduce__(self) -> tuple[Any, ...]:
        return Held, self._place

    def __sizeof__(self) -> int:
        # By sizes Dask decides what moves to what, and, of more than there is room for, what leaves memory.
        nbytes, limit = self._place[-1], _limit()
        return min(nbytes, limit // _HELD_SHARE) if limit else nbytes


_HELD_SHARE = 16  # of a worker's memory, what a branch counts for at most


def _limit() -> int:
    """Bytes that this worker may hold, pages of files that it maps among them; 0: as many as there are.

    Dask pauses, or ends, one that holds more.
    """
    try:
        return int(distributed.get_worker().memory_manager.memory_limit or 0)
    except ValueError:  # asked outside of a worker
        return 0


def _threads() -> int:
    return int(distributed.get_worker().state.nthreads)


class Sent:
    """A branch's rows that came from the one that asks, and stay."""

    def __init__(self, X: Array) -> None:
        self.X = X

    def __sizeof__(self) -> int:
        return int(self.X.nbytes)


def beside(held: Held | Sent, rows: Rows) -> Rows:  # noqa: ARG001
    """Rows without their X, on the worker that has it."""
    return rows


def sum_branch(
    held: Held | Sent, rows: Rows, starts: Array, work: Pass, kept: tuple[Sums, Kept] | None
) -> Sums:
    """`blocks.sum_run` of a branch: rows, without their X, that begin with its first one.

    With all threads of the worker: there are few branches for each worker, as each costs the scheduler time.
    """
    keep_to_threads(_threads())
    return sum_run(replace(rows, X=held.X), starts, work, None if kept is None else kept[1])


def keep_branch(held: Held | Sent, rows: Rows, starts: Array, work: Pass) -> tuple[Sums, Kept]:
    """`blocks.keep_run` of a branch."""
    keep_to_threads(_threads())
    return keep_run(replace(rows, X=held.X), starts, work)


def sums_of(branch: tuple[Sums, Kept]) -> Sums:
    """What of `keep_branch` travels."""
    return branch[0]


def join_branches(join: np.ufunc, *branches: Sums) -> Sums:
    """The sums of a larger branch."""
    tree = Tree(len(branches), join)
    for i, sums in enumerate(branches):
        tree.add(i, tuple(np.array(one) for one in sums))  # Dask's are to stay as they are
    return tree.total


def extract_sent(extractor: Extractor, d: int, images: Array) -> Array:
    """Features float32 (m, d) of images that came along."""
    values = np.empty((len(images), d), np.float32)
    extractor(images, values)
    return values


def extract_own(extractor: Extractor, d: int, cache: str, name: str, digest: str, at: Images) -> Array:
    """Features of images that are here as well: of a part's rows, in the dataset of that digest."""
    if not has_dataset(cache, name, digest):
        raise Unseen(name)
    part, rows = at
    with _opening:
        dataset = _dataset(cache, name, digest)
    return extract_sent(extractor, d, getattr(dataset, part).images[rows])


_opening = threading.Lock()  # of many threads that want the same, one reads it


@functools.lru_cache(1)
def _dataset(cache: str, name: str, digest: str) -> Any:
    """Kept for the batches to come; its name may be another dataset's by then."""
    dataset = load_dataset(name, Path(cache))
    if dataset.digest != digest:
        raise Unseen(name)
    return dataset


def has_features(path: str, wanted: str) -> bool:
    """Whether this worker sees the feature file of that digest."""
    try:
        header = read_header(Path(path)) if Path(path).is_file() else None
    except OSError:
        return False
    return header is not None and header["digest"] == wanted


def has_dataset(cache: str, name: str, wanted: str) -> bool:
    """Whether this worker sees the dataset of that digest."""
    try:
        return describe_dataset(name, Path(cache)).digest == wanted
    except (LinclassError, OSError):
        return False


def listing(cache: str) -> str | None:
    """A digest of the names and sizes of the datasets and features in a cache folder; None where are none."""
    folder = Path(cache)
    try:
        files = [*folder.glob("features/*.h5"), *folder.glob("datasets/*/dataset.json")]
        found = sorted((str(one.relative_to(folder)), one.stat().st_size) for one in files)
    except OSError:
        return None
    return make_digest(found) if found else None


def facts() -> dict[str, Any]:
    """What decides this worker's results to the last bit, and its Python."""
    return {**numerics(), "python": platform.python_version()}


def nothing() -> None:
    """What takes no time."""
