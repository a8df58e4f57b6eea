"""Names of runs and datasets, which are names of folders."""

from __future__ import annotations

from linclass_cli.errors import InputError

# What Windows takes for devices, with any ending; a dot at the end is lost there.
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}


def check_portable(name: str, what: str) -> None:
    """Raise InputError for a name that not every system can keep: none is to be called so."""
    if name.endswith(".") or name.partition(".")[0].lower() in _DEVICES:
        raise InputError(f"{name!r} is no name for a {what}: other systems cannot keep a folder of that name")
