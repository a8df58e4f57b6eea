"""The one config object: frozen pydantic models, each setting with its default, range and description.

The names of losses, solvers and features are spelled here, too, so that help, completion and errors need
neither numpy nor numba; a test holds them against the registries of the stages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.fields import FieldInfo

FeatureName = Literal["hog", "pixels", "hue"]
LossName = Literal["softmax", "hinge", "squared-hinge", "ridge"]
SolverName = Literal["auto", "newton", "lbfgs", "sgd", "closed"]
BlockNorm = Literal["L1", "L1-sqrt", "L2", "L2-Hys"]


def parse_strengths(value: Any) -> Any:
    """Strengths of l2 from ``LOW:HIGH:COUNT`` (geometric), ``A,B,C``, one number, or a list of numbers.

    Returns a sorted tuple of distinct floats; raises ``ValueError`` for anything else.
    """
    if isinstance(value, str) and ":" in value:
        parts = value.split(":")
        if len(parts) != 3:
            raise ValueError("a range is LOW:HIGH:COUNT")
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
        if not (0 < low < high < math.inf and 2 <= count <= 1000):
            raise ValueError("a range LOW:HIGH:COUNT wants 0 < LOW < HIGH and 2 <= COUNT <= 1000")
        ratio = math.log(high / low) / (count - 1)
        # Twelve digits: 1e-3 is to be 1e-3, not its neighbour.
        value = [float(f"{low * math.exp(ratio * i):.12g}") for i in range(count)]
    elif isinstance(value, str):
        value = [float(part) for part in value.split(",")]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple) or any(isinstance(x, bool | str) for x in value):
        raise ValueError("strengths are numbers: a list, A,B,C or LOW:HIGH:COUNT")
    return tuple(sorted({float(x) for x in value}))


Strengths = Annotated[
    tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...],
    BeforeValidator(parse_strengths),
    Field(min_length=1),
]


class Section(BaseModel):
    """A group of settings. ``only_for`` names the choices of ``name`` that a setting belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    only_for: ClassVar[dict[str, tuple[str, ...]]] = {}

    def options(self, name: str) -> dict[str, Any]:
        """The settings that the choice ``name`` has, without ``name`` itself."""
        return {
            key: getattr(self, key)
            for key in type(self).model_fields
            if key != "name" and name in self.only_for.get(key, (name,))
        }


class DataConfig(Section):
    name: str = Field("cifar10", min_length=1, max_length=100, description="the dataset")


_HOG = ("hog",)


class FeatureConfig(Section):
    only_for = {
        "orientations": _HOG,
        "pixels_per_cell": _HOG,
        "cells_per_block": _HOG,
        "block_norm": _HOG,
        "transform_sqrt": _HOG,
        "channels": _HOG,
        "bins": ("hue",),
    }

    name: FeatureName = Field("hog", description="what is computed from each image")
    orientations: int = Field(9, ge=1, le=36, description="orientation bins in 180 degrees")
    pixels_per_cell: int = Field(8, ge=1, le=1024, description="side of a cell, in pixels")
    cells_per_block: int = Field(3, ge=1, le=64, description="side of a block, in cells")
    block_norm: BlockNorm = Field("L2-Hys", description="how a block is normalised")
    transform_sqrt: bool = Field(False, description="take the square root of the pixels first")
    channels: Literal["mean", "largest"] = Field(
        "mean", description="colour: grey by the mean, or each pixel's channel of largest gradient"
    )
    bins: int = Field(16, ge=2, le=360, description="bins of the histogram of hue")


class ModelConfig(Section):
    loss: LossName = Field("softmax", description="softmax is logistic regression, hinge the linear SVM")
    l2: float = Field(1e-3, ge=0, description="strength: mean(loss) + l2/2 * ||W||^2; C = 1/(n*l2)")
    scale: Literal["standard", "range", "none"] = Field(
        "standard", description="scaling of each feature, learned from the training part"
    )


_SGD = ("sgd",)
_LBFGS = ("lbfgs",)
_NEWTON = ("newton",)


class SolverConfig(Section):
    only_for = {
        "learning_rate": _SGD,
        "decay": _SGD,
        "momentum": _SGD,
        "batch_size": _SGD,
        "epochs": _SGD,
        "init_range": _SGD,
        "tolerance": _LBFGS,
        "gap": _NEWTON,
        "max_iterations": _NEWTON + _LBFGS,
    }

    name: SolverName = Field("auto", description="auto: closed for ridge, sgd for hinge, else newton")
    learning_rate: float = Field(1e-3, gt=0, description="step of SGD")
    decay: float = Field(0.0, ge=0, description="rate in epoch e (from 0): learning_rate / (1 + decay * e)")
    momentum: float = Field(0.0, ge=0, lt=1, description="share of the last step that is kept")
    batch_size: int = Field(100, ge=1, le=2**31, description="images a step")
    epochs: int = Field(100, ge=1, le=1_000_000, description="passes over the training part")
    init_range: float = Field(1e-3, ge=0, le=1e6, description="W starts uniform within ± this, the bias at 0")
    tolerance: float = Field(1e-5, gt=0, description="stop at this largest entry of the gradient")
    gap: float = Field(1e-6, gt=0, description="stop at this estimated distance to the optimum, relative")
    max_iterations: int = Field(2000, ge=1, le=1_000_000, description="stop after this many steps anyway")


class SplitConfig(Section):
    val_fraction: float = Field(0.2, ge=0, lt=1, description="part held out for validation; 0: none")
    stratify: bool = Field(True, description="keep the classes' shares in every part")


class CvConfig(Section):
    folds: int = Field(5, ge=2, le=1000, description="parts of the training images")
    l2: Strengths = Field(
        parse_strengths("1e-5:1e-1:9"), description="strengths to try: A,B,C or LOW:HIGH:COUNT"
    )


class Config(Section):
    """Everything that decides a result, and where and with how many threads it is computed."""

    cache_dir: str = Field(
        "cache",
        min_length=1,
        max_length=4000,
        pattern=r"^[^\x00]+$",
        description="folder of datasets, features and runs",
    )
    threads: int = Field(0, ge=0, le=1024, description="threads; 0: one a core. Results do not depend on it")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="seed of splits, starts and orders")
    data: DataConfig = DataConfig()
    feature: FeatureConfig = FeatureConfig()
    model: ModelConfig = ModelConfig()
    solver: SolverConfig = SolverConfig()
    split: SplitConfig = SplitConfig()
    cv: CvConfig = CvConfig()

    @property
    def solver_name(self) -> str:
        """The solver that ``auto`` stands for."""
        if self.solver.name != "auto":
            return self.solver.name
        return {"ridge": "closed", "hinge": "sgd"}.get(self.model.loss, "newton")

    @property
    def cache(self) -> Path:
        return Path(self.cache_dir)

    def choice(self, section: str) -> str | None:
        """The name that decides which settings of a section mean anything."""
        return {"feature": self.feature.name, "solver": self.solver_name}.get(section)

    def record(self) -> dict[str, Any]:
        """What decides the result, as JSON-able values: no folder, no threads, nothing that has no effect."""
        return {
            "seed": self.seed,
            "data": self.data.model_dump(),
            "feature": {"name": self.feature.name, **self.feature.options(self.feature.name)},
            "model": self.model.model_dump(),
            "solver": {"name": self.solver_name, **self.solver.options(self.solver_name)},
            "split": self.split.model_dump(),
            "cv": {"folds": self.cv.folds, "l2": list(self.cv.l2)},
        }


def leaves() -> Iterator[tuple[str, FieldInfo]]:
    """Every setting as (dotted key, field), in the order of the models."""
    for name, field in Config.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            for inner, inner_field in field.annotation.model_fields.items():
                yield f"{name}.{inner}", inner_field
        else:
            yield name, field


def owners(key: str) -> tuple[str, ...]:
    """The choices that a setting belongs to (``learning_rate``: sgd); none where it always counts."""
    head, _, name = key.partition(".")
    section = Config.model_fields[head].annotation
    if isinstance(section, type) and issubclass(section, Section):
        return section.only_for.get(name, ())
    return ()
