"""The feature `pairs` against its slow twin and scikit-image's co-occurrences, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import graycomatrix

from linclass_cli.errors import InputError
from linclass_cli.features import Pairs
from linclass_cli.threads import use_threads
from tests import naive

from .pictures import extract, mirrored, pictures

SHAPES = [(8, 8, 3), (9, 7, 1), (7, 10, 4), (2, 2, 3), (2, 6, 1)]
PARAMS = [(8, (1,), 2), (6, (1, 2), 3), (2, (3,), 1), (8, (2, 1), 16)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("directions", "distances", "regions"), PARAMS)
def test_twin(shape, directions, distances, regions):
    if max(distances) >= min(shape[:2]):
        distances = (1,)
    images = pictures(shape)[:: 1 if regions < 9 else 2]
    expected = [naive.pairs(image, directions, distances, regions) for image in images]
    found = extract(Pairs(directions, ",".join(map(str, distances)), regions), images)
    np.testing.assert_allclose(found**2, np.square(expected), rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)  # roots make much of what is nearly 0


def test_co_occurrences_are_scikit_images():
    """Counts of pairs of eighths, weighed by the root of the shorter gradient and shared by bins."""
    rng = np.random.default_rng(0)
    # Black and white: gradients have directions in eighths of a circle, or there is none.
    y, x = np.mgrid[:16, :18]
    image = (((y // 2 + x // 2) % 2 ^ (rng.random((16, 18)) < 0.05)) * 255).astype(np.uint8)
    padded = np.pad(image.astype(int), 1, mode="edge")
    dx, dy = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    eighth = np.round(np.arctan2(dy, dx) / (np.pi / 4)).astype(int) % 8
    level = np.where((dx != 0) | (dy != 0), eighth, 8).astype(np.uint8)
    assert set(np.unique(level)) == set(range(9))
    # Of 4 bins, the centres are the odd eighths; the even ones lie between two bins and are shared by them.
    share = np.zeros((8, 4))
    for e in range(8):
        share[e, (e // 2) % 4] += 0.5
        share[e, ((e - 1) // 2) % 4] += 0.5
    length = np.where(np.arange(8) % 2 == 1, 255 * np.sqrt(2), 255.0)
    weight = np.sqrt(np.minimum.outer(length, length))
    for r in (1, 3):
        # Angles there go from right to down; a diagonal step of r rows and columns is that much longer.
        counts = graycomatrix(level, [r * np.sqrt(2)], [np.pi / 4, 3 * np.pi / 4], levels=9)[:8, :8, 0]
        straight = graycomatrix(level, [r], [0, np.pi / 2], levels=9)[:8, :8, 0]
        ways = [straight[..., 0], straight[..., 1], counts[..., 0], counts[..., 1]]
        found = extract(Pairs(4, str(r), 1), image[None, ..., None])[0].reshape(4, 4, 4) ** 2
        for its, expected in zip(found, ways, strict=True):
            np.testing.assert_allclose(its, share.T @ (expected * weight) @ share, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 13, 1), (10, 11, 4)])
@pytest.mark.parametrize(
    ("directions", "distances", "regions"), [(8, "1,2,4", 2), (6, "3", 3), (2, "1,2", 5), (8, "2", 1)]
)
def test_a_mirror_permutes_the_columns(shape, directions, distances, regions):
    images, extractor = pictures(shape), Pairs(directions, distances, regions)
    found, turned = extract(extractor, images), extract(extractor, mirrored(images))
    columns = extractor.mirror(shape)
    np.testing.assert_allclose(turned**2, found[:, columns] ** 2, rtol=1e-5, atol=2e-4)
    np.testing.assert_allclose(turned, found[:, columns], rtol=1e-5, atol=2e-3)
    assert np.array_equal(columns[columns], np.arange(found.shape[1]))


def test_same_bits_for_any_threads_and_any_company():
    images = np.concatenate([pictures((13, 12, 3), seed) for seed in range(20)])
    with use_threads(1):
        one = extract(Pairs(), images)
    with use_threads(3):
        assert extract(Pairs(), images).tobytes() == one.tobytes()
    assert extract(Pairs(), images[70:71]).tobytes() == one[70].tobytes()
    assert extract(Pairs(), images[::2]).tobytes() == one[::2].tobytes()


def test_grey_images_have_no_opponents():
    assert Pairs().dim((8, 8, 3)) == 2 * Pairs().dim((8, 8, 1)) == 2 * 3 * 4 * 4 * 64
    images = np.repeat(pictures((9, 9, 1)), 3, axis=3)
    found = extract(Pairs(), images).reshape(len(images), 2, -1)
    assert found[:, 0].any()
    assert not found[:, 1].any()
    assert found[:, 0].tobytes() == extract(Pairs(), images[..., :1]).tobytes()


def test_small_images():
    with pytest.raises(InputError) as raised:
        Pairs(distances="1,64").dim((32, 40, 3))
    assert str(raised.value) == (
        "images of 32 x 40 pixels have no pairs of pixels 64 apart; take --distances up to 31"
    )
    for shape in ((1, 1, 3), (1, 9, 3), (9, 1, 1)):
        with pytest.raises(InputError, match="of one pixel's height or width have no pairs"):
            Pairs(distances="1").dim(shape)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"pair_directions": 7}, "pair_directions must be an even whole number, 2 to 36, not 7"),
        ({"pair_directions": 38}, "not 38"),
        ({"distances": "0"}, "distances must be up to 8 different whole numbers, 1 to 64, with commas"),
        ({"distances": "65"}, "not '65'"),
        ({"distances": "1;2"}, "not '1;2'"),
        ({"regions": 0}, "regions must be a whole number, 1 to 16, not 0"),
        ({"regions": 17}, "not 17"),
        ({"regions": True}, "not True"),
    ],
)
def test_refusals(params, text):
    with pytest.raises(InputError) as raised:
        Pairs(**params)
    assert text in str(raised.value)
