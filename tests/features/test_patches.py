"""The feature `patches` against its slow twin, scikit-learn's patches and whitening, and what it promises."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d

from linclass_cli.config import leaves
from linclass_cli.errors import InputError, IntegrityError
from linclass_cli.features import (
    Patches,
    dictionary,
    learned_by,
    learning_bytes,
    make_extractor,
    with_learned,
)
from linclass_cli.features.dictionary import _lloyd, learn
from linclass_cli.features.patches import ENCODINGS
from linclass_cli.features.patches_kernels import cut_patches
from linclass_cli.threads import use_threads
from tests import naive

from .pictures import extract, pictures


def fitted(images, **params):
    return Patches(**{"filters": 7, "patch_samples": 300, "rounds": 2, **params}).fit(images)


def twin(extractor, images):
    learned = extractor.dictionary
    return np.stack(
        [
            naive.patches(
                image,
                *(array.astype(np.float64) for array in (learned.mean, learned.whitening, learned.filters)),
                extractor.pooling,
                None if extractor.encoding == "triangle" else extractor.threshold,
                extractor.contrast,
                extractor.overlap,
                extractor.square_root,
            )
            for image in images
        ]
    )


@pytest.mark.parametrize("shape", [(12, 11, 3), (9, 14, 1), (10, 10, 4)])  # 9: one patch a row of cells
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"square_root": False},
        {"overlap": False},
        {"overlap": False, "square_root": False},
        {"pooling": 2, "patch_size": 5},
        {"pooling": 1, "threshold": 0.0, "contrast": 100.0},
        {"encoding": "triangle"},
        {"encoding": "triangle", "pooling": 2, "overlap": False, "square_root": False, "patch_size": 5},
    ],
    ids=str,
)
def test_twin(shape, params):
    images = pictures(shape)[:6]
    extractor = fitted(images, **params)
    near(extract(extractor, images), twin(extractor, images), extractor)


def near(found, expected, extractor, atol=1e-4):
    """Equal but for rounding, of the sums: roots make much of what is nearly 0.

    Of the triangle, they do so before: a patch that is a centroid is at a distance of 0, or of 0.01.
    """
    atol = 3e-2 if extractor.encoding == "triangle" else atol
    if extractor.square_root:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol**0.5)
        found, expected = found.astype(np.float64) ** 2, expected**2
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_regions_that_overlap_are_sums_of_those_that_do_not(encoding):
    images = pictures((14, 15, 3))
    overlapping = fitted(images, square_root=False, encoding=encoding)
    cells = replace(overlapping, overlap=False, pooling=4)
    parts = extract(cells, images).reshape(len(images), 4, 4, -1)
    expected = parts[:, 1:, 1:] + parts[:, 1:, :-1] + parts[:, :-1, 1:] + parts[:, :-1, :-1]
    found = extract(overlapping, images).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    rooted = extract(replace(overlapping, square_root=True), images)
    np.testing.assert_array_equal(rooted, np.sqrt(found.reshape(rooted.shape)))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("contrast", [0.0, 10.0])
def test_flat_patches(contrast, encoding):
    """Most of a picture of a digit: they say nothing, and divide nothing by zero."""
    images = pictures((12, 12, 1))[:6].copy()
    images[0], images[1], images[2, :7] = 0, 255, 31
    extractor = fitted(images, contrast=contrast, encoding=encoding)
    found = extract(extractor, images)
    assert np.isfinite(found).all()
    near(found, twin(extractor, images), extractor)
    black = fitted(np.zeros_like(images), contrast=contrast, whitening=0.0, encoding=encoding)
    assert np.isfinite(extract(black, images)).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_more_filters_and_patches_than_a_tile_holds(encoding):
    """Images of 50 × 40: several tiles an image; 300 filters: more than one block of them."""
    images = pictures((50, 40, 3))[:2]
    extractor = fitted(images, filters=300, patch_samples=700, rounds=1, encoding=encoding)
    near(extract(extractor, images), twin(extractor, images), extractor, atol=2e-3)


def test_patches_are_scikit_learns():
    image = pictures((13, 12, 3))[0]
    out = np.empty((8 * 7, 6 * 6 * 3), np.float32)
    cut_patches(image[None], 6, 0, 8, 10.0, out)
    expected = extract_patches_2d(image.astype(np.float64), (6, 6)).reshape(len(out), -1)
    expected -= expected.mean(axis=1, keepdims=True)
    expected /= np.sqrt(expected.var(axis=1, ddof=1, keepdims=True) + 10.0)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)


def test_whitening_is_scikit_learns():
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 9, 1)).astype(np.uint8)
    learned = learn(images, 3, 4, 0, 5000, 0.0, 10.0, 0)
    x = np.random.default_rng(1).normal(size=(20, 9)).astype(np.float32)
    # Patches have no mean of their own: one direction is empty, and a whitening without a floor blows it up.
    x -= x.mean(axis=1, keepdims=True)
    floor = learn(images, 3, 4, 0, 5000, 0.1, 10.0, 0)
    cut = _all_patches(images, 5000)
    pca = PCA().fit(cut)
    ours = (x - floor.mean) @ floor.whitening
    rotated = (x - pca.mean_) @ pca.components_.T / np.sqrt(pca.explained_variance_ + 0.1)
    np.testing.assert_allclose((ours**2).sum(axis=1), (rotated**2).sum(axis=1), rtol=2e-3)
    assert np.isfinite(learned.whitening).all()


def _all_patches(images, count):
    """The patches that `learn` draws with the seed 0."""
    from linclass_cli.features.dictionary import _sample

    return _sample(images, 3, count, 10.0, np.random.default_rng(0))


def test_rounds_make_the_dictionary_fit_better():
    """Gain-shape k-means: what the best filter explains of the patches grows from round to round."""
    images = pictures((24, 24, 3))
    explained = []
    for rounds in (0, 1, 3, 10):
        learned = learn(images, 6, 12, rounds, 3000, 0.1, 10.0, 0)
        np.testing.assert_allclose(np.linalg.norm(learned.filters, axis=1), 1, rtol=1e-5)
        some = learn(images, 6, 3000, 0, 3000, 0.1, 10.0, 0).filters  # whitened patches, of length 1
        explained.append(float((np.abs(some @ learned.filters.T).max(axis=1) ** 2).mean()))
    assert explained == sorted(explained)
    assert explained[-1] > 1.05 * explained[0]


def test_the_triangle_is_of_scikit_learns_distances():
    """One patch an image, so that nothing is summed: KMeans.transform's distances, less than their mean."""
    images = pictures((12, 12, 3))
    extractor = fitted(images, encoding="triangle", pooling=1, overlap=False, square_root=False)
    learned = extractor.dictionary
    pieces = np.ascontiguousarray(images[:, 3:9, 2:8])
    cut = np.empty((len(pieces), 108), np.float32)
    cut_patches(pieces, 6, 0, 1, extractor.contrast, cut)
    white = (cut - learned.mean) @ learned.whitening
    kmeans = KMeans(len(learned.filters), init=learned.filters, n_init=1, max_iter=1).fit(learned.filters)
    np.testing.assert_allclose(kmeans.cluster_centers_, learned.filters, rtol=0, atol=1e-6)
    z = kmeans.transform(white)
    expected = np.maximum(z.mean(axis=1, keepdims=True) - z, 0)
    found = extract(extractor, pieces)
    # In the third image, whose patches are all of a few kinds, some are centroids: `near` says what of it.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(found[[0, 1, 4, 5]], expected[[0, 1, 4, 5]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (96, 96, 3)])
def test_the_triangle_of_larger_images(shape):
    """Enough filters for several tiles an image, the last of them not full."""
    images = pictures(shape)
    extractor = fitted(images, encoding="triangle", filters=350)
    some = images[[0, 4]]
    learned = extractor.dictionary
    white = [_white(image, extractor) for image in some]
    distances = [cdist(one, learned.filters.astype(np.float64)) for one in white]
    codes = [np.maximum(z.mean(axis=1, keepdims=True) - z, 0) for z in distances]
    down, across = shape[0] - 5, shape[1] - 5
    expected = [
        code.reshape(down, across, -1)[
            a * down // 4 : (a + 2) * down // 4, b * across // 4 : (b + 2) * across // 4
        ].sum(axis=(0, 1))
        for code in codes
        for a in range(3)
        for b in range(3)
    ]
    found = extract(extractor, some)
    np.testing.assert_allclose(found.reshape(18, -1), np.sqrt(expected), rtol=1e-4, atol=1e-3)
    assert extract(extractor, images)[[0, 4]].tobytes() == found.tobytes()


def _white(image, extractor):
    """Whitened patches of an image, by scikit-learn's cutting, in float64."""
    size, learned = extractor.patch_size, extractor.dictionary
    patches = extract_patches_2d(image.astype(np.float64), (size, size)).reshape(-1, learned.mean.size)
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt(patches.var(axis=1, ddof=1, keepdims=True) + extractor.contrast)
    return (patches - learned.mean) @ learned.whitening.astype(np.float64)


def test_centroids_are_scikit_learns():
    """Lloyd's rounds from the same patches, on the same patches."""
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 9, 1)).astype(np.uint8)
    starts, learned = (learn(images, 3, 12, rounds, 5000, 0.1, 10.0, 0, centroids=True) for rounds in (0, 4))
    white = (_all_patches(images, 5000) - starts.mean) @ starts.whitening
    for one in starts.filters:
        assert np.abs(white - one).max(axis=1).min() < 1e-6
    kmeans = KMeans(12, init=starts.filters, n_init=1, max_iter=4, tol=0, algorithm="lloyd").fit(white)
    assert kmeans.n_iter_ == 4
    np.testing.assert_allclose(learned.filters, kmeans.cluster_centers_, rtol=0, atol=1e-4)


def test_a_centroid_without_a_patch_becomes_one():
    white = np.array([[0, 0], [0, 1], [9, 9]], np.float32)
    centroids = np.array([[0, 0], [8, 8], [50, 50]], np.float32)
    found = _lloyd(white, centroids, np.random.default_rng(0))
    np.testing.assert_array_equal(found[:2], [[0, 0.5], [9, 9]])
    assert found[2].tolist() in white.tolist()


def test_the_encoding_is_in_the_parameters_only_where_it_is_no_threshold():
    """Keys of features that are older than the choice stay as they are."""
    assert "encoding" not in Patches().params
    triangle = Patches(encoding="triangle")
    assert triangle.params | {"threshold": 0.25} == Patches().params | {"encoding": "triangle"}
    assert "threshold" not in triangle.params
    assert dict(leaves())["feature.encoding"].choices == ENCODINGS
    assert make_extractor("patches", **triangle.params) == triangle


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_same_bits_for_any_threads_and_any_company(encoding):
    images = pictures((21, 20, 3))
    images = np.concatenate([images] * 10)
    with use_threads(1):
        extractor = fitted(images, filters=40, encoding=encoding)
        one = extract(extractor, images)
    with use_threads(3):
        again = fitted(images, filters=40, encoding=encoding)
        three = extract(again, images)
    assert one.tobytes() == three.tobytes()
    assert extract(extractor, images[5:6]).tobytes() == one[5].tobytes()
    assert extract(extractor, images[3:9]).tobytes() == one[3:9].tobytes()


def test_sums_of_more_chunks_than_parts_are_of_all_patches(monkeypatch):
    """In few parts, the same for any threads; each filter's patches are summed, every one once."""
    monkeypatch.setattr(dictionary, "_CHUNK", 16)
    monkeypatch.setattr(dictionary, "_PARTS", 3)
    rng = np.random.default_rng(0)
    white, owners = rng.standard_normal((333, 5)).astype(np.float32), rng.integers(0, 7, 333)

    def assign(some):
        start = int((white == some[0]).all(axis=1).argmax())
        return owners[start : start + len(some)], np.full(len(some), 2, np.float32)

    found = []
    for threads in (1, 3):
        with use_threads(threads):
            found.append(dictionary._sums(white, 7, assign))
    (sums, counts), (again, _) = found
    assert sums.tobytes() == again.tobytes()
    np.testing.assert_array_equal(counts, np.bincount(owners, minlength=7))
    expected = np.stack([2.0 * white[owners == f].astype(np.float64).sum(axis=0) for f in range(7)])
    np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("samples", "rounds"), [(20_000, 1), (500, 1), (20_000, 0)])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_learning_takes_what_is_estimated_at_the_least(samples, rounds, encoding):
    """Or it would be refused where it could succeed; and the estimate is no small part of it."""
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3)).astype(np.uint8)
    extractor = Patches(filters=600, patch_size=4, encoding=encoding, patch_samples=samples, rounds=rounds)
    joined = make_extractor("pixels+patches", augment="flip", **extractor.params)
    with use_threads(1):
        extractor.fit(images)  # compiles
        tracemalloc.start()
        try:
            extractor.fit(images)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak / 2 < learning_bytes(extractor, (16, 16, 3)) == learning_bytes(joined, (16, 16, 3)) <= peak
    assert learning_bytes(make_extractor("pixels"), (16, 16, 3)) == 0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_was_learned_goes_in_and_out(encoding):
    images = pictures((12, 12, 3))
    extractor = fitted(images, encoding=encoding)
    kept = learned_by(extractor)
    assert {name: array.shape for name, array in kept.items()} == {
        "patches.mean": (1, 108),
        "patches.whitening": (108, 108),
        "patches.filters": (7, 108),
    }
    plain = make_extractor("patches", **extractor.params)
    again = with_learned(plain, kept)
    assert extract(again, images).tobytes() == extract(extractor, images).tobytes()
    joined = make_extractor("hog+patches", **extractor.params, pixels_per_cell=4, cells_per_block=2)
    both = extract(with_learned(joined, kept), images)
    assert both[:, -extractor.dim((12, 12, 3)) :].tobytes() == extract(extractor, images).tobytes()


@pytest.mark.parametrize("name", ["patches.mean", "patches.whitening", "patches.filters"])
def test_what_does_not_fit_is_not_taken(name):
    extractor = fitted(pictures((12, 12, 3)))
    kept = learned_by(extractor)
    with pytest.raises(IntegrityError, match="is not there: train again"):
        with_learned(extractor, {key: value for key, value in kept.items() if key != name})
    with pytest.raises(IntegrityError, match="is damaged"):
        with_learned(extractor, {**kept, name: np.full_like(kept[name], np.nan)})
    with pytest.raises(IntegrityError, match="is damaged"):
        with_learned(extractor, {**kept, name: kept[name][:, :-1]})
    with pytest.raises(IntegrityError, match="is damaged"):  # no square patches have 107 numbers
        less = {key: array[:, :-1] for key, array in kept.items()}
        with_learned(extractor, less | {"patches.whitening": less["patches.whitening"][:-1]})
    for shape in ((), (0,), (0, 0)):
        with pytest.raises(IntegrityError, match="is damaged"):
            with_learned(extractor, {key: np.zeros(shape, np.float32) for key in kept})


def test_refusals():
    with pytest.raises(InputError, match="too small for patches of 6 pixels in 4 x 4 cells: 9 x 9 pixels"):
        Patches().dim((32, 8, 3))
    assert Patches(overlap=False).dim((32, 8, 3)) == Patches().dim((9, 9, 3)) == 9 * 2 * 400
    assert Patches(encoding="triangle").dim((9, 9, 3)) == 9 * 400
    with pytest.raises(InputError, match="one grey pixel is 0 .* take --patch-size 2"):
        Patches(patch_size=1).dim((9, 9, 1))
    assert Patches(patch_size=1).dim((9, 9, 3)) > 0
    images = pictures((12, 12, 3))
    with pytest.raises(InputError, match="learns from the training part first"):
        extract(Patches(filters=7), images)
    with pytest.raises(InputError, match="from images of 3 channels, and these have 1"):
        extract(fitted(images), pictures((12, 12, 1)))
    for params, text in (
        ({"filters": 0}, "filters must be a whole number, 1 to 100000, not 0"),
        ({"rounds": -1}, "rounds must be a whole number, 0 to 1000, not -1"),
        ({"threshold": float("nan")}, "threshold must be a number, 0 to 1e6, not nan"),
        ({"encoding": "hard"}, "encoding must be one of threshold, triangle, not 'hard'"),
        ({"encoding": "triangle", "threshold": 0.5}, r"triangle has no threshold \(0.5\): leave that out"),
        ({"encoding": "triangle", "filters": 1}, "triangle wants 2 filters at least"),
        ({"overlap": 1}, "overlap must be true or false, not 1"),
        ({"square_root": "yes"}, "square_root must be true or false, not 'yes'"),
    ):
        with pytest.raises(InputError, match=text):
            Patches(**params)
