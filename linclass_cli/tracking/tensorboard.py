"""TensorBoard: an event file a run, in ``tensorboard/<run>/`` of the cache folder.

tensorboardX writes it, without TensorFlow or torch; ``tensorboard --logdir cache/tensorboard`` shows it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from linclass_cli.disk_errors import disk_errors
from linclass_cli.errors import MissingError, how_to_install


class TensorBoard:
    """A `tracking.Tracker`."""

    def __init__(self, cache: Path) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingError(
                f"--log tensorboard wants the package tensorboardX ({error}): "
                + how_to_install("tensorboard")
            ) from error
        self._make_writer = SummaryWriter
        self._folder = cache / "tensorboard"
        self._writer: Any = None

    def begin(self, run: str, config: dict[str, Any]) -> None:
        folder = self._folder / run
        with disk_errors(folder):
            self._writer = self._make_writer(str(folder))
        self._writer.add_text("config", f"```\n{json.dumps(config, indent=2)}\n```")

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def end(self, metrics: dict[str, float], record: Path | None) -> None:
        if record is not None:
            self.scalars({f"run/{name}": value for name, value in metrics.items()}, 0)
        self._writer.close()
