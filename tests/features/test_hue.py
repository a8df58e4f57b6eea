"""Hue against scikit-image and numpy's histogram, colour by colour."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2hsv

from linclass_cli.errors import InputError
from linclass_cli.features import Hue
from linclass_cli.threads import use_threads

from .pictures import extract, pictures


def skimage_histograms(images, bins):
    hues = [rgb2hsv(image)[..., 0] for image in images]
    return np.stack([np.histogram(hue, bins=bins, range=(0, 1))[0] / hue.size for hue in hues])


@pytest.mark.parametrize("bins", [1, 7, 16, 36, 360])
def test_images(bins):
    images = pictures((32, 31, 3))
    np.testing.assert_allclose(
        extract(Hue(bins), images), skimage_histograms(images, bins), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("bins", [6, 12, 16, 24])
def test_every_colour_of_a_lattice(bins):
    """Each image is one pixel of one of 52³ colours, among them all that lie on sixths and quarters."""
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 1, 1, 3)
    edges = np.linspace(0, 1, bins + 1)
    expected = np.searchsorted(edges, rgb2hsv(colours)[:, 0, 0, 0], side="right") - 1
    found = extract(Hue(bins), colours)
    assert (found.sum(axis=1) == 1).all()
    assert (found.argmax(axis=1) != expected).sum() == 0


def test_greys_count_in_the_first_bin():
    images = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    assert extract(Hue(), images).tolist() == [[1.0] + [0.0] * 15]


def test_the_number_of_threads_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3)).astype(np.uint8)
    with use_threads(1):
        one = extract(Hue(), images)
    with use_threads(3):
        two = extract(Hue(), images)
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(one, skimage_histograms(images, 16), rtol=1e-6, atol=0)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_than_three_channels(channels):
    with pytest.raises(InputError, match="hue needs colour images"):
        Hue().dim((8, 8, channels))
    with pytest.raises(InputError, match="hue needs colour images"):
        Hue()(np.zeros((2, 8, 8, channels), dtype=np.uint8), np.zeros((2, 16), dtype=np.float32))


@pytest.mark.parametrize("bins", [0, -1, 361, 2.0, True, "16"])
def test_impossible_bins(bins):
    with pytest.raises(InputError, match="bins must be a whole number, 1 to 360"):
        Hue(bins)
