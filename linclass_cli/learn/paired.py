"""Two models on the same images: which of them is better, and whether it could be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linclass_cli.learn.metrics import Array

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Paired:
    """Images by who was right, the difference of the accuracies (first - second) and what chance says of it.

    ``difference_interval``: 95 %, Agresti and Min (2005): Wald's, with half an image more in each cell.
    ``p_value``: McNemar's test (1947), exact: of the images where only one was right, as uneven a split or a
    more uneven one, by a fair coin.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    difference: float
    difference_interval: tuple[float, float]
    p_value: float


def compare(first: Array, second: Array) -> Paired:
    """Compare two models by whether they were right, bool (n,), about the same n images, n >= 1."""
    from scipy.stats import binomtest

    n = len(first)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p = float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0
    middle = (only_first - only_second) / (n + 2)
    reach = _Z95 * np.sqrt((discordant + 1) / (n + 2) - middle**2) / np.sqrt(n + 2)
    return Paired(
        both_right=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~first & ~second).sum()),
        difference=(only_first - only_second) / n,
        difference_interval=(float(middle - reach), float(middle + reach)),
        p_value=min(1.0, p),
    )
