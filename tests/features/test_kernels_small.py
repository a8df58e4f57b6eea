"""The kernels and their naive twins on tiny images; also runs with NUMBA_DISABLE_JIT=1."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from linclass_cli.features import Colours, Gradients, Hog, Hue, Pairs, Pixels, hog
from linclass_cli.features.hog import BLOCK_NORMS, CHANNELS

from .. import naive
from .pictures import extract, pictures


@pytest.mark.parametrize("norm", BLOCK_NORMS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_hog(norm, channels):
    for transform_sqrt, shape in itertools.product([False, True], [(9, 7, 3), (6, 8, 1), (7, 6, 2)]):
        settings = (8, 3, 2, norm, transform_sqrt, channels)
        images = pictures(shape)
        expected = [naive.hog(image, *settings) for image in images]
        np.testing.assert_allclose(extract(Hog(*settings), images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("orientations", [1, 6, 7, 9, 12, 36])
def test_hog_orientations(orientations):
    images = pictures((6, 7, 3), seed=orientations)
    expected = [naive.hog(image, orientations, 3, 1) for image in images]
    np.testing.assert_allclose(extract(Hog(orientations, 3, 1), images), expected, rtol=0, atol=1e-5)


def test_hog_in_chunks_is_the_same(monkeypatch):
    images = pictures((6, 7, 3))
    for settings in (Hog(9, 3, 1), Hog(8, 3, 1), Hog(8, 3, 1, transform_sqrt=True, channels="largest")):
        whole = extract(settings, images)
        with monkeypatch.context() as patch:
            patch.setattr(hog, "_CHUNK_PIXELS", 1)
            single = extract(settings, images)
        assert whole.tobytes() == single.tobytes()


@pytest.mark.parametrize("bins", [1, 6, 16, 36])
def test_hue(bins):
    images = pictures((5, 6, 3))
    expected = [naive.hue(image, bins) for image in images]
    np.testing.assert_allclose(extract(Hue(bins), images), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels(channels):
    images = pictures((4, 3, channels))
    expected = np.array([naive.pixels(image) for image in images]).astype(np.float32)
    np.testing.assert_array_equal(extract(Pixels(), images), expected)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 3, 1)])
def test_gradients(shape):
    images = pictures(shape)
    expected = np.stack([naive.gradients(image, 6, (3, 2)) for image in images])
    found = extract(Gradients(6, "3,2"), images)
    np.testing.assert_allclose(found**2, expected**2, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 3, 1)])
def test_pairs(shape):
    images = pictures(shape)
    expected = np.stack([naive.pairs(image, 6, (1, 2), 3) for image in images])
    found = extract(Pairs(6, "1,2", 3), images)
    np.testing.assert_allclose(found**2, expected**2, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(5, 6, 3), (4, 3, 1)])
def test_colours(shape):
    images = pictures(shape)
    expected = [naive.colours(image, 3, (3, 2)) for image in images]
    np.testing.assert_allclose(extract(Colours(3, "3,2"), images), expected, rtol=1e-5, atol=1e-6)
