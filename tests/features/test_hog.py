"""HOG against scikit-image: every combination of parameters, many shapes, and pixels that are hard to bin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from linclass_cli.features import Hog
from linclass_cli.features.hog import BLOCK_NORMS, CHANNELS
from linclass_cli.threads import use_threads

from .pictures import extract, pictures, skimage_features

SQUARE, WIDE, TALL_GREY = pictures((32, 32, 3)), pictures((25, 38, 3), 1), pictures((35, 26, 1), 2)


def assert_same(hog, images):
    found = extract(hog, images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, skimage_features(hog, images), rtol=0, atol=1e-5, err_msg=str(hog))


@pytest.mark.parametrize("orientations", [6, 8, 9, 12])
@pytest.mark.parametrize("cell", [4, 6, 8])
@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("norm", BLOCK_NORMS)
def test_every_combination_equals_scikit_image(orientations, cell, block, norm):
    for transform_sqrt, channels in itertools.product([False, True], CHANNELS):
        hog = Hog(orientations, cell, block, norm, transform_sqrt, channels)
        for images in (SQUARE, WIDE, TALL_GREY):
            assert_same(hog, images)


@pytest.mark.parametrize("orientations", [1, 2, 4, 7, 11, 36])
@pytest.mark.parametrize("transform_sqrt", [False, True])
@pytest.mark.parametrize("channels", CHANNELS)
def test_unusual_numbers_of_orientations_and_channels(orientations, transform_sqrt, channels):
    for shape in [(17, 23, 2), (23, 16, 5), (12, 14, 7)]:
        hog = Hog(orientations, 5, 2, "L1-sqrt", transform_sqrt, channels)
        assert_same(hog, pictures(shape, orientations))


@pytest.mark.parametrize("cell", [1, 2, 3, 13])
def test_unusual_cells(cell):
    for channels in CHANNELS:
        assert_same(Hog(9, cell, 1, "L2", False, channels), pictures((13, 14, 3)))


@pytest.mark.parametrize("shape", [(1, 9, 3), (9, 1, 3), (2, 9, 3), (9, 2, 1), (1, 1, 3)])
def test_images_that_are_hardly_more_than_a_border(shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    for transform_sqrt, channels in itertools.product([False, True], CHANNELS):
        hog = Hog(8, 1, 1, "L1", transform_sqrt, channels)
        found = extract(hog, images)
        if min(shape[:2]) > 1:
            np.testing.assert_allclose(found, skimage_features(hog, images), rtol=0, atol=1e-5)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("transform_sqrt", [False, True])
@pytest.mark.parametrize("orientations", [6, 8, 12])
def test_gradients_on_bin_boundaries(orientations, transform_sqrt):
    """Cells of one pixel without normalisation to speak of: a single pixel in the wrong bin shows."""
    rng = np.random.default_rng(3)
    levels = np.array([0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 27, 48, 64, 75, 108, 192, 255], dtype=np.uint8)
    images = rng.choice(levels, (12, 40, 40, 3))
    for channels in CHANNELS:
        hog = Hog(orientations, 1, 1, "L2", transform_sqrt, channels)
        found = extract(hog, images)
        expected = skimage_features(hog, images)
        wrong = np.abs(found - expected).reshape(-1, orientations).max(axis=1) > 1e-5
        assert wrong.sum() == 0


def test_channels_whose_squared_magnitudes_are_equal():
    """hypot breaks the tie: equal sums of squares have up to two values of it, in either order."""
    pairs = {}
    for r, c in itertools.product(range(256), repeat=2):
        pairs.setdefault(r * r + c * c, []).append((r, c))
    images = []
    for same in pairs.values():
        # (0, 0) has hypot 0; of the others take those where hypot differs.
        hypots = np.hypot(*np.array(same, dtype=float).T)
        if len(set(hypots)) > 1:
            least, most = same[int(hypots.argmin())], same[int(hypots.argmax())]
            for first, second in ((least, most), (most, least)):
                image = np.zeros((3, 3, 2), dtype=np.uint8)
                for k, (row, col) in enumerate((first, second)):
                    image[2, 1, k], image[1, 2, k] = row, col
                images.append(image)
    if not images:
        pytest.skip("the hypot of this machine's C library has one value for each sum of squares")
    assert_same(Hog(36, 3, 1, "L2", channels="largest"), np.stack(images))


@pytest.mark.parametrize("value", [0, 1, 255])
def test_constant_images_give_zeros(value):
    images = np.full((2, 16, 16, 3), value, dtype=np.uint8)
    for norm, channels in itertools.product(BLOCK_NORMS, CHANNELS):
        assert (extract(Hog(9, 4, 2, norm, True, channels), images) == 0).all()


@pytest.mark.parametrize("hog", [Hog(), Hog(8), Hog(8, channels="largest", transform_sqrt=True)], ids=str)
def test_the_number_of_threads_changes_nothing(hog):
    images = np.random.default_rng(0).choice(np.arange(0, 256, 5, dtype=np.uint8), (500, 32, 32, 3))
    with use_threads(1):
        one = extract(hog, images)
    with use_threads(3):
        two = extract(hog, images)
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(one[::125], skimage_features(hog, images[::125]), rtol=0, atol=1e-5)


def test_images_need_not_be_contiguous():
    images = pictures((32, 32, 3))
    assert (extract(Hog(), images[::-1, ::-1]) == extract(Hog(), images[::-1, ::-1].copy())).all()
    assert extract(Hog(), images[:0]).shape == (0, 324)


@pytest.mark.cifar
@pytest.mark.parametrize(
    "hog",
    [
        Hog(),
        Hog(channels="largest"),
        Hog(8, 8, 2, "L1-sqrt"),
        Hog(12, 4, 2, "L2", transform_sqrt=True),
        Hog(6, 6, 1, "L1", transform_sqrt=True, channels="largest"),
    ],
    ids=str,
)
def test_real_images(cifar_images, hog):
    assert_same(hog, cifar_images)
