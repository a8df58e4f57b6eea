"""Which features are wanted, and where they belong: made without reading an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linclass_cli.config import Config
from linclass_cli.data.manifest import DatasetInfo, describe_dataset
from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import InputError
from linclass_cli.features import Extractor, describe_extractor, learning_bytes, learns, make_extractor
from linclass_cli.memory import require
from linclass_cli.store import feature_path


@dataclass(frozen=True)
class Plan:
    """The features of a dataset by an extractor; ``meta`` makes their key, ``path`` is where they belong."""

    info: DatasetInfo
    extractor: Extractor
    meta: dict[str, Any]
    path: Path

    @property
    def d(self) -> int:
        """Features of an image."""
        return self.extractor.dim(self.info.image_shape)


def plan_features(config: Config) -> Plan:
    """Decide what is wanted. MissingError when the dataset is not there, InputError for bad parameters."""
    extractor = make_extractor(config.feature.name, **config.feature.options(config.feature.name))
    info = describe_dataset(config.data.name, config.cache)
    if info.kind == "vectors" and extractor.name != "vectors":
        raise InputError(
            f"{info.name} holds vectors, no images, so {extractor.name} cannot be computed; "
            "take --feature vectors"
        )
    if info.kind == "images" and extractor.name == "vectors":
        raise InputError(f"{info.name} holds images, no vectors; take --feature hog, or import vectors")
    extractor.dim(info.image_shape)
    meta = {
        "format": 1,
        "dataset": {"name": info.name, "digest": info.digest},
        "feature": describe_extractor(extractor),
    }
    if config.feature.store_dtype != "float32":
        meta["dtype"] = config.feature.store_dtype
    return Plan(info, extractor, meta, feature_path(config.cache, meta))


def require_extraction(plan: Plan) -> None:
    """Raise ResourceError where images, or what learns from them, surely do not fit."""
    info = plan.info
    n = info.n_train + info.n_test
    what = f"extracting {plan.extractor.name} of {info.name}"
    held = {"labels": 2 * 8 * n, "a batch": 4 * plan.d}
    # The images of known datasets are put together in memory; imported ones, and vectors, are read when they
    # are wanted, if need be, and features written as they come.
    if info.name in DATASETS:
        held["images"] = n * math.prod(info.image_shape)
    if learns(plan.extractor):
        # Before there are features.
        learning = {"the dictionary": learning_bytes(plan.extractor, info.image_shape)}
        require(what, held | learning, less=": fewer --patch-samples or --filters")
    require(what, held)
