"""What the feature ``patches`` learns from training images: a whitening, and a dictionary of filters.

Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011
(contrast, ZCA whitening); Coates and Ng, The Importance of Encoding Versus Training with Sparse Coding and
Vector Quantization, ICML 2011 (random patches and gain-shape k-means, there called OMP-1, as dictionaries).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from linclass_cli.features.patches_kernels import cut_patches
from linclass_cli.threads import Spans, in_chunks

Array = np.ndarray[Any, np.dtype[Any]]

_LEAST = 1e-6  # of the largest variance
_CHUNK = 4096  # patches that one thread takes at a time


@dataclass(frozen=True)
class Dictionary:
    """mean (K,) and whitening (K, K) of contrast-normalised patches; filters (F, K) of length 1; float32.

    A patch p answers a filter f with f' whitening (p - mean).
    """

    mean: Array
    whitening: Array
    filters: Array


def learn(
    images: Array,
    size: int,
    filters: int,
    rounds: int,
    samples: int,
    whitening: float,
    contrast: float,
    seed: int,
) -> Dictionary:
    """Learn from images uint8 (n, h, w, c): from ``samples`` patches at places drawn with the seed.

    ``rounds`` of gain-shape k-means begin at random patches, and with 0 those are the dictionary.
    """
    rng = np.random.default_rng(seed)
    patches = _sample(images, size, max(samples, 2 * filters), contrast, rng)
    mean = patches.mean(axis=0, dtype=np.float64)
    centred = patches - mean.astype(np.float32)
    covariance = np.asarray(centred.T @ centred, np.float64) / len(patches)
    values, vectors = np.linalg.eigh(covariance)
    # A direction in which patches do not differ, as their mean, is nothing but rounding: it is left out.
    spread = np.maximum(values, 0) + whitening
    seen = spread > _LEAST * max(float(spread.max()), 1e-300)
    turn = (vectors[:, seen] / np.sqrt(spread[seen])) @ vectors[:, seen].T
    white = centred @ turn.astype(np.float32)
    chosen = _unit(white[rng.permutation(len(white))[:filters]])
    for _ in range(rounds):
        chosen = _round(white, chosen, rng)
    return Dictionary(mean.astype(np.float32), turn.astype(np.float32), chosen)


def _sample(images: Array, size: int, count: int, contrast: float, rng: np.random.Generator) -> Array:
    """Contrast-normalised patches at random places of random images, float32 (count, K)."""
    n, height, width, channels = images.shape
    which = rng.integers(0, n, count)
    down, across = rng.integers(0, height - size + 1, count), rng.integers(0, width - size + 1, count)
    steps = np.arange(size)
    cut = images[which[:, None, None], down[:, None, None] + steps[:, None], across[:, None, None] + steps]
    out = np.empty((count, size * size * channels), np.float32)
    cut_patches(cut, size, 0, 1, contrast, out)
    return out


def _unit(rows: Array) -> Array:
    """Each row divided by its length, float32; rows of zeros stay."""
    lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def _round(white: Array, filters: Array, rng: np.random.Generator) -> Array:
    """One round of gain-shape k-means: each filter becomes the sum of the patches that answer it most.

    Patches count times their answer. A filter that no patch answers becomes a random patch.
    """
    chunks = -(-len(white) // _CHUNK)
    sums = np.zeros((chunks, *filters.shape))

    def work(spans: Spans) -> None:
        for t, _ in spans:
            some = white[t * _CHUNK : (t + 1) * _CHUNK]
            answers = some @ filters.T
            best = np.abs(answers).argmax(axis=1)
            gains = answers[np.arange(len(some)), best]
            order = np.argsort(best, kind="stable")
            owners, starts = np.unique(best[order], return_index=True)
            sums[t, owners] = np.add.reduceat(
                (gains[:, None] * some)[order], starts, axis=0, dtype=np.float64
            )

    in_chunks(work, chunks)
    total = sums.sum(axis=0)
    dead = np.flatnonzero(~total.any(axis=1))
    total[dead] = white[rng.integers(0, len(white), len(dead))]
    return _unit(total)
