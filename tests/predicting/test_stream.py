"""What is told of an image depends on nothing but the image."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.data.pictures import Frame
from linclass_cli.features import make_extractor
from linclass_cli.model import Model
from linclass_cli.predicting.predictor import Predictor
from linclass_cli.predicting.stream import predict_images


@pytest.mark.parametrize("feature", ["hog", "pixels"])
@pytest.mark.parametrize("k", [2, 3, 10, 17])
def test_an_image_by_itself_among_three_and_among_a_thousand(feature, k):
    rng = np.random.default_rng(k)
    images = rng.integers(0, 256, (1000, 25, 24, 3), np.uint8)
    extractor = make_extractor(feature)
    d = extractor.dim(images.shape[1:])
    weight, bias = rng.normal(size=(k, d)).astype(np.float32), rng.normal(size=k).astype(np.float32)
    mean, factor = rng.normal(size=d), rng.random(d)
    model = Model(weight, bias, mean, factor, tuple(map(str, range(k))), "softmax", "key")
    predictor = Predictor("r", model, extractor, Frame(25, 24, 3))

    def told(batch: np.ndarray) -> list[tuple[bytes, ...]]:
        """Labels, scores and probabilities of each image, bit for bit."""
        return [
            tuple(part.tobytes() for part in one)
            for one in zip(*predict_images(predictor, batch, k), strict=True)
        ]

    whole = told(images)
    assert [told(images[i : i + 1])[0] for i in range(0, 1000, 7)] == whole[::7]
    threes = [one for i in range(0, 999, 3) for one in told(images[i : i + 3])]
    assert threes == whole[:999]
