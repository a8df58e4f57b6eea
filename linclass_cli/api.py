"""What the Python API has beside the commands' own functions: settings as a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linclass_cli.config import Config, leaves
from linclass_cli.errors import SettingsError, did_you_mean
from linclass_cli.settings import resolve


def load_config(
    settings: Mapping[str, Any] | None = None, *, preset: str | None = None, file: str | Path | None = None
) -> Config:
    """The config that a command would have in this folder, with these settings for its flags.

    ``settings``: dotted key → value, as in ``{"data.name": "mnist", "model.l2": 0.01}``; ``linclass config
    show`` lists the keys. Presets, ``linclass.toml`` and the environment count as they do for the commands.
    Raises SettingsError for a key or value that cannot be, MissingError for a preset or file that is missing.
    """
    known = [key for key, _ in leaves()]
    for key in settings or {}:
        if key not in known:
            raise SettingsError(f"unknown key {key}{did_you_mean(key, known)}; known: {', '.join(known)}")
    flags = {key: (key, value) for key, value in (settings or {}).items()}
    return resolve(flags, preset=preset, file=Path(file) if file else None).config
