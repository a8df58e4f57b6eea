"""The peers of ``cv``, with the folds that linclass makes; everything is imported when a peer is prepared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import exact
from benchmarks.data import Array, load
from benchmarks.measure import THREAD_VARIABLES
from benchmarks.workers import Prepared

FOLDS = 5


@dataclass(frozen=True)
class Cells:
    """What every cell reached, (folds, strengths): the objective, and the accuracy on the fold held out."""

    objective: Array | None
    accuracy: Array | None


def folds(y: Array) -> list[tuple[Array, Array]]:
    """(rows that train, rows held out) of linclass's folds with seed 0."""
    from linclass_cli.learn.splits import assign_folds

    fold_of = assign_folds(y, FOLDS, 0, True)
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(FOLDS)]


def _cells(data: Any, loss: str, l2: list[float], weights: Any) -> Cells:
    """Of ``weights(fold, strength)`` → W, b; in float64."""
    value, accuracy = np.empty((FOLDS, len(l2))), np.empty((FOLDS, len(l2)))
    for f, (rows, held) in enumerate(folds(data.y)):
        X, y = data.X[rows], data.y[rows]
        for s, strength in enumerate(l2):
            W, b = weights(f, s)
            value[f, s] = exact.objective(X, y, loss, strength, W, b)
            accuracy[f, s] = exact.accuracy(data.X[held], data.y[held], W, b)
    return Cells(value, accuracy)


def logistic_cv(folder: str, l2: list[float], tol: float, steps: int) -> Prepared:
    """LogisticRegressionCV, lbfgs, two jobs; its cells come from the coefficients it keeps."""
    from sklearn.linear_model import LogisticRegressionCV

    data = load(folder)
    splits = folds(data.y)
    # Two jobs of one thread each, as joblib has it by itself; it would hand our limit of two to both.
    for name in THREAD_VARIABLES:
        os.environ.pop(name, None)
    Cs = [1 / (len(splits[0][0]) * strength) for strength in reversed(l2)]  # ascending, as it warm-starts
    more = {"use_legacy_attributes": False, "l1_ratios": (0.0,), "scoring": "accuracy"}

    def run() -> Any:
        model = LogisticRegressionCV(Cs=Cs, cv=splits, n_jobs=2, tol=tol, max_iter=steps, **more)
        return model.fit(data.X, data.y)

    def collect(model: Any) -> Cells:
        paths = np.asarray(model.coefs_paths_).reshape(FOLDS, len(l2), data.k, -1)[:, ::-1]
        return _cells(data, "softmax", l2, lambda f, s: (paths[f, s, :, :-1], paths[f, s, :, -1]))

    return Prepared(run, collect)


def ridge_loop(folder: str, l2: list[float]) -> Prepared:
    """RidgeClassifier in a loop over folds and strengths."""
    from sklearn.linear_model import RidgeClassifier

    data = load(folder)
    parts = [(data.X[rows], data.y[rows]) for rows, _ in folds(data.y)]

    def run() -> Any:
        return [[RidgeClassifier(alpha=s * len(y)).fit(X, y) for s in l2] for X, y in parts]

    def collect(models: Any) -> Cells:
        def weights(f: int, s: int) -> tuple[Array, Array]:
            return models[f][s].coef_ / 2, (models[f][s].intercept_ + 1) / 2

        return _cells(data, "ridge", l2, weights)

    return Prepared(run, collect)


def ridge_cv(folder: str, l2: list[float], by_folds: bool) -> Prepared:
    """RidgeClassifierCV, with these folds or with its own exact leave-one-out; it keeps no cell's weights."""
    from sklearn.linear_model import RidgeClassifierCV

    data = load(folder)
    splits = folds(data.y) if by_folds else None
    rows = len(data.y) * (FOLDS - 1) / FOLDS if by_folds else len(data.y)

    def run() -> Any:
        return RidgeClassifierCV(alphas=[s * rows for s in l2], cv=splits).fit(data.X, data.y)

    return Prepared(run, lambda _: Cells(None, None))
