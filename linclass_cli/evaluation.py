"""What ``evaluate`` does with scores: every number of one run, and the comparison of two."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.metrics import (
    BINS,
    Calibration,
    calibration,
    class_report,
    confusion_matrix,
    log_loss,
    log_probabilities,
    places,
    wilson_interval,
)
from linclass_cli.model import Model
from linclass_cli.scoring import Scored

TOPS = (1, 2, 3, 5, 10)


def has_probabilities(model: Model) -> bool:
    """Whether softmax(scores / temperature) is meant as probabilities: by the loss, or by calibration.

    The scores of hinge, squared-hinge and ridge are margins and targets; nothing makes their softmax a
    probability before a temperature is fitted.
    """
    return model.loss == "softmax" or model.calibrated


def check_finite(scored: Scored) -> Scored:
    """The same. Raises InputError where scores are not finite."""
    if not np.isfinite(scored.scores).all():
        raise InputError(f"{scored.run.id} gives scores that are not finite on {scored.config.data.name}")
    return scored


def evaluate(scored: Scored) -> dict[str, Any]:
    """The numbers of a run, as JSON-able values.

    log_loss, ece and calibration are None where the model has no probabilities. Raises InputError where there
    are no images, or scores are not finite.
    """
    y, scores, model = scored.y, check_finite(scored).scores, scored.model
    n, k = scores.shape
    if n == 0:
        raise InputError(f"{scored.config.data.name} has no test images: there is nothing to evaluate on")
    place = places(scores, y)
    correct = int((place == 0).sum())
    confusion = confusion_matrix(y, scores.argmax(axis=1), k)
    report = class_report(confusion)
    columns = (model.classes, report.precision, report.recall, report.f1, report.support)
    present, seen = report.support > 0, confusion.sum(axis=0) + report.support > 0
    return {
        "run": scored.run.id,
        "dataset": scored.config.data.name,
        "feature": scored.config.feature.name,
        "n": n,
        "loss": model.loss,
        "accuracy": correct / n,
        "accuracy_interval": list(wilson_interval(correct, n)),
        "interval": "Wilson, 95 %",
        "top_accuracy": {str(top): float((place < top).mean()) for top in TOPS if top <= k},
        "top5_accuracy": float((place < 5).mean()),
        "balanced_accuracy": float(report.recall[present].mean()),
        "macro_f1": float(report.f1[seen].mean()),
        **_probabilities(scored),
        "classes": list(model.classes),
        "per_class": [
            {"class": name, "precision": p, "recall": r, "f1": f1, "support": support}
            for name, p, r, f1, support in zip(*(_plain(column) for column in columns), strict=True)
        ],
        "confusion": confusion.tolist(),
    }


def run_calibration(scored: Scored) -> tuple[float, Calibration]:
    """(log loss, calibration) of softmax(scores / temperature), whatever loss the run was made with."""
    log_p = log_probabilities(scored.scores, scored.model.temperature)
    correct = scored.scores.argmax(axis=1) == scored.y
    return log_loss(log_p, scored.y), calibration(np.exp(log_p.max(axis=1)), correct)


def compare_runs(first: Scored, second: Scored) -> dict[str, Any]:
    """The paired comparison of two runs on the same images. Raises InputError where they are not the same."""
    from linclass_cli.learn.paired import compare

    names = [one.config.data.name for one in (first, second)]
    if names[0] != names[1] or not np.array_equal(first.y, second.y):
        raise InputError(
            f"{first.run.id} is of {names[0]} and {second.run.id} of {names[1]}: a paired test "
            "wants the same images; name them with --data"
        )
    paired = compare(*(one.scores.argmax(axis=1) == one.y for one in (first, second)))
    return {"first": first.run.id, "second": second.run.id, "test": "McNemar, exact", **asdict(paired)}


def _probabilities(scored: Scored) -> dict[str, Any]:
    model = scored.model
    about = {
        "calibrated": model.calibrated,
        "temperature": model.temperature if model.calibrated else None,
        "ece_bins": BINS,
    }
    if not has_probabilities(model):
        return about | {"log_loss": None, "ece": None, "calibration": None}
    loss, bins = run_calibration(scored)
    columns = (bins.edges[:-1], bins.edges[1:], bins.count, bins.confidence, bins.accuracy)
    names = ("from", "to", "n", "confidence", "accuracy")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*map(_plain, columns), strict=True)]
    return about | {"log_loss": loss, "ece": bins.error, "calibration": [row for row in rows if row["n"]]}


def _plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values
