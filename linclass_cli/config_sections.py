"""The sections of the config: each setting with its default, range and description.

The names of losses, solvers and features are spelled here, too, so that help, completion and errors need
neither numpy nor numba; a test holds them against the registries of the stages.
"""

# No `from __future__ import annotations`: the settings' types are read from the fields, as types.
import math
from dataclasses import dataclass
from typing import Any, Literal

from linclass_cli.sections import Section, setting

_MOST_STRENGTHS = 1000

FeatureName = Literal["hog", "pixels", "hue", "gradients", "pairs", "colours", "patches", "vectors"]
LossName = Literal["softmax", "hinge", "squared-hinge", "ridge"]
SolverName = Literal["auto", "newton", "smoothed", "lbfgs", "sgd", "closed"]
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
        if not (0 < low < high and high / low < math.inf and 2 <= count <= _MOST_STRENGTHS):
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
    if len(value) > _MOST_STRENGTHS:
        raise ValueError(f"at most {_MOST_STRENGTHS} strengths")
    strengths = tuple(sorted({float(x) for x in value}))
    if not strengths or not all(0 <= x < math.inf for x in strengths):
        raise ValueError("strengths are finite numbers >= 0, at least one of them")
    return strengths


@dataclass(frozen=True)
class DataConfig(Section):
    name: str = setting("cifar10", "the dataset", min_length=1, max_length=100)


_HOG = ("hog",)
_FACTOR = r"[0-9]{1,6}(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?"
# Which ones, and how large, is looked at by `features.numbers`.
_NUMBERS: dict[str, Any] = {
    "pattern": r"^[0-9]{1,6}(,[0-9]{1,6}){0,7}$",
    "max_length": 60,
    "metavar": "A,B",
    "words": "up to 8 whole numbers with commas, as 8,4",
}
_GRADIENTS, _PAIRS, _COLOURS = ("gradients",), ("pairs",), ("colours",)
_PATCHES = ("patches",)
_IMAGES = ("hog", "pixels", "hue", *_GRADIENTS, *_PAIRS, *_COLOURS, *_PATCHES)


@dataclass(frozen=True)
class FeatureConfig(Section):
    # A FeatureName, or several: "hog+hue".
    name: FeatureName = setting("hog", "what is computed from each image; a + joins several", joined="+")
    store_dtype: Literal["float32", "float16"] = setting(
        "float32", "stored as: float16 halves the file, and keeps 3 digits of a number"
    )
    orientations: int = setting(9, "orientation bins in 180 degrees", ge=1, le=36, only_for=_HOG)
    pixels_per_cell: int = setting(8, "side of a cell, in pixels", ge=1, le=1024, only_for=_HOG)
    cells_per_block: int = setting(3, "side of a block, in cells", ge=1, le=64, only_for=_HOG)
    block_norm: BlockNorm = setting("L2-Hys", "how a block is normalised", only_for=_HOG)
    transform_sqrt: bool = setting(False, "take the square root of the pixels first", only_for=_HOG)
    channels: Literal["mean", "largest"] = setting(
        "mean", "colour: grey by the mean, or each pixel's channel of largest gradient", only_for=_HOG
    )
    bins: int = setting(16, "bins of the histogram of hue", ge=2, le=360, only_for=("hue",))
    directions: int = setting(
        18,
        "directions of gradients, of the whole circle; even",
        ge=2,
        le=72,
        multiple_of=2,
        only_for=_GRADIENTS,
    )
    cells: str = setting("8,4", "cells a side of each grid", only_for=_GRADIENTS, **_NUMBERS)
    pair_directions: int = setting(
        8, "directions of each of a pair of gradients; even", ge=2, le=36, multiple_of=2, only_for=_PAIRS
    )
    distances: str = setting("1,2,4", "pixels between a pair of gradients", only_for=_PAIRS, **_NUMBERS)
    regions: int = setting(2, "regions a side that pairs are counted in", ge=1, le=16, only_for=_PAIRS)
    levels: int = setting(
        4, "levels of each channel: a colour is one of each", ge=2, le=16, only_for=_COLOURS
    )
    colour_cells: str = setting("2,4", "cells a side of each grid of colours", only_for=_COLOURS, **_NUMBERS)
    filters: int = setting(400, "filters of the dictionary", ge=1, le=100_000, only_for=_PATCHES)
    patch_size: int = setting(6, "side of a patch, in pixels", ge=1, le=64, only_for=_PATCHES)
    pooling: int = setting(
        3, "answers are summed over so many regions a side", ge=1, le=64, only_for=_PATCHES
    )
    overlap: bool = setting(True, "regions overlap their neighbours by half", only_for=_PATCHES)
    square_root: bool = setting(True, "take the square root of the sums", only_for=_PATCHES)
    encoding: Literal["threshold", "triangle"] = setting(
        "threshold",
        "what counts of a patch: answers beyond a threshold, of either sign; or how much nearer than on "
        "average it is to a filter (triangle k-means)",
        only_for=_PATCHES,
    )
    threshold: float = setting(
        0.25,
        "for the encoding threshold: answers nearer to 0 than this count for nothing",
        ge=0,
        le=1e6,
        only_for=_PATCHES,
    )
    rounds: int = setting(
        10, "rounds of k-means for the dictionary; 0: random patches", ge=0, le=1000, only_for=_PATCHES
    )
    patch_samples: int = setting(
        100_000,
        "patches that the dictionary is learned from; two a filter at least",
        ge=1,
        le=10_000_000,
        only_for=_PATCHES,
    )
    whitening: float = setting(
        0.1, "added to the variances before patches are whitened", ge=0, le=1e6, only_for=_PATCHES
    )
    contrast: float = setting(
        10.0, "added to a patch's variance before it is divided by it", ge=0, le=1e6, only_for=_PATCHES
    )
    dictionary_seed: int = setting(0, "seed of the dictionary", ge=0, le=2**63 - 1, only_for=_PATCHES)
    augment: Literal["none", "flip"] = setting(
        "none", "flip: learn from, and judge, each image together with its mirror image", only_for=_IMAGES
    )

    def options(self, name: str) -> dict[str, Any]:
        """The parameters of the extractor ``name``: how its values are stored is none of them."""
        return {key: value for key, value in super().options(name).items() if key != "store_dtype"}

    def record(self) -> dict[str, Any]:
        """What has an effect: the encoding triangle has no threshold."""
        options = self.options(self.name)
        if options.get("encoding") == "triangle":
            del options["threshold"]
        return options | {"store_dtype": self.store_dtype}


@dataclass(frozen=True)
class ModelConfig(Section):
    loss: LossName = setting("softmax", "softmax is logistic regression, hinge the linear SVM")
    l2: float = setting(1e-3, "strength: mean(loss) + l2/2 * ||W||^2; C = 1/(n*l2)", ge=0)
    scale: Literal["standard", "range", "none"] = setting(
        "standard", "scaling of each feature, learned from the training part"
    )
    part_weights: str = setting(
        "",
        "for joined features, a factor of each one's columns after the scaling: 1,0.3",
        metavar="A,B,...",
        max_length=200,
        pattern=rf"^({_FACTOR}(,{_FACTOR})*)?$",
        words="numbers above 0 with commas, as 1,0.3",
    )
    class_weight: str = setting(
        "",
        "a weight for each class's losses: balanced, or a JSON or CSV file of classes and weights",
        metavar="balanced|FILE",
        max_length=4000,
        pattern=r"^[^\x00]*$",
    )
    calibrate: bool = setting(
        False, "fit a temperature for probabilities, on the validation part or the held-out folds"
    )


_SGD = ("sgd",)
_LBFGS = ("lbfgs",)
_NEWTON = ("newton",)
_SMOOTHED = ("smoothed",)


@dataclass(frozen=True)
class SolverConfig(Section):
    name: SolverName = setting("auto", "auto: closed for ridge, sgd for hinge, else newton")
    learning_rate: float = setting(1e-3, "step of SGD", gt=0, only_for=_SGD)
    decay: float = setting(
        0.0, "rate in epoch e (from 0): learning_rate / (1 + decay * e)", ge=0, only_for=_SGD
    )
    momentum: float = setting(0.0, "share of the last step that is kept", ge=0, lt=1, only_for=_SGD)
    batch_size: int = setting(100, "images a step", ge=1, le=2**31, only_for=_SGD)
    epochs: int = setting(100, "passes over the training part", ge=1, le=1_000_000, only_for=_SGD)
    init_range: float = setting(
        1e-3, "W starts uniform within ± this, the bias at 0", ge=0, le=1e6, only_for=_SGD
    )
    tolerance: float = setting(1e-5, "stop at this largest entry of the gradient", gt=0, only_for=_LBFGS)
    gap: float = setting(
        1e-5, "stop when proven to be this near to the optimum, relative", gt=0, only_for=_NEWTON
    )
    duality_gap: float = setting(
        1e-3, "the same, for the hinge: its duality gap, relative", gt=0, only_for=_SMOOTHED
    )
    max_iterations: int = setting(
        2000,
        "stop after this many steps anyway",
        ge=1,
        le=1_000_000,
        only_for=_NEWTON + _SMOOTHED + _LBFGS,
    )


@dataclass(frozen=True)
class SplitConfig(Section):
    val_fraction: float = setting(0.2, "part held out for validation; 0: none", ge=0, lt=1)
    stratify: bool = setting(True, "keep the classes' shares in every part")
    groups: str = setting(
        "",
        "each training image's group, a value a line; no group is split",
        metavar="FILE",
        max_length=4000,
        pattern=r"^[^\x00]*$",
    )


@dataclass(frozen=True)
class CvConfig(Section):
    folds: int = setting(5, "parts of the training images", ge=2, le=1000)
    l2: tuple[float, ...] = setting(
        parse_strengths("1e-5:1e-1:9"),
        "strengths to try: A,B,C or LOW:HIGH:COUNT",
        convert=parse_strengths,
    )
    choose: Literal["best", "one-se"] = setting(
        "best", "the l2 of the refit: the best, or the strongest within a standard error of it"
    )
    nested: bool = setting(False, "judge the choice, too, by folds around it: as many fits for each fold")
