"""The feature `colours` against its slow twin and numpy, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.errors import InputError
from linclass_cli.features import Colours
from linclass_cli.threads import use_threads
from tests import naive

from .pictures import extract, mirrored, pictures

SHAPES = [(8, 8, 3), (9, 7, 1), (5, 11, 4), (4, 4, 2)]
PARAMS = [(4, (2, 4)), (2, (3,)), (3, (1, 4, 2))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("levels", "sides"), PARAMS)
def test_twin(shape, levels, sides):
    images = pictures(shape)
    expected = [naive.colours(image, levels, sides) for image in images]
    found = extract(Colours(levels, ",".join(map(str, sides))), images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 2, 1), (1, 4, 4)])
def test_twin_of_tiny_images(shape):
    images = pictures(shape)
    expected = [naive.colours(image, 4, (1,)) for image in images]
    np.testing.assert_allclose(extract(Colours(4, "1"), images), expected, rtol=1e-5, atol=1e-6)


def test_whole_cells_are_numpys():
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 20, 3)).astype(np.uint8)
    found = extract(Colours(5, "4"), images).reshape(5, 4, 4, -1)
    edges = [np.ceil(np.arange(6) * 256 / 5)] * 3  # levels of v: v * 5 // 256
    for i, image in enumerate(images):
        for a in range(4):
            for b in range(4):
                cell = image[a * 3 : a * 3 + 3, b * 5 : b * 5 + 5].reshape(-1, 3).astype(np.float64)
                values = found[i, a, b]
                np.testing.assert_allclose(values[:3], cell.mean(axis=0) / 255, rtol=1e-6)
                np.testing.assert_allclose(values[3:6], cell.std(axis=0) / 255, rtol=1e-5)
                counts = np.histogramdd(cell, edges)[0] / len(cell)
                np.testing.assert_allclose(values[6:], np.sqrt(counts).ravel(), rtol=1e-6)


def test_levels_are_equally_wide():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for levels in range(2, 17):
        counts = np.bincount(np.arange(256) * levels // 256, minlength=levels)
        found = extract(Colours(levels, "1"), ramp)[0, 2:]
        np.testing.assert_allclose(found, np.sqrt(counts / 256), rtol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 13, 1), (10, 11, 4)])
@pytest.mark.parametrize("cells", ["2,4", "3", "5,1"])
def test_a_mirror_permutes_the_columns(shape, cells):
    images, extractor = pictures(shape), Colours(3, cells)
    found, turned = extract(extractor, images), extract(extractor, mirrored(images))
    columns = extractor.mirror(shape)
    np.testing.assert_allclose(turned, found[:, columns], rtol=1e-5, atol=1e-6)
    assert np.array_equal(columns[columns], np.arange(found.shape[1]))


def test_flat_cells_do_not_deviate():
    images = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 7, 7, 3), np.uint8)
    found = extract(Colours(4, "3"), images).reshape(256, 9, -1)
    np.testing.assert_allclose(found[:, :, :3], images[:, :1, :1, 0] / 255 * np.ones((1, 9, 3)), rtol=1e-6)
    assert np.abs(found[:, :, 3:6]).max() < 1e-6


def test_same_bits_for_any_threads_and_any_company():
    images = np.concatenate([pictures((13, 12, 3), seed) for seed in range(30)])
    with use_threads(1):
        one = extract(Colours(), images)
    with use_threads(3):
        assert extract(Colours(), images).tobytes() == one.tobytes()
    assert extract(Colours(), images[70:71]).tobytes() == one[70].tobytes()
    assert extract(Colours(), images[::2]).tobytes() == one[::2].tobytes()


@pytest.mark.parametrize(
    ("params", "shape", "text"),
    [
        (
            {},
            (3, 9, 3),
            "images of 3 x 9 pixels are too small for 4 cells a side; take --colour-cells up to 3",
        ),
        (
            {"levels": 16},
            (32, 32, 4),
            "colours counts at most 4096 colours, not 16 levels of each of 4 channels; take fewer --levels",
        ),
        ({"levels": 2}, (32, 32, 13), "not 2 levels of each of 13 channels"),
        ({"levels": 2}, (32, 32, 1024), "not 2 levels of each of 1024 channels"),
    ],
)
def test_images_that_do_not_fit(params, shape, text):
    with pytest.raises(InputError) as raised:
        Colours(**params).dim(shape)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"levels": 1}, "levels must be a whole number, 2 to 16, not 1"),
        ({"levels": 17}, "not 17"),
        ({"levels": True}, "not True"),
        ({"colour_cells": "0"}, "colour_cells must be up to 8 different whole numbers, 1 to 64, with commas"),
        ({"colour_cells": "4,4"}, "colour_cells = 4,4 has 4 more than once"),
    ],
)
def test_refusals(params, text):
    with pytest.raises(InputError) as raised:
        Colours(**params)
    assert text in str(raised.value)
