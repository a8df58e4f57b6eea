"""linclass: linear image classifiers from a terminal, and from Python: docs/api.md shows how.

The names in ``__all__`` are the functions that the commands call. They stay, with what they take and give
back, from one minor version to the next; everything else may change. Nothing is loaded before it is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Config",
    "LinclassError",
    "LinearClassifier",
    "__version__",
    "cross_validate",
    "describe_dataset",
    "download",
    "evaluate",
    "export_run",
    "find_files",
    "import_dataset",
    "list_runs",
    "load_config",
    "load_dataset",
    "load_model",
    "load_predictor",
    "load_run",
    "make_extractor",
    "obtain_features",
    "predict_files",
    "predict_images",
    "score_run",
    "train",
]

_PLACES = {
    "Config": "config",
    "LinclassError": "errors",
    "LinearClassifier": "estimator",
    "cross_validate": "recording",
    "describe_dataset": "data.readers",
    "download": "data.fetch",
    "evaluate": "evaluation",
    "export_run": "exporting.files",
    "find_files": "predicting.sources",
    "import_dataset": "data.importing",
    "list_runs": "runs",
    "load_config": "api",
    "load_dataset": "data.readers",
    "load_model": "runs",
    "load_predictor": "predicting.predictor",
    "load_run": "runs",
    "make_extractor": "features",
    "obtain_features": "extract",
    "predict_files": "predicting.stream",
    "predict_images": "predicting.stream",
    "score_run": "scoring",
    "train": "recording",
}

if TYPE_CHECKING:
    from linclass_cli.api import load_config
    from linclass_cli.config import Config
    from linclass_cli.data.fetch import download
    from linclass_cli.data.importing import import_dataset
    from linclass_cli.data.readers import describe_dataset, load_dataset
    from linclass_cli.errors import LinclassError
    from linclass_cli.estimator import LinearClassifier
    from linclass_cli.evaluation import evaluate
    from linclass_cli.exporting.files import export_run
    from linclass_cli.extract import obtain_features
    from linclass_cli.features import make_extractor
    from linclass_cli.predicting.predictor import load_predictor
    from linclass_cli.predicting.sources import find_files
    from linclass_cli.predicting.stream import predict_files, predict_images
    from linclass_cli.recording import cross_validate, train
    from linclass_cli.runs import list_runs, load_model, load_run
    from linclass_cli.scoring import score_run


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
