"""What scores are worth: accuracy and its interval, places, the confusion matrix, log loss, calibration.

Everything here is a function of scores (n, k) and labels y int64 (n,), or of counts. Of equal scores the
first class counts, as in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
BINS = 15  # of confidence, of equal width: Guo et al. 2017
_Z95 = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``correct`` in n, by Wilson's score (1927); (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = correct / n, _Z95**2 / n
    middle = share + z2 / 2
    reach = _Z95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n))
    low, high = (middle - reach) / (1 + z2), (middle + reach) / (1 + z2)
    # At the ends the formula gives 0 and 1 but for rounding.
    return (0.0 if correct == 0 else float(low)), (1.0 if correct == n else float(high))


def places(scores: Array, y: Array) -> Array:
    """How many classes stand before the label, int64 (n,): 0 where it is the prediction."""
    own = scores[np.arange(len(y)), y][:, None]
    before = np.arange(scores.shape[1])[None, :] < y[:, None]
    return np.asarray(((scores > own) | ((scores == own) & before)).sum(axis=1), np.int64)


def confusion_matrix(y: Array, predicted: Array, k: int) -> Array:
    """int64 (k, k): a row for each given class, a column for each predicted one."""
    return np.bincount(y * k + predicted, minlength=k * k).reshape(k, k)


@dataclass(frozen=True)
class ClassReport:
    """Each class by itself, float64 (k,); support int64 (k,): its images. A share of no images is 0."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


def class_report(confusion: Array) -> ClassReport:
    """Precision, recall and F1 of each class, from a confusion matrix (k, k)."""
    right = np.diag(confusion).astype(np.float64)
    given, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return ClassReport(
        precision=right / np.maximum(predicted, 1),
        recall=right / np.maximum(given, 1),
        f1=2 * right / np.maximum(given + predicted, 1),
        support=given,
    )


def log_probabilities(scores: Array, temperature: float = 1.0) -> Array:
    """log softmax(scores / temperature), float64 (n, k)."""
    logits = scores.astype(np.float64) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.asarray(logits)


def log_loss(log_p: Array, y: Array) -> float:
    """The mean of -log p of the labels, from log probabilities (n, k)."""
    return float(-log_p[np.arange(len(y)), y].mean())


@dataclass(frozen=True)
class Calibration:
    """Predictions in bins of confidence (from, to], all (bins,): edges (bins + 1,), their number, the mean
    confidence and the share that is correct; both are NaN where a bin is empty."""

    edges: Array
    count: Array
    confidence: Array
    accuracy: Array

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of abs(accuracy - confidence), by the bins' numbers."""
        full = self.count > 0
        gaps = np.abs(self.accuracy[full] - self.confidence[full])
        return float((self.count[full] * gaps).sum() / max(self.count.sum(), 1))


def calibration(confidence: Array, correct: Array, bins: int = BINS) -> Calibration:
    """Predictions in bins of equal width of their probabilities (n,); whether they are right: bool (n,)."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    at = np.searchsorted(edges[1:-1], confidence)
    count = np.bincount(at, minlength=bins)
    share = np.where(count > 0, 1.0, np.nan) / np.maximum(count, 1)
    return Calibration(
        edges,
        count,
        np.bincount(at, confidence, bins) * share,
        np.bincount(at, correct.astype(np.float64), bins) * share,
    )
