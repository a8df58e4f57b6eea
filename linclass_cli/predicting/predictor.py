"""A run that is ready to predict: images or vectors in, labels and probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.data.pictures import Frame
from linclass_cli.errors import InputError
from linclass_cli.evaluation import has_probabilities
from linclass_cli.feature_plan import plan_features
from linclass_cli.features import Extractor, with_learned
from linclass_cli.learn.metrics import log_probabilities
from linclass_cli.model import Model
from linclass_cli.runs import load_model, load_run
from linclass_cli.scoring import linear_scores, run_config

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Predictor:
    """A run's model, and how an image becomes what it was trained on.

    ``frame``: the size and the channels of the images that it was trained on.
    """

    run: str
    model: Model
    extractor: Extractor
    frame: Frame

    @property
    def takes_vectors(self) -> bool:
        """Whether it was trained on imported vectors, and so cannot see images."""
        return self.extractor.name == "vectors"

    def features(self, images: Array) -> Array:
        """Features, float32 (n, d), of images, uint8 (n, *frame.shape)."""
        X = np.empty((len(images), self.model.weight.shape[1]), np.float32)
        self.extractor(images, X)
        return X

    def scores(self, images: Array) -> Array:
        """Scores, float32 (n, k), of images, uint8 (n, *frame.shape). InputError unless finite."""
        scores = linear_scores(self.model, self.features(images))
        if not np.isfinite(scores).all():
            raise InputError(f"{self.run} gives scores that are not finite: train again")
        return scores


def load_predictor(cache: Path, name: str) -> Predictor:
    """The run of that name, ready to predict.

    Raises MissingError where the run, or the description of its dataset, is not there; IntegrityError.
    """
    run, model = load_run(cache, name), load_model(cache, name)
    plan = plan_features(run_config(run, str(cache)))
    d = plan.extractor.dim(plan.info.image_shape)
    if d != model.weight.shape[1]:
        raise InputError(
            f"{name} was trained on {model.weight.shape[1]} features, and images of {plan.info.name} have "
            f"{d} now: the dataset is another one than at training; train again"
        )
    extractor = with_learned(plan.extractor, model.learned)
    return Predictor(name, model, extractor, Frame(*plan.info.image_shape, plan.info.fit))


def probabilities(model: Model, scores: Array) -> Array | None:
    """Probabilities, float64 (n, k), of scores (n, k), or None: see has_probabilities."""
    return np.exp(log_probabilities(scores, model.temperature)) if has_probabilities(model) else None
