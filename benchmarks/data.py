"""The data of every benchmark: CIFAR-10 from linclass's cache, or a stated stand-in of the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import note

Array = np.ndarray[Any, np.dtype[Any]]
N_TRAIN, N_TEST, D, K = 50_000, 10_000, 324, 10
SEED = 1


@dataclass(frozen=True)
class Data:
    """Standardised features X float32 (n, d), y int64 (n,); the test part has the same scaling."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array

    @property
    def k(self) -> int:
        return int(self.y.max()) + 1


def prepare_features(folder: Path, cache_dir: Path, n: int = N_TRAIN) -> str:
    """Write the first n training rows, standardised, and a test part, into ``folder``; what they are.

    Features of CIFAR-10 that are missing from the cache are extracted into it, as ``linclass train`` does.
    """
    found = _cifar_features(cache_dir)
    if found is None:
        X, y, X_test, y_test = synthetic(n, min(n, N_TEST), D, K)
        what = f"synthetic: {n:,} × {D}, {K} classes, a stand-in of CIFAR-10's shape (not in the cache)"
    else:
        X, y, X_test, y_test = found
        X, y, X_test, y_test = X[:n], y[:n], X_test[: min(n, N_TEST)], y_test[: min(n, N_TEST)]
        what = f"HOG of CIFAR-10 (linclass's default), {len(y):,} × {X.shape[1]}, standardised"
    save(folder, X, y, X_test, y_test)
    return what


def save(folder: Path, X: Array, y: Array, X_test: Array, y_test: Array) -> None:
    """Standardise by the training part and write float32 files that the workers load."""
    mean, spread = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    factor = 1.0 / np.where(spread > 0, spread, 1.0)
    for name, part in (("X", X), ("X_test", X_test)):
        np.save(folder / f"{name}.npy", ((part - mean) * factor).astype(np.float32))
    np.save(folder / "y.npy", np.asarray(y, np.int64))
    np.save(folder / "y_test.npy", np.asarray(y_test, np.int64))


@cache
def load(folder: str) -> Data:
    """What :func:`save` wrote."""
    return Data(*(np.load(Path(folder) / f"{name}.npy") for name in ("X", "y", "X_test", "y_test")))


def synthetic(n: int, n_test: int, d: int, k: int) -> tuple[Array, Array, Array, Array]:
    """Correlated features with a decaying spectrum, labels drawn from a softmax of them; always the same."""
    rng = np.random.default_rng(SEED)
    total = n + n_test
    mix = rng.standard_normal((d, d)) * (np.arange(1, d + 1) ** -0.5)[:, None]
    X = (rng.standard_normal((total, d), np.float32) @ mix.astype(np.float32)).astype(np.float32)
    X /= X.std(axis=0)
    S = X @ rng.standard_normal((d, k)).astype(np.float32) * np.float32(1.5 / np.sqrt(d))
    y = np.argmax(S + rng.gumbel(size=S.shape), axis=1)
    y[:k] = y[n : n + k] = np.arange(k)  # every class is there
    return X[:n], y[:n], X[n:], y[n:]


def images(cache_dir: Path, n: int) -> tuple[Array, str]:
    """The first n training images uint8 (n, 32, 32, 3), and what they are."""
    if has_cifar(cache_dir):
        from linclass_cli.data.readers import load_dataset

        return load_dataset("cifar10", cache_dir).train.images[:n], f"{n:,} images of CIFAR-10"
    rng = np.random.default_rng(SEED)
    coarse = rng.integers(0, 200, (n, 8, 8, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    fine = rng.integers(0, 56, (n, 32, 32, 3), np.uint8)
    return coarse + fine, f"synthetic: {n:,} images 32 × 32 × 3 of random squares (no CIFAR-10 in the cache)"


def has_cifar(cache_dir: Path) -> bool:
    """Whether linclass finds the dataset in its cache."""
    from linclass_cli.data.manifest import describe_dataset
    from linclass_cli.errors import LinclassError

    try:
        describe_dataset("cifar10", cache_dir)
    except LinclassError:
        return False
    return True


def _cifar_features(cache_dir: Path) -> tuple[Array, Array, Array, Array] | None:
    if not has_cifar(cache_dir):
        return None
    from linclass_cli.config import Config
    from linclass_cli.extract import obtain_features

    _, features = obtain_features(Config(cache_dir=str(cache_dir)), lambda *_: None, note)
    return features.train.X, features.train.y, features.test.X, features.test.y
