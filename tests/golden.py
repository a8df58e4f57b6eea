"""What linclass computes on the embedded dataset, as numbers in golden.json: a later change of them is seen.

``python -m tests.golden`` computes and writes them anew. Do so only where results are meant to change, and
say in the commit which and why.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.config import Config
from linclass_cli.config_sections import (
    CvConfig,
    DataConfig,
    FeatureConfig,
    ModelConfig,
    SolverConfig,
    SplitConfig,
)
from linclass_cli.extract import obtain_features
from linclass_cli.recording import cross_validate, train
from linclass_cli.runs import load_model

FILE = Path(__file__).with_suffix(".json")
FEATURES = {
    "hog default": {},
    "hog largest": {"channels": "largest", "pixels_per_cell": 6, "transform_sqrt": True},
    "hog L1": {"block_norm": "L1", "orientations": 12, "cells_per_block": 2},
    "gradients default": {},
    "gradients flip": {"directions": 12, "cells": "5,3,1", "augment": "flip"},
    "pairs default": {},
    "pairs flip": {"pair_directions": 6, "distances": "3,5", "regions": 3, "augment": "flip"},
    "colours default": {},
    "colours flip": {"levels": 7, "colour_cells": "3", "augment": "flip"},
}
WAYS = (
    ("softmax", "newton", {"gap": 1e-6}),
    ("softmax", "lbfgs", {}),
    ("squared-hinge", "newton", {"gap": 1e-6}),
    ("hinge", "smoothed", {}),
    ("ridge", "closed", {}),
    ("softmax", "sgd", {"epochs": 5, "learning_rate": 0.01, "momentum": 0.5}),
    ("hinge", "sgd", {"epochs": 5}),
)
# The least l2 of these with a gap of 1e-6 is beyond what float32 can prove on every processor.
CV = (("softmax", "newton", {"gap": 3e-6}), ("ridge", "closed", {}))
# Weights as such: the others stand anywhere within their tolerance of the optimum.
EXACT = ("sgd", "closed")


def _config(
    cache: str, loss: str = "softmax", solver: str = "auto", feature: Any = None, **more: Any
) -> Config:
    return Config(
        cache_dir=cache,
        data=DataConfig(name="textures"),
        feature=FeatureConfig(**(feature or {"name": "hog"})),
        model=ModelConfig(loss=loss, l2=1e-2),
        solver=SolverConfig(name=solver, **more),
        split=SplitConfig(val_fraction=0),  # which of two equal steps is kept would depend on the last bits
        cv=CvConfig(folds=4, l2=(1e-4, 1e-2, 1.0)),
    )


def _some(values: Any) -> list[float]:
    """Sixteen values from all over an array."""
    flat = np.asarray(values, np.float64).ravel()
    return flat[np.linspace(0, flat.size - 1, 16).astype(int)].tolist()


def compute() -> dict[str, dict[str, Any]]:
    """Name of what was computed → name of a number → its value, or values."""
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, options in FEATURES.items():
            feature = {"name": name.partition(" ")[0], **options}
            _, features = obtain_features(_config(cache, feature=feature))
            X = features.train.X
            found[name] = {
                "shape": list(X.shape),
                "labels": np.bincount(features.train.y).tolist(),
                "mean": float(X.mean(dtype=np.float64)),
                "deviation": float(X.std(dtype=np.float64)),
                "values": _some(X),
            }
        for loss, solver, options in WAYS:
            saved = train(_config(cache, loss, solver, **options))
            model, m = load_model(Path(cache), saved.run), saved.metrics
            found[f"train {loss} {solver}"] = {
                "converged": m["converged"],
                "objective": m["objective"],
                "right": [round(m[f"{part}_accuracy"] * m[f"n_{part}"]) for part in ("train", "test")],
                "test_loss": m["test_loss"],
                "norm": float(np.linalg.norm(model.weight.astype(np.float64))),
            }
            if solver in EXACT:
                found[f"train {loss} {solver}"]["weights"] = _some(model.weight) + _some(model.bias)
        for loss, solver, options in CV:
            saved = cross_validate(_config(cache, loss, solver, **options))
            m, cells = saved.metrics, saved.history
            held = m["n_train"] // 4
            found[f"cv {loss} {solver}"] = {
                "converged": m["converged"],
                "objectives": [cell["objective"] for cell in cells],
                "right": [round(share * held) for row in m["fold_accuracy"] for share in row],
                "chosen": [m["best_l2"], m["one_se_l2"]],
            }
    return found


def main() -> None:
    FILE.write_text(json.dumps(compute(), indent=1) + "\n")


if __name__ == "__main__":
    main()
