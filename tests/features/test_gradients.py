"""The feature `gradients` against its slow twin and numpy's histogram, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.errors import InputError
from linclass_cli.features import Gradients
from linclass_cli.threads import use_threads
from tests import naive

from .pictures import extract, mirrored, pictures

SHAPES = [(8, 8, 3), (9, 7, 1), (7, 10, 4), (1, 1, 3), (2, 2, 1), (1, 5, 3)]
PARAMS = [(18, (8, 4)), (6, (1,)), (2, (3, 2, 5)), (8, (4,))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("directions", "sides"), PARAMS)
def test_twin(shape, directions, sides):
    images = pictures(shape)
    sides = [side for side in sides if side <= min(shape[:2])] or [1]
    expected = [naive.gradients(image, directions, sides) for image in images]
    found = extract(Gradients(directions, ",".join(map(str, sides))), images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-3)  # roots make much of what is nearly 0
    np.testing.assert_allclose(found**2, np.square(expected), rtol=1e-5, atol=2e-4)


def test_one_cell_is_a_histogram_of_numpys_where_directions_are_centres():
    """Steps of 0 and 255 have directions in eighths of a circle: with 4 bins, even ones are shared."""
    rng = np.random.default_rng(0)
    image = (rng.integers(0, 2, (20, 23)) * 255).astype(np.uint8)
    padded = np.pad(image.astype(float), 1, mode="edge")
    dx, dy = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    eighths = np.round(np.arctan2(dy, dx) / (np.pi / 4)).astype(int) % 8
    # One cell has its centre in the middle: votes fall to 1/2 on the borders.
    inside = [1 - np.abs((np.arange(n) + 0.5) / n - 0.5) for n in image.shape]
    weights = np.hypot(dx, dy) * np.outer(*inside)
    counts = np.histogram(eighths, bins=np.arange(9), weights=weights)[0]
    # Centres are at odd eighths; even ones stand between two of them.
    expected = [(counts[2 * j] + counts[(2 * j + 2) % 8]) / 2 + counts[2 * j + 1] for j in range(4)]
    found = extract(Gradients(4, "1"), image[None, ..., None])
    np.testing.assert_allclose(found[0] ** 2, expected, rtol=1e-5)


def test_directions_count_from_right_to_down():
    across = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None], 16, axis=0)[None, ..., None]
    for image, strongest in (
        (across, {0, 7}),  # brighter to the right: between the last bin and the first
        (across.swapaxes(1, 2), {1, 2}),
        (across[:, :, ::-1], {3, 4}),
        (across.swapaxes(1, 2)[:, ::-1], {5, 6}),
    ):
        found = extract(Gradients(8, "1"), image)[0]
        assert set(np.flatnonzero(found > 1e-3)) == strongest


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 13, 1), (10, 11, 4)])
@pytest.mark.parametrize(("directions", "cells"), [(18, "8,4"), (6, "3"), (8, "5,2,1")])
def test_a_mirror_permutes_the_columns(shape, directions, cells):
    images, extractor = pictures(shape), Gradients(directions, cells)
    found, turned = extract(extractor, images), extract(extractor, mirrored(images))
    np.testing.assert_allclose(turned, found[:, extractor.mirror(shape)], rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(turned**2, found[:, extractor.mirror(shape)] ** 2, rtol=1e-5, atol=1e-3)
    assert np.array_equal(extractor.mirror(shape)[extractor.mirror(shape)], np.arange(found.shape[1]))


def test_same_bits_for_any_threads_and_any_company():
    images = np.concatenate([pictures((13, 12, 3), seed) for seed in range(30)])
    with use_threads(1):
        one = extract(Gradients(), images)
    with use_threads(3):
        assert extract(Gradients(), images).tobytes() == one.tobytes()
    assert extract(Gradients(), images[70:71]).tobytes() == one[70].tobytes()
    assert extract(Gradients(), images[::2]).tobytes() == one[::2].tobytes()


def test_black_images_have_none():
    assert not extract(Gradients(), np.full((2, 8, 8, 3), 77, np.uint8)).any()


def test_a_grid_is_no_finer_than_the_image():
    assert Gradients(18, "28,1").dim((28, 30, 1)) == 18 * (28**2 + 1)
    with pytest.raises(InputError, match="28 x 30 pixels are too small for 64 .*; take --cells up to 28"):
        Gradients(18, "4,64").dim((28, 30, 1))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"directions": 17}, "directions must be an even whole number, 2 to 72, not 17"),
        ({"directions": 0}, "not 0"),
        ({"directions": 74}, "not 74"),
        ({"directions": True}, "not True"),
        ({"directions": 18.0}, "not 18.0"),
        ({"cells": ""}, "cells must be up to 8 different whole numbers, 1 to 64, with commas, not ''"),
        ({"cells": "x"}, "not 'x'"),
        ({"cells": "4,8,8"}, "cells = 4,8,8 has 8 more than once: name each number once"),
        ({"cells": "0"}, "not '0'"),
        ({"cells": "65"}, "not '65'"),
        ({"cells": "8,"}, "not '8,'"),
        ({"cells": "-8"}, "not '-8'"),
        ({"cells": "８"}, "not '８'"),  # digits, but not ASCII's
        ({"cells": "8\n"}, "not"),
        ({"cells": 8}, "not 8"),
        ({"cells": "1,2,3,4,5,6,7,8,9"}, "not '1,2,3,4,5,6,7,8,9'"),
    ],
)
def test_refusals(params, text):
    with pytest.raises(InputError) as raised:
        Gradients(**params)
    assert text in str(raised.value)
