"""What a run's model does on the test images of its dataset, for figures and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from linclass_cli.config import Config
from linclass_cli.data.manifest import DatasetInfo, describe_dataset
from linclass_cli.errors import InputError
from linclass_cli.evaluation import check_finite, evaluate, has_probabilities, run_calibration
from linclass_cli.learn.metrics import Calibration, confusion_matrix, log_probabilities
from linclass_cli.runs import Run
from linclass_cli.scoring import Scored

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Mistake:
    """One wrong answer: image u8 (h, w, c), its place in the test part, the true and the predicted class.

    sure: how sure the model was, a probability, or how far its answer's score is ahead of the true one's.
    """

    index: int
    image: Array
    true: str
    predicted: str
    sure: str


@dataclass(frozen=True)
class Part:
    """The weights (k, d) of one feature, its name and parameters, and the images' shape (h, w, c)."""

    feature: str
    params: dict[str, Any]
    weight: Array
    image_shape: tuple[int, int, int]


class Evidence:
    """A run and ``score``, which gives its scores on the test part, or raises what hinders it."""

    def __init__(self, run: Run, score: Callable[[Run], Scored]) -> None:
        self.run = run
        self._score = score

    @cached_property
    def scored(self) -> Scored:
        return check_finite(self._score(self.run))

    @property
    def config(self) -> Config:
        return self.scored.config

    @property
    def classes(self) -> tuple[str, ...]:
        return self.scored.model.classes

    @cached_property
    def info(self) -> DatasetInfo:
        return describe_dataset(self.config.data.name, self.config.cache)

    @cached_property
    def predicted(self) -> Array:
        """The class of each image's largest score, int64 (n,)."""
        return np.asarray(self.scored.scores.argmax(axis=1))

    @cached_property
    def confusion(self) -> Array:
        return confusion_matrix(self.scored.y, self.predicted, len(self.classes))

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What ``evaluate`` says of the run."""
        return evaluate(self.scored)

    @property
    def has_probabilities(self) -> bool:
        return has_probabilities(self.scored.model)

    @cached_property
    def calibration(self) -> Calibration:
        """Of softmax(scores / temperature), whether or not that is meant as probabilities."""
        return run_calibration(self.scored)[1]

    def mistakes(self, most: int) -> list[Mistake]:
        """The wrong answers that the model is surest of, at most so many; of equal ones the first.

        It is as sure as the probability of its answer; without probabilities, as far as the answer's score is
        ahead of the true class's. Raises InputError where there are no mistakes, or no images to show.
        """
        y, predicted = self.scored.y, self.predicted
        wrong = np.flatnonzero(predicted != y)
        if not len(wrong):
            raise InputError(f"{self.run.id} makes no mistakes on the {len(y):,} test images: none to show")
        scores = self.scored.scores[wrong]
        rows = np.arange(len(wrong))
        if self.has_probabilities:
            log_p = log_probabilities(scores, self.scored.model.temperature)
            sure, unit = np.exp(log_p[rows, predicted[wrong]]), "{:.0%}"
        else:
            sure, unit = scores[rows, predicted[wrong]] - scores[rows, y[wrong]], "+{:.2f}"
        images = self._test_images()
        return [
            Mistake(
                int(wrong[i]),
                images[wrong[i]],
                self.classes[y[wrong[i]]],
                self.classes[predicted[wrong[i]]],
                unit.format(float(sure[i])).replace("%", " %"),
            )
            for i in np.argsort(-sure, kind="stable")[:most]
        ]

    def part(self, index: int) -> Part:
        """The model's weights on one of the features that its own is joined from, 0 if it is not.

        Of an image and its mirror image together: those on the image's own features.
        """
        from linclass_cli.features import bare, make_extractor, parts_of
        from linclass_cli.features.flipped import unfold

        feature, shape = self.config.feature, self.info.image_shape
        parts = parts_of(make_extractor(feature.name, **feature.options(feature.name)))
        first = sum(one.dim(shape) for one in parts[:index])
        weight = self.scored.model.weight[:, first : first + parts[index].dim(shape)]
        if parts[index] is not bare(parts[index]):
            weight = unfold(weight, bare(parts[index]), shape)
        return Part(parts[index].name, parts[index].params, weight, shape)

    @cached_property
    def filters(self) -> Array:
        """The dictionary of patches, float32 (f, size, size, channels): those with the largest weights first.

        The weight of a filter is the norm of the model's weights on its answers, in all classes and regions.
        Raises InputError for a run without patches.
        """
        from linclass_cli.features import Patches, bare, parts_of
        from linclass_cli.predicting.predictor import load_predictor

        ours = load_predictor(self.run.path.parent.parent, self.run.id)
        first = 0
        for part in parts_of(ours.extractor):
            last = first + part.dim(ours.frame.shape)
            patches = bare(part)
            if isinstance(patches, Patches) and patches.dictionary is not None:
                size, (count, _) = patches.patch_size, patches.dictionary.filters.shape
                weight = ours.model.weight[:, first:last].reshape(-1, count).astype(np.float64)
                order = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")
                return patches.dictionary.filters[order].reshape(count, size, size, -1)
            first = last
        raise InputError(f"{self.run.id} is on {ours.extractor.name}: only patches has filters")

    def _test_images(self) -> Array:
        from linclass_cli.data.readers import load_dataset

        if self.info.kind == "vectors":
            raise InputError(f"{self.info.name} holds vectors: there are no images to show")
        return load_dataset(self.config.data.name, self.config.cache).test.images
