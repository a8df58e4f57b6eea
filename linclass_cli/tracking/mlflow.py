"""MLflow: a run of the experiment ``linclass``, with parameters, metrics and the record's files.

The server, or database, is that of ``MLFLOW_TRACKING_URI``; without it, files in ``mlruns/`` of the cache
folder, for which mlflow-skinny is enough. ``MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri
cache/mlruns`` shows them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from linclass_cli.errors import MissingError, ResourceError, how_to_install

EXPERIMENT = "linclass"


class MLflow:
    """A `tracking.Tracker`."""

    def __init__(self, cache: Path) -> None:
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise MissingError(
                f"--log mlflow wants the package mlflow-skinny, or mlflow ({error}): "
                + how_to_install("mlflow")
            ) from error
        self._address = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not self._address:
            # MLflow 3 prefers a database, and wants to hear that files are meant.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            self._address = (cache / "mlruns").resolve().as_uri()
        self._failure = MlflowException
        self._run = ""
        try:
            self._client = MlflowClient(self._address)
        except (MlflowException, OSError) as error:
            raise self._unusable(error) from error

    def begin(self, run: str, config: dict[str, Any]) -> None:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        try:
            experiment = self._client.get_experiment_by_name(name)
            number = experiment.experiment_id if experiment else self._client.create_experiment(name)
            self._run = self._client.create_run(number, run_name=run).info.run_id
        except (self._failure, OSError) as error:
            raise self._unusable(error) from error
        for key, value in _flat(config):
            self._client.log_param(self._run, key, value)

    def _unusable(self, error: Exception) -> ResourceError:
        reason = " ".join(str(error).split())[:300]
        return ResourceError(f"MLflow at {self._address} cannot be used: {reason}")

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self, metrics: dict[str, float], record: Path | None) -> None:
        self.scalars({f"run/{name}": value for name, value in metrics.items()}, 0)
        if record is not None:
            self._client.log_artifacts(self._run, str(record))
        self._client.set_terminated(self._run, "FINISHED" if record is not None else "FAILED")


def _flat(config: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and their values."""
    pairs: list[tuple[str, Any]] = []
    for key, value in config.items():
        inner = _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
        pairs += inner
    return pairs
