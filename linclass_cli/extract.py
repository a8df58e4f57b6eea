"""Dataset → features → store: what ``extract`` does, and ``train`` and ``cv`` when features are missing."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from linclass_cli.config import Config
from linclass_cli.feature_check import check_features
from linclass_cli.feature_header import describe_feature
from linclass_cli.feature_plan import Plan, plan_features, require_extraction
from linclass_cli.features import parts_of
from linclass_cli.filling import Advance, Notice, fill_with_features, fill_with_vectors
from linclass_cli.locks import holding, lock_path
from linclass_cli.store import Features, load_features, make_key

if TYPE_CHECKING:
    from linclass_cli.cluster.work import Cluster


@dataclass(frozen=True)
class Extracted:
    """What the command reports. images_per_second is None where nothing had to be computed."""

    key: str
    path: Path
    feature: str
    dataset: str
    n_train: int
    n_test: int
    d: int
    cached: bool
    seconds: float
    images_per_second: float | None


def silent(*_: object) -> None:
    """Hears of nothing."""


def extract(
    plan: Plan,
    config: Config,
    advance: Advance,
    force: bool = False,
    notice: Notice = silent,
    cluster: Cluster | None = None,
) -> Extracted:
    """Fill the store with the planned features, unless they are there, verified; ``force``: in any case.

    ``advance(done, total)`` hears of images; a ``cluster`` computes their features. What an interrupted
    extraction has finished is not computed again; while another process extracts the same features, this one
    waits; ``notice`` hears of both.

    Raises IntegrityError when what is there is damaged (and not ``force``), ResourceError when the disk is
    too small.
    """
    began = time.perf_counter()
    if plan.path.is_file() and not force:
        return _cached(plan, began)
    what = f"{describe_feature(plan.meta)} features of {plan.info.name}"

    def wait(who: str) -> None:
        notice(f"{who} is extracting these features ({what}): waiting for it")

    require_extraction(plan)
    with holding(lock_path(plan.path), wait):
        if plan.path.is_file() and not force:
            return _cached(plan, began)
        if plan.info.kind == "vectors":
            computed = fill_with_vectors(plan, config, advance)
        else:
            computed = fill_with_features(plan, config, advance, force, notice, cluster)
    seconds = time.perf_counter() - began
    return _report(plan, seconds, computed / seconds)


def _cached(plan: Plan, began: float) -> Extracted:
    _load(plan)
    return _report(plan, time.perf_counter() - began, None)


def obtain_features(
    config: Config, advance: Advance = silent, notice: Notice = silent, cluster: Cluster | None = None
) -> tuple[Plan, Features]:
    """The verified features that the config asks for; extracted first where they are missing, saying so."""
    plan = plan_features(config)
    if not plan.path.is_file():
        what = "" if plan.info.kind == "vectors" else f"{describe_feature(plan.meta)} "
        notice(f"no {what}features of {config.data.name} in the store yet: extracting them first")
        extract(plan, config, advance, notice=notice, cluster=cluster)
    return plan, _load(plan)


def _load(plan: Plan) -> Features:
    """The planned features, verified, of the dataset's rows and classes."""
    features, info = load_features(plan.path, plan.meta), plan.info
    sizes = {"train": info.n_train, "test": info.n_test}
    check_features(features, sizes, plan.d, len(info.classes))
    return replace(features, parts=tuple(part.dim(info.image_shape) for part in parts_of(plan.extractor)))


def _report(plan: Plan, seconds: float, rate: float | None) -> Extracted:
    return Extracted(
        key=make_key(plan.meta),
        path=plan.path,
        feature=plan.extractor.name,
        dataset=plan.info.name,
        n_train=plan.info.n_train,
        n_test=plan.info.n_test,
        d=plan.d,
        cached=rate is None,
        seconds=seconds,
        images_per_second=rate,
    )
