"""Images for the tests of extractors, and the answers of scikit-image."""

from __future__ import annotations

import numpy as np
from skimage.feature import hog as skimage_hog


def pictures(shape, seed=0):
    """Six uint8 images (6, height, width, channels): noise, and all that has hidden bugs of HOG before.

    Few levels make gradients of exactly 0, 45 and 90 degrees and equal magnitudes in several channels; with
    square roots also 30, 60 and 22.5 degrees (sqrt 3 k and sqrt k).
    """
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    levels = np.array([0, 1, 3, 4, 9, 12, 27, 48, 75, 128, 254, 255], dtype=np.uint8)
    diagonal = np.add.outer(np.arange(height) * 7, np.arange(width) * 7)[..., None] + np.arange(channels) * 50
    half = np.zeros(shape, dtype=np.uint8)
    half[:, width // 2 :] = 255
    smooth = 100 + 80 * np.sin(np.add.outer(np.arange(height) / 5, np.arange(width) / 7))[..., None]
    return np.stack(
        [
            rng.integers(0, 256, shape).astype(np.uint8),
            rng.choice(levels, shape),
            (diagonal % 256).astype(np.uint8),
            half,
            (smooth + rng.integers(0, 3, shape)).astype(np.uint8),
            np.repeat(rng.integers(0, 256, (height, width, 1)).astype(np.uint8), channels, axis=2),
        ]
    )


def extract(extractor, images):
    """The features (n, d); the array starts as NaN, so that a value never written shows."""
    out = np.full((len(images), extractor.dim(images.shape[1:])), np.nan, dtype=np.float32)
    extractor(images, out)
    return out


def skimage_features(hog, images):
    """What `skimage.feature.hog` gives for the parameters of ``hog``, float64 (n, d)."""
    settings = {
        "orientations": hog.orientations,
        "pixels_per_cell": (hog.pixels_per_cell, hog.pixels_per_cell),
        "cells_per_block": (hog.cells_per_block, hog.cells_per_block),
        "block_norm": hog.block_norm,
        "transform_sqrt": hog.transform_sqrt,
        "feature_vector": True,
    }
    if hog.channels == "mean":
        return np.stack([skimage_hog(image.mean(axis=-1), **settings) for image in images])
    return np.stack([skimage_hog(image, channel_axis=-1, **settings) for image in images])


def mirrored(images):
    """The images turned left to right."""
    return np.ascontiguousarray(images[:, :, ::-1])
