"""A run's model, and its file: model.safetensors, read as if somebody had made it to do harm."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from linclass_cli import safetensors
from linclass_cli.config_sections import LossName
from linclass_cli.errors import IntegrityError
from linclass_cli.visible import is_name

Array = np.ndarray[Any, np.dtype[Any]]
LEARNED = "feature."  # before the names of what a feature has learned


@dataclass(frozen=True)
class Model:
    """A linear classifier: scores = ((x - mean) * factor) W' + bias.

    weight float32 (k, d), bias float32 (k,), mean and factor float64 (d,), classes: k names. Probabilities
    are softmax(scores / temperature); ``calibrated``: the temperature was fitted, to images not trained on.
    ``learned``: what its feature learned from the training images, float32, by name (`features.learned_by`).
    """

    weight: Array
    bias: Array
    mean: Array
    factor: Array
    classes: tuple[str, ...]
    loss: str
    feature_key: str
    temperature: float = 1.0
    calibrated: bool = False
    learned: dict[str, Array] = field(default_factory=dict)


def dump_model(model: Model) -> bytes:
    """The bytes of the file."""
    tensors = {"weight": model.weight, "bias": model.bias, "mean": model.mean, "factor": model.factor}
    tensors |= {LEARNED + name: array for name, array in model.learned.items()}
    metadata = {
        "classes": json.dumps(list(model.classes)),
        "loss": model.loss,
        "feature_key": model.feature_key,
        "scores": "((x - mean) * factor) @ weight.T + bias",
    }
    if model.calibrated:
        metadata |= {"temperature": repr(model.temperature), "probabilities": "softmax(scores / temperature)"}
    return safetensors.dump(tensors, metadata)


def parse_model(content: bytes, what: str) -> Model:
    """The model of a file's bytes; IntegrityError, naming ``what``, for one that cannot be used."""
    tensors, metadata = safetensors.parse(content, what)
    try:
        return _model(tensors, metadata)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{what} is no model that linclass can use: {error}") from error


def _model(tensors: dict[str, Array], metadata: dict[str, str]) -> Model:
    weight, bias, mean, factor = (tensors[name] for name in ("weight", "bias", "mean", "factor"))
    if weight.ndim != 2 or weight.shape[0] < 2 or weight.shape[1] < 1:
        raise ValueError(f"weights of the shape {weight.shape}")
    k, d = weight.shape
    wanted = {"weight": (k, d), "bias": (k,), "mean": (d,), "factor": (d,)}
    for name, shape in wanted.items():
        kind = np.float32 if name in ("weight", "bias") else np.float64
        if tensors[name].shape != shape or tensors[name].dtype != kind:
            raise ValueError(f"its {name} does not fit the weights")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"its {name} holds NaN or infinity")
    classes = json.loads(metadata["classes"])
    if not isinstance(classes, list) or len(classes) != k or not all(map(is_name, classes)):
        raise ValueError(f"its classes are no {k} names")
    if len(set(classes)) < k:
        raise ValueError("two of its classes have one name")
    if metadata["loss"] not in get_args(LossName):
        raise ValueError("its loss is not known")
    temperature = float(metadata.get("temperature", 1.0))
    if not 1e-100 < temperature < 1e100:  # scores are float32: nothing overflows
        raise ValueError(f"its temperature is {temperature}")
    return Model(
        weight,
        bias,
        mean,
        factor,
        tuple(classes),
        metadata["loss"],
        metadata["feature_key"],
        temperature,
        "temperature" in metadata,
        {name.removeprefix(LEARNED): array for name, array in tensors.items() if name.startswith(LEARNED)},
    )
