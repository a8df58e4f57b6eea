"""What features must be, for all that compute with them: kernels count on labels, and numbers on numbers."""

from __future__ import annotations

from linclass_cli.feature_header import damaged
from linclass_cli.halves import all_finite
from linclass_cli.on_disk import OnDisk
from linclass_cli.spread import here
from linclass_cli.store import Array, Features
from linclass_cli.threads import Spans, in_chunks

_BYTES = 8 << 20  # looked at, at a time


def check_features(features: Features, sizes: dict[str, int], d: int, classes: int) -> None:
    """Raise IntegrityError unless there are so many rows, of d finite values, with labels below ``classes``.

    Whoever made a file with matching digests may still lie in it, and kernels count on labels.
    """
    for part, block in (("train", features.train), ("test", features.test)):
        fits = block.X.shape == (sizes[part], d)
        if not fits or (block.y.size and not 0 <= block.y.min() <= block.y.max() < classes):
            raise damaged(features.path, "its rows or labels are not those of the dataset", features.meta)
        if not _is_finite(here(block.X)):
            raise damaged(features.path, "it holds NaN or infinity", features.meta)


def _is_finite(X: Array | OnDisk) -> bool:
    """Whether all values are, at the speed of memory."""
    wrong: list[int] = []

    def work(spans: Spans) -> None:
        wrong.extend(start for start, stop in spans if not all_finite(X[start:stop]))

    in_chunks(work, len(X), _BYTES // max(1, X.itemsize * X.shape[1]) + 1)
    return not wrong
