"""``patches``: the encoder of the feature patches beside the machine's peak of products.

A patch's answers are the product of K = patch_size² · channels values and the filters: 2 · patches · K ·
filters operations an image. The floor is that over the measured peak of sgemm, all threads at once; cutting,
evening out, rectifying and summing come on top.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import THREADS, alternate, note
from benchmarks.options import Options
from benchmarks.report import Entry, Group, Report

SIDE, CHANNELS = 32, 3
FILTERS = (400, 1600)
TILE, BLOCK = 1024, 256  # the shape of the encoder's own products


def run(options: Options) -> Report:
    """The encoder and sgemm of as many operations take turns, in one process."""
    from linclass_cli.features import make_extractor
    from linclass_cli.features.patches import Patches
    from linclass_cli.threads import use_threads

    rounds = options.rounds or (1 if options.quick else 7)
    n = 64 if options.quick else 1024
    images = np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, CHANNELS)).astype(np.uint8)
    report = Report("patches", f"{n:,} random images {SIDE} × {SIDE} × {CHANNELS}", options.quick, rounds)
    with use_threads(THREADS):
        for filters in FILTERS[: 1 if options.quick else None]:
            extractor = make_extractor("patches", filters=filters, rounds=0, patch_samples=2 * filters)
            assert isinstance(extractor, Patches)
            fitted = extractor.fit(images[:64])
            out = np.empty((n, fitted.dim((SIDE, SIDE, CHANNELS))), np.float32)
            patches = (SIDE - fitted.patch_size + 1) ** 2
            K = fitted.patch_size**2 * CHANNELS
            calls = {
                "encoder": _timed(lambda e=fitted, out=out: e(images, out)),  # type: ignore[misc]
                "sgemm": _timed(lambda f=filters, p=patches, K=K: _products(n * p * f, K)),  # type: ignore[misc]
            }
            for call in calls.values():
                call()
            note(f"{filters} filters")
            samples = alternate(calls, rounds)
            group = Group(f"{filters} filters, an image", "ms", ratio="of the encoder's time")
            group.entries = [
                Entry("linclass encoder", ours=True),
                Entry("floor: sgemm of as many operations, on all threads"),
            ]
            for entry, name in zip(group.entries, calls, strict=True):
                entry.measured(samples[name], per=n)
            group.compare()
            group.facts["operations an image"] = f"{2 * patches * K * filters:,}"
            report.add(group)
    return report


def _timed(work: Callable[[], Any]) -> Callable[[], float]:
    def call() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return call


def _products(answers: int, K: int) -> None:
    """Products that give so many answers, of K multiply-adds each, in tiles that stay in the cache."""
    from linclass_cli.threads import Spans, in_chunks

    tiles = -(-answers // (TILE * BLOCK))

    def work(spans: Spans) -> None:
        A, B = np.ones((TILE, K), np.float32), np.ones((K, BLOCK), np.float32)
        S = np.empty((TILE, BLOCK), np.float32)
        for _ in spans:
            np.matmul(A, B, out=S)

    in_chunks(work, tiles)
