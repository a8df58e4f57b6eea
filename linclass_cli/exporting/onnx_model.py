"""A run as ONNX: features in, or images in; probabilities, scores and the label's number out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from linclass_cli.evaluation import has_probabilities
from linclass_cli.exporting.graph import Graph, Shape
from linclass_cli.exporting.images import image_nodes
from linclass_cli.features import describe_extractor
from linclass_cli.predicting.predictor import Predictor

_TEXT = (
    "scores = ((features - mean) * factor) @ weight.T + bias; the label is the number of the largest in the "
    "metadata's classes"
)
_CHANCES = "; probabilities = softmax(scores / temperature)"
_IMAGES = "; the features are linclass's of images uint8 (n, height, width, channels), RGB or grey"


def features_model(predictor: Predictor) -> bytes:
    """``features`` float32 (n, d) in."""
    graph = Graph()
    d = predictor.model.weight.shape[1]
    outputs = _outputs(graph, "features", predictor)
    inputs: dict[str, tuple[Any, Shape]] = {"features": (np.float32, ["n", d])}
    return graph.model(inputs, outputs, describe(predictor), _text(predictor))


def images_model(predictor: Predictor) -> bytes:
    """``images`` uint8 (n, height, width, channels) in; `images.unfaithful` must have nothing against it."""
    graph = Graph()
    shape = predictor.frame.shape
    features = image_nodes(graph, "images", predictor.extractor, shape)
    outputs = _outputs(graph, features, predictor)
    inputs: dict[str, tuple[Any, Shape]] = {"images": (np.uint8, ["n", *shape])}
    return graph.model(inputs, outputs, describe(predictor), _text(predictor) + _IMAGES)


def describe(predictor: Predictor) -> dict[str, str]:
    """What a user of the model has to know, as texts; lists and objects as JSON."""
    model, frame = predictor.model, predictor.frame
    about = {
        "run": predictor.run,
        "loss": model.loss,
        "classes": json.dumps(list(model.classes)),
        "feature": json.dumps(describe_extractor(predictor.extractor)),
        "image_shape": json.dumps(list(frame.shape)),
        "fit": frame.fit,
        "scores": "((features - mean) * factor) @ weight.T + bias",
    }
    if has_probabilities(model):
        about |= {"probabilities": "softmax(scores / temperature)", "temperature": repr(model.temperature)}
    return about


def _text(predictor: Predictor) -> str:
    return _TEXT + (_CHANCES if has_probabilities(predictor.model) else "")


def _outputs(graph: Graph, features: str, predictor: Predictor) -> dict[str, tuple[Any, Shape]]:
    """The nodes behind the features; the outputs' dtypes and shapes."""
    model = predictor.model
    centred = graph.add("Sub", features, graph.constant(model.mean))
    scaled = graph.add("Mul", centred, graph.constant(model.factor))
    weight, bias = graph.constant(model.weight), graph.constant(model.bias)
    scores = graph.add("Gemm", scaled, weight, bias, transB=1, output="scores")
    graph.add("ArgMax", scores, axis=1, keepdims=0, output="label")
    k = len(model.classes)
    outputs: dict[str, tuple[Any, Shape]] = {}
    if has_probabilities(model):
        logits = graph.add("Div", scores, graph.constant(model.temperature))
        graph.add("Softmax", logits, axis=1, output="probabilities")
        outputs["probabilities"] = (np.float32, ["n", k])
    return outputs | {"scores": (np.float32, ["n", k]), "label": (np.int64, ["n"])}
