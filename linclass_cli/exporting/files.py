"""A run's model as files: ONNX, safetensors or npz."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from linclass_cli import safetensors
from linclass_cli.atomic import write_bytes
from linclass_cli.errors import InputError
from linclass_cli.exporting.images import unfaithful
from linclass_cli.exporting.onnx_model import describe, features_model, images_model
from linclass_cli.features import learned_by
from linclass_cli.model import LEARNED, Array
from linclass_cli.predicting.predictor import Predictor, load_predictor

FORMATS = ("onnx", "safetensors", "npz")


def _silent(_: str) -> None:
    pass


def export_run(
    cache: Path,
    name: str,
    file_format: str = "onnx",
    folder: Path | None = None,
    notice: Callable[[str], None] = _silent,
) -> list[Path]:
    """Write the model of a run into the folder (None: the working folder), as RUN.onnx and so on; the files.

    ONNX gives two: RUN.onnx takes features, RUN-images.onnx images, where that can be done faithfully; else
    ``notice`` hears why not. Raises InputError for another format, MissingError where the run or the package
    onnx is not there.
    """
    if file_format not in FORMATS:
        raise InputError(f"{file_format} is no format: allowed is {', '.join(FORMATS)}")
    predictor = load_predictor(cache, name)
    files: dict[str, bytes] = {}
    if file_format == "onnx":
        files[f"{name}.onnx"] = features_model(predictor)
        why = unfaithful(predictor.extractor, predictor.frame.shape)
        if why is None:
            files[f"{name}-images.onnx"] = images_model(predictor)
        elif not predictor.takes_vectors:
            notice(f"note: no model with images in: {why}")
    elif file_format == "safetensors":
        files[f"{name}.safetensors"] = _safetensors(predictor)
    else:
        files[f"{name}.npz"] = _npz(predictor)
    paths = []
    for file, content in files.items():
        paths.append((folder or Path()) / file)
        write_bytes(paths[-1], content)
    return paths


def _safetensors(predictor: Predictor) -> bytes:
    """weight (k, d), bias (k,) float32, mean and factor (d,) float64; the rest in the metadata."""
    return safetensors.dump(_arrays(predictor), describe(predictor))


def _npz(predictor: Predictor) -> bytes:
    """The same arrays, ``classes`` (k,) as text, the metadata as texts of no dimension. Nothing pickled."""
    file = io.BytesIO()
    about = {key: np.array(value) for key, value in describe(predictor).items()}
    classes = {"classes": np.array(predictor.model.classes)}
    np.savez(file, allow_pickle=False, **(about | classes | _arrays(predictor)))
    return file.getvalue()


def _arrays(predictor: Predictor) -> dict[str, Array]:
    """The model's own, and what its feature has learned, as ``feature.patches.filters`` and so on."""
    model = predictor.model
    arrays = {"weight": model.weight, "bias": model.bias, "mean": model.mean, "factor": model.factor}
    return arrays | {LEARNED + name: array for name, array in learned_by(predictor.extractor).items()}
