"""What the feature ``patches`` learns from training images: a whitening, and a dictionary of filters.

Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011
(contrast, ZCA whitening); Coates and Ng, The Importance of Encoding Versus Training with Sparse Coding and
Vector Quantization, ICML 2011 (random patches and gain-shape k-means, there called OMP-1, as dictionaries).
Plain k-means is Lloyd's: Least Squares Quantization in PCM, IEEE Transactions on Information Theory 1982.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from linclass_cli.features.patches_kernels import cut_patches
from linclass_cli.on_disk import OnDisk, spans
from linclass_cli.threads import Spans, in_chunks

Array = np.ndarray[Any, np.dtype[Any]]

_LEAST = 1e-6  # of the largest variance
_CHUNK = 4096  # patches that one thread takes at a time
_PARTS = 32  # sums that are kept apart, at most: as many as threads that find work


@dataclass(frozen=True)
class Dictionary:
    """mean (K,) and whitening (K, K) of contrast-normalised patches; filters (F, K); float32.

    A patch p is whitening (p - mean), whitened. Filters are whitened patches, too: directions of length 1, or
    centroids of whatever length.
    """

    mean: Array
    whitening: Array
    filters: Array


def learn(
    images: Array | OnDisk,
    size: int,
    filters: int,
    rounds: int,
    samples: int,
    whitening: float,
    contrast: float,
    seed: int,
    centroids: bool = False,
) -> Dictionary:
    """Learn from images uint8 (n, h, w, c): from ``samples`` patches at places drawn with the seed.

    There are two patches a filter at least, whatever ``samples`` says.

    ``rounds`` of gain-shape k-means, or of Lloyd's for ``centroids``, begin at random patches, and with 0
    those are the dictionary.
    """
    rng = np.random.default_rng(seed)
    patches = _sample(images, size, _count(samples, filters), contrast, rng)
    mean = patches.mean(axis=0, dtype=np.float64)
    centred = patches - mean.astype(np.float32)
    covariance = np.asarray(centred.T @ centred, np.float64) / len(patches)
    values, vectors = np.linalg.eigh(covariance)
    # A direction in which patches do not differ, as their mean, is nothing but rounding: it is left out.
    spread = np.maximum(values, 0) + whitening
    seen = spread > _LEAST * max(float(spread.max()), 1e-300)
    turn = (vectors[:, seen] / np.sqrt(spread[seen])) @ vectors[:, seen].T
    white = centred @ turn.astype(np.float32)
    chosen = white[rng.permutation(len(white))[:filters]]
    chosen = chosen if centroids else _unit(chosen)
    for _ in range(rounds):
        chosen = _lloyd(white, chosen, rng) if centroids else _gain_shape(white, chosen, rng)
    return Dictionary(mean.astype(np.float32), turn.astype(np.float32), chosen)


def learn_bytes(samples: int, filters: int, rounds: int, K: int) -> int:
    """What `learn` has in memory at the least, in bytes; ``K``: values of a patch."""
    count = _count(samples, filters)
    patches = 3 * 4 * count * K  # as they are, less their mean, whitened
    if rounds == 0:
        return patches
    sums = 8 * min(_PARTS, -(-count // _CHUNK)) * filters * (K + 1)
    return patches + sums + 4 * min(_CHUNK, count) * filters  # the answers of a chunk


def _count(samples: int, filters: int) -> int:
    return max(samples, 2 * filters)


def _sample(
    images: Array | OnDisk, size: int, count: int, contrast: float, rng: np.random.Generator
) -> Array:
    """Contrast-normalised patches at random places of random images, float32 (count, K)."""
    n, height, width, channels = images.shape
    which = rng.integers(0, n, count)
    down, across = rng.integers(0, height - size + 1, count), rng.integers(0, width - size + 1, count)
    steps = np.arange(size)
    rows, columns = down[:, None, None] + steps[:, None], across[:, None, None] + steps
    if isinstance(images, OnDisk):
        cut = np.empty((count, size, size, channels), np.uint8)
        order = np.argsort(which, kind="stable")  # as they lie in the file
        for start, stop in spans(images, 0, count):
            at = order[start:stop]
            cut[at] = images[which[at]][np.arange(len(at))[:, None, None], rows[at], columns[at]]
    else:
        cut = images[which[:, None, None], rows, columns]
    out = np.empty((count, size * size * channels), np.float32)
    cut_patches(cut, size, 0, 1, contrast, out)
    return out


def _unit(rows: Array) -> Array:
    """Each row divided by its length, float32; rows of zeros stay."""
    lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)


def _gain_shape(white: Array, filters: Array, rng: np.random.Generator) -> Array:
    """One round of gain-shape k-means: each filter becomes the sum of the patches that answer it most.

    Patches count times their answer. A filter that no patch answers becomes a random patch.
    """

    def assign(some: Array) -> tuple[Array, Array]:
        answers = some @ filters.T
        best = np.abs(answers).argmax(axis=1)
        return best, answers[np.arange(len(some)), best]

    total, _ = _sums(white, len(filters), assign)
    dead = np.flatnonzero(~total.any(axis=1))
    total[dead] = white[rng.integers(0, len(white), len(dead))]
    return _unit(total)


def _lloyd(white: Array, centroids: Array, rng: np.random.Generator) -> Array:
    """One round of k-means: each centroid becomes the mean of the patches that it is nearest to.

    A centroid that is nearest to no patch becomes a random patch.
    """
    half = (centroids.astype(np.float64) ** 2).sum(axis=1) / 2
    half = half.astype(np.float32)

    def assign(some: Array) -> tuple[Array, Array]:
        # Of |x|^2 - 2 x'c + |c|^2, the first is the same for all centroids.
        return (some @ centroids.T - half).argmax(axis=1), np.ones(len(some), np.float32)

    total, counts = _sums(white, len(centroids), assign)
    dead = np.flatnonzero(counts == 0)
    total[dead], counts[dead] = white[rng.integers(0, len(white), len(dead))], 1
    return np.asarray(total / counts[:, None], np.float32)


def _sums(white: Array, filters: int, assign: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
    """Sums (F, K) of each filter's patches, times their gains, and how many there are (F,); float64.

    ``assign`` gives of some patches the filters that they belong to and their gains. Chunks that follow each
    other share a partial sum, in their order, where there are more than `_PARTS`.
    """
    chunks = -(-len(white) // _CHUNK)
    each = -(-chunks // _PARTS)  # chunks of a partial sum
    parts = -(-chunks // each)
    sums, counts = np.zeros((parts, filters, white.shape[1])), np.zeros((parts, filters))

    def work(spans: Spans) -> None:
        for part, _ in spans:
            for t in range(part * each, min(chunks, (part + 1) * each)):
                some = white[t * _CHUNK : (t + 1) * _CHUNK]
                best, gains = assign(some)
                order = np.argsort(best, kind="stable")
                owners, starts, there = np.unique(best[order], return_index=True, return_counts=True)
                sums[part, owners] += np.add.reduceat(
                    (gains[:, None] * some)[order], starts, axis=0, dtype=np.float64
                )
                counts[part, owners] += there

    in_chunks(work, parts)
    return sums.sum(axis=0), counts.sum(axis=0)
