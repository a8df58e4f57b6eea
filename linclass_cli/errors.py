"""Every error that a user can meet, as one tree, with the exit code each one ends the program with.

    LinclassError
    ├── CheckError        1   a self-check failed: a bug in linclass, without a traceback
    ├── UsageError        2   the command line itself is wrong
    ├── InputError        3   input or settings that cannot be used
    │   └── SettingsError 3   a key of the configuration
    ├── MissingError      4   something named is not there: dataset, features, run, file
    ├── IntegrityError    5   a checksum does not match, a file is damaged
    └── ResourceError     6   disk full, no memory, no permission, no network

0 is success, 1 a bug in linclass (it shows a traceback), 130 and 143 follow SIGINT and SIGTERM.

A message is one line that says what was expected, what was found, and the command that mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class LinclassError(Exception):
    """What all errors meant for users derive from; ``str()`` of it is one line."""

    exit_code = 1


class CheckError(LinclassError):
    exit_code = 1


class UsageError(LinclassError):
    exit_code = 2


class InputError(LinclassError):
    exit_code = 3


class SettingsError(InputError):
    """A key of the configuration that is unknown, of the wrong type or impossible."""


class MissingError(LinclassError):
    exit_code = 4


class IntegrityError(LinclassError):
    exit_code = 5


class ResourceError(LinclassError):
    exit_code = 6


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, str], closeness: float = 0.6) -> str:
    """``; did you mean NEAREST?``, or nothing; a mapping's values are what is suggested for its keys."""
    from difflib import get_close_matches  # only a typing error pays for it

    near = get_close_matches(word, list(known), n=1, cutoff=closeness)
    if not near:
        return ""
    return f"; did you mean {known[near[0]] if isinstance(known, Mapping) else near[0]}?"


def at_cache(cache: Path) -> str:
    """What a command takes besides, where the cache folder is not the default."""
    import shlex

    return "" if cache == Path("cache") else f" --cache-dir {shlex.quote(str(cache))}"


def how_to_install(extra: str) -> str:
    """The command that installs an extra: of linclass from a registry, or of a clone that one stands in."""
    return f"pip install 'linclass[{extra}]', or in a clone of linclass: pip install '.[{extra}]'"
