"""Temperature scaling (Guo et al. 2017): one number that makes scores into probabilities.

p = softmax(scores / T), with the T of the least log loss on images that were not trained on. In 1/T the log
loss is convex; its derivative, mean(sum_j p_j s_j - s_y), crosses zero once. No prediction changes.
"""

from __future__ import annotations

import numpy as np

from linclass_cli.config import Config
from linclass_cli.errors import InputError
from linclass_cli.learn.losses import Array
from linclass_cli.learn.metrics import log_probabilities
from linclass_cli.learn.objective import Part, scaled
from linclass_cli.learn.tiles import copied_rows

# Where every image is right a T of 0 would be best, and where scores tell nothing, an infinite one.
COLDEST, HOTTEST = 1e-3, 1e3
_TILE = 4096


def check_calibration(config: Config) -> None:
    """Raise InputError where a temperature is wanted and nothing is held out to fit it on."""
    if config.model.calibrate and config.split.val_fraction == 0:
        raise InputError(
            "--calibrate fits a temperature on the validation part, and --val-fraction 0 leaves none: "
            "hold out a part, or leave --calibrate out"
        )


def fit_temperature(scores: Array, y: Array) -> float:
    """The temperature of the least log loss for scores (n, k) and labels y (n,), n >= 1.

    Searched within COLDEST and HOTTEST times the scores' spread. Images whose scores are beyond float32 have
    no say.
    """
    finite = np.isfinite(scores).all(axis=1)
    scores, y = scores[finite].astype(np.float64), y[finite]
    spread = float(np.abs(scores - scores.mean(axis=1, keepdims=True)).mean()) if len(y) else 0.0
    if not spread > 0:
        return 1.0
    own = float(scores[np.arange(len(y)), y].mean())

    def slope(log_t: float) -> float:
        p = np.exp(log_probabilities(scores, float(np.exp(log_t))))
        return float((p * scores).sum(axis=1).mean()) - own

    from scipy.optimize import brentq

    cold, hot = np.log(COLDEST * spread), np.log(HOTTEST * spread)
    # The slope in 1/T: it falls as T grows.
    if slope(cold) <= 0:
        return float(np.exp(cold))
    if slope(hot) >= 0:
        return float(np.exp(hot))
    return float(np.exp(brentq(slope, cold, hot, xtol=1e-6)))


def part_scores(part: Part, W: Array, b: Array) -> Array:
    """The scores of a part, float32 (m, k), at W (k, d), b (k,)."""
    rows = copied_rows(part.d, _TILE)
    tiles = [slice(first, first + rows) for first in range(0, part.m, rows)]
    return np.concatenate([scaled(part, tile) @ W.T.astype(part.dtype) + b for tile in tiles])
