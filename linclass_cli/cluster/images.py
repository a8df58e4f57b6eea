"""Features of images by workers: batches go out, values come back in whatever order they are done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from linclass_cli.cluster import worker
from linclass_cli.cluster.work import Cluster, Future, Lost
from linclass_cli.data.manifest import DatasetInfo
from linclass_cli.features import Extractor
from linclass_cli.on_disk import Array

AHEAD = 2  # batches that wait for each thread, so that none waits for this machine


class Batches:
    """Computes features on a cluster; where its workers see the dataset, images stay where they are."""

    def __init__(self, cluster: Cluster, info: DatasetInfo, cache: Path) -> None:
        self.cluster, self.info, self.cache = cluster, info, str(cache.resolve())
        sees = cluster.ask(worker.has_dataset, self.cache, info.name, info.digest)
        self.shared = all(sees.values())
        cluster.facts["images"] = "shared" if self.shared else "sent"

    def __call__(
        self, extractor: Extractor, part: str, images: Array, d: int, wanted: Iterable[tuple[int, int]]
    ) -> Iterator[tuple[int, int, Array]]:
        """(start, stop, features float32 (stop - start, d)) of images[start:stop] for all that are wanted."""
        running: dict[Future, tuple[int, int]] = {}
        waiting = iter(wanted)

        def begin(start: int, stop: int) -> None:
            if self.shared:
                place = self.cache, self.info.name, self.info.digest, (part, slice(start, stop))
                future = self.cluster.submit(worker.extract_own, extractor, d, *place)
            else:
                future = self.cluster.submit(worker.extract_sent, extractor, d, images[start:stop])
            running[future] = start, stop

        while True:
            while len(running) < (1 + AHEAD) * max(1, self.cluster.threads) and (span := next(waiting, None)):
                begin(*span)
            if not running:
                return
            for future in self.cluster.first(list(running)):
                start, stop = running.pop(future)
                try:
                    (values,) = self.cluster.results([future])
                except worker.Unseen:  # by a worker that came later
                    self.shared, self.cluster.facts["images"] = False, "sent"
                    begin(start, stop)
                    continue
                except Lost:
                    self.cluster.recover()
                    begin(start, stop)
                    continue
                yield start, stop, values
