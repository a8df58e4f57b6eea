"""Features whose rows are on workers: sent there once, or opened there where they see the same file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from linclass_cli.blocks import Kept, Pass, Rows, Sums, Tree, count_branches, first_rows
from linclass_cli.cluster import worker
from linclass_cli.cluster.work import BROADCAST, Cluster, Future, gone
from linclass_cli.memory import require_given
from linclass_cli.on_disk import OnDisk, row_bytes
from linclass_cli.spread import Spread, here
from linclass_cli.store import Array, Features, read_header

# Branches that one process joins: of more, the sums come in a tree of as many at each place.
FAN = 8
_UNEVEN = 4  # pieces for each worker at least, where workers are no power of two


def spread_features(features: Features, cluster: Cluster) -> Features:
    """The same features, with the training part's rows on the workers."""
    header = read_header(features.path)
    digest = header["digest"] if header else ""
    sees = cluster.ask(worker.has_features, str(features.path.resolve()), digest)
    shared = bool(digest) and all(sees.values())
    X = SpreadRows(here(features.train.X), features, cluster, shared)
    cluster.facts |= {"pieces": X.branches, "cache": "shared" if shared else "sent"}
    return replace(features, train=replace(features.train, X=X))


@dataclass(eq=False)
class Stays:
    """A future for each branch, that stays: made when it is first wanted, and again when it is lost."""

    make: Callable[[int], Future]
    futures: dict[int, Future]

    def __getitem__(self, i: int) -> Future:
        if gone(self.futures.get(i)):
            self.futures[i] = self.make(i)
        return self.futures[i]


class SpreadRows(Spread):
    """The training part's rows, cut into ``branches``, one or a few for each worker (blocks.py)."""

    def __init__(self, here: Array | OnDisk, features: Features, cluster: Cluster, shared: bool) -> None:
        self.here, self.cluster = here, cluster
        self.branches = min(count_pieces(len(cluster.workers)), count_branches(len(here)))
        self._first = first_rows(len(here), self.branches)
        self._path, self._chunks = str(features.path.resolve()), features.chunks
        self.shared = shared
        self._held = Stays(self._open if shared else self._send, {})
        self._rows: WeakKeyDictionary[Rows, Stays] = WeakKeyDictionary()

    def sum_blocks(self, rows: Rows, starts: Array, work: Pass, kept: Kept | None) -> Sums:
        told = self._telling(work)

        def whole() -> Sums:
            branches = [
                (*self._branch(rows, starts, i), told(), kept and kept[i]) for i in range(self.branches)
            ]
            return self._join(self.cluster.submit_each(worker.sum_branch, *_columns(branches)), work.join)

        return self._again(whole)

    def keep_blocks(self, rows: Rows, starts: Array, work: Pass) -> tuple[Sums, Kept]:
        told = self._telling(work)
        kept = Stays(
            lambda i: self.cluster.submit(worker.keep_branch, *self._branch(rows, starts, i), told()), {}
        )

        def whole() -> Sums:
            branches = [kept[i] for i in range(self.branches)]
            return self._join(self.cluster.submit_each(worker.sums_of, branches), work.join)

        return self._again(whole), kept

    def _again(self, whole: Callable[[], Sums]) -> Sums:
        try:
            return self.cluster.again(whole)
        except worker.Unseen:  # by a worker that came later
            if self.shared:
                self.shared, self.cluster.facts["cache"] = False, "sent"
                self._held = Stays(self._send, {})
            return self.cluster.again(whole)

    def _telling(self, work: Pass) -> Callable[[], Pass | Future]:
        """What tells workers the work: as it is, or, where it is large, sent on from worker to worker."""
        if sum(one.nbytes for one in work.args if isinstance(one, np.ndarray)) <= BROADCAST:
            return lambda: work
        sent = Stays(lambda _: self.cluster.send(work), {})
        return lambda: sent[0]

    def _branch(self, rows: Rows, starts: Array, i: int) -> tuple[Future, Future, Array]:
        """What the branch i is worked on with: its features, its rows, where its blocks start among them."""
        blocks = (len(starts) - 1) // self.branches
        own = starts[i * blocks : (i + 1) * blocks + 1]
        at = slice(int(own[0]), int(own[-1]))

        if rows not in self._rows:
            self._rows[rows] = Stays(partial(self._send_rows, ref(rows)), {})
        return self._held[i], self._rows[rows][i], own - at.start

    def _send_rows(self, wanted: ref[Rows], i: int) -> Future:
        rows = wanted()
        assert rows is not None
        at = slice(*np.searchsorted(rows.rows, self._first[i : i + 2]).tolist())
        own = rows.within(None, int(self._first[i]), at)
        told = own if own.rows.nbytes <= BROADCAST else self.cluster.send(own, self.cluster.home(i))
        return self.cluster.submit(worker.beside, self._held[i], told)

    def _open(self, i: int) -> Future:
        # Where, Dask decides: of work that is bound to a worker nothing more is heard when that is the last
        # one, and ends.
        first, stop = self._first[i : i + 2].tolist()
        nbytes = (stop - first) * row_bytes(self.here)
        return self.cluster.submit(worker.Held, self._path, self._chunks, "train", first, stop, nbytes)

    def _send(self, i: int) -> Future:
        first, stop = self._first[i : i + 2].tolist()
        nbytes = (stop - first) * row_bytes(self.here)
        if isinstance(self.here, OnDisk):
            held = {"a piece of the rows, on its way to a worker": nbytes}
            require_given("sending rows to workers", held, ": more workers, or a cache folder that all see")
        return self.cluster.send(worker.Sent(self.here[first:stop]), self.cluster.home(i))

    def _join(self, branches: list[Future], join: np.ufunc) -> Sums:
        while len(branches) > FAN:
            parts = [branches[i : i + FAN] for i in range(0, len(branches), FAN)]
            branches = [self.cluster.submit(worker.join_branches, join, *part) for part in parts]
        tree = Tree(len(branches), join)
        for i, sums in enumerate(self.cluster.results(branches)):
            tree.add(i, tuple(np.array(one) for one in sums))
        return tree.total


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def count_pieces(workers: int) -> int:
    """Pieces for so many workers, a power of two: one for each, or enough of them to be shared evenly."""
    whole = 1 << (workers - 1).bit_length()
    return whole if whole == workers else whole * _UNEVEN
