"""Features that are on several machines as well as here: where passes over them are made, and where not.

What sums over all rows goes to where they are; whoever wants some rows as they are takes them from the file
that is here, as without a cluster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from linclass_cli.on_disk import OnDisk

if TYPE_CHECKING:
    from linclass_cli.blocks import Kept, Pass, Rows, Sums

Array = np.ndarray[Any, np.dtype[Any]]


class Spread(ABC):
    """An array of n rows, ``here`` and, cut at the same rows as the blocks of passes, elsewhere."""

    here: Array | OnDisk

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.here.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.here.dtype

    def __len__(self) -> int:
        return len(self.here)

    @abstractmethod
    def sum_blocks(self, rows: Rows, starts: Array, work: Pass, kept: Kept | None) -> Sums:
        """What `blocks.sum_blocks` gives."""

    @abstractmethod
    def keep_blocks(self, rows: Rows, starts: Array, work: Pass) -> tuple[Sums, Kept]:
        """What `blocks.keep_blocks` gives."""


AnyRows = Array | OnDisk | Spread


def here(X: AnyRows) -> Array | OnDisk:
    """X without its copies elsewhere."""
    return X.here if isinstance(X, Spread) else X
