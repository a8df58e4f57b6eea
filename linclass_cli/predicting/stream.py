"""Files in, predictions out, batch after batch: bounded memory, and the order of the files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from linclass_cli.model import Model
from linclass_cli.predicting.pictures import read_pictures
from linclass_cli.predicting.predictor import Predictor, probabilities
from linclass_cli.predicting.sources import Failed, Stream
from linclass_cli.predicting.vectors import read_vectors
from linclass_cli.scoring import linear_scores

Array = np.ndarray[Any, np.dtype[Any]]
_NO_SCORES = "it holds NaN, infinity or a number too far from those that the run was trained on"
_FILES, _PIXELS = 2048, 1 << 25  # of a batch, at most: its files, the bytes of its images


@dataclass(frozen=True)
class Batch:
    """Predictions of one batch.

    paths: of n files, or why there is no prediction; labels: int64 (m, top), the classes of the m that
    worked, the most likely first; scores: float32 (m, top) and probabilities: float64 (m, top) or None.
    """

    paths: list[str | Failed]
    labels: Array
    scores: Array
    probabilities: Array | None


def predict_files(predictor: Predictor, files: Stream, top: int = 1) -> Iterator[Batch]:
    """Predict every file of the stream; ``top``: how many classes are told of each, the best first.

    Files are pictures; for a run on imported vectors .npy and .npz files of vectors, whose rows are told of
    as ``path[0]`` and so on.
    """
    if predictor.takes_vectors:
        yield from _predict_vectors(predictor, files, top)
        return
    for group in _batches(files, min(_FILES, 1 + _PIXELS // math.prod(predictor.frame.shape))):
        known = [file for file in group if isinstance(file, str)]
        images, errors = read_pictures(known, predictor.frame)
        if errors:
            images = np.delete(images, list(errors), axis=0)
        rest = iter(errors.get(i, file) for i, file in enumerate(known))
        paths = [file if isinstance(file, Failed) else next(rest) for file in group]
        yield Batch(paths, *predict_images(predictor, images, top))


def _predict_vectors(predictor: Predictor, files: Stream, top: int) -> Iterator[Batch]:
    model = predictor.model
    k, d = model.weight.shape
    for file in files:
        if file is None:
            continue
        for found in [file] if isinstance(file, Failed) else read_vectors(file, d):
            if isinstance(found, Failed):
                yield Batch([found], *_best(model, np.empty((0, k), np.float32), top))
                continue
            paths, X = found
            scores = linear_scores(model, X)
            good = np.asarray(np.isfinite(scores).all(axis=1))
            told = [
                path if fine else Failed(path, _NO_SCORES) for path, fine in zip(paths, good, strict=True)
            ]
            yield Batch(told, *_best(model, scores[good], top))


def predict_images(predictor: Predictor, images: Array, top: int = 1) -> tuple[Array, Array, Array | None]:
    """labels int64, scores float32, probabilities float64 or None, (n, top), of uint8 (n, *frame.shape)."""
    return _best(predictor.model, predictor.scores(images), top)


def _best(model: Model, scores: Array, top: int) -> tuple[Array, Array, Array | None]:
    """labels, scores and probabilities of the best classes of scores (n, k)."""
    labels = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    p = probabilities(model, scores)
    best = np.take_along_axis(scores, labels, axis=1)
    return labels, best, None if p is None else np.take_along_axis(p, labels, axis=1)


def _batches(files: Stream, most: int) -> Iterator[list[str | Failed]]:
    batch: list[str | Failed] = []
    for file in files:
        if file is not None:
            batch.append(file)
        if batch and (file is None or len(batch) >= most):
            yield batch
            batch = []
    if batch:
        yield batch
