"""How defaults, presets, files, environment and flags resolve into the one config.

Sources, later ones win: defaults < preset < ``linclass.toml`` (or ``--config``) < environment < flags. Every
value remembers where it came from, and every error names the key, the value, what is allowed and its source.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linclass_cli.config import FILE_NAME, PRESETS, Config, config_of, leaves, preset_names
from linclass_cli.errors import MissingError, SettingsError, did_you_mean
from linclass_cli.regular import Irregular, read_regular
from linclass_cli.sections import Setting

ENV_PREFIX = "LINCLASS_"
# Read elsewhere: the first two choose sources, the last one belongs to the tests.
ENV_OTHERS = {"LINCLASS_CONFIG", "LINCLASS_PRESET", "LINCLASS_TEST_DATA"}
_MAX_FILE_BYTES = 1 << 14  # tomllib takes the square of a key's length in time and memory
# Ranks of the sources; defaults have 0.
PRESET, FILE, ENVIRONMENT, FLAG = 1, 2, 3, 4
# What people call the losses.
_SYNONYMS = {"svm": "hinge", "logistic": "softmax", "logreg": "softmax", "cross-entropy": "softmax"}


def env_name(key: str) -> str:
    return ENV_PREFIX + key.upper().replace(".", "_")


def _text(one: Setting) -> str:
    return one.words or ("a text, not empty" if one.bounds.get("min_length") else "a text")


def allowed(one: Setting) -> str:
    """What a setting may be, in words."""
    if one.choices:
        joined = f", or several joined by {one.joined}, each once" if one.joined else ""
        return ", ".join(one.choices) + joined
    whole = "an even whole number" if one.bounds.get("multiple_of") == 2 else "a whole number"
    kind = {int: whole, float: "a finite number", bool: "true or false", str: _text(one)}
    lists = "up to 1000 finite numbers >= 0: a list, A,B,C or LOW:HIGH:COUNT with 0 < LOW < HIGH"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [f"{sign} {one.bounds[name]}" for name, sign in signs.items() if name in one.bounds]
    return " ".join([kind.get(one.kind, lists), " and ".join(bounds)]).strip()


@dataclass(frozen=True)
class Resolved:
    """The config and, for each dotted key, where its value came from."""

    config: Config
    sources: dict[str, str]


@dataclass(frozen=True)
class _Given:
    value: Any
    source: str
    rank: int


def resolve(
    flags: Mapping[str, tuple[str, Any]] | None = None,
    *,
    preset: str | None = None,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Resolved:
    """Resolve all sources into one config.

    ``flags``: dotted key → (the flag as typed, its value); ``file``: what ``--config`` names, else
    ``linclass.toml`` in ``folder`` (the working folder) when there is one; ``environment``: ``os.environ``.
    Raises SettingsError, or MissingError for a preset or file that is not there.
    """
    environment = os.environ if environment is None else environment
    preset = preset or environment.get("LINCLASS_PRESET")
    named = file or (Path(environment["LINCLASS_CONFIG"]) if environment.get("LINCLASS_CONFIG") else None)
    given: dict[str, _Given] = {}
    if preset:
        _add_toml(given, _preset_path(preset), f"preset {preset}", PRESET)
    default_file = (folder or Path()) / FILE_NAME
    if named or default_file.is_file():
        path = named or default_file
        _add_toml(given, path, str(path) if named else FILE_NAME, FILE)
    for name, text in sorted(environment.items()):
        if name.startswith(ENV_PREFIX) and name not in ENV_OTHERS:
            key, value = _from_environment(name, text)
            given[key] = _Given(value, f"environment {name}", ENVIRONMENT)
    settings = dict(leaves())
    for key, (flag, value) in (flags or {}).items():
        given[key] = _Given(_from_text(settings[key], value) if isinstance(value, str) else value, flag, FLAG)
    return _build(given)


def _build(given: dict[str, _Given]) -> Resolved:
    settings = dict(leaves())
    config = _validate(given)
    # A setting that the chosen solver or feature does not have is an error, unless it comes with a preset:
    # `--solver lbfgs` may overrule one that sets both sgd and its learning rate.
    for key, one in list(given.items()):
        section, _, name = key.partition(".")
        choice = config.choice(section)
        if choice is None:
            continue
        owners = settings[key].only_for
        if settings[key].belongs_to(choice):
            continue
        deciding = [f"{section}.name"] + (["model.loss"] if section == "solver" else [])
        if one.rank == PRESET and max((given[d].rank for d in deciding if d in given), default=0) > PRESET:
            del given[key]
            continue
        auto = " (what auto chooses here)" if section == "solver" and config.solver.name == "auto" else ""
        raise SettingsError(
            f"{key} = {_said(one.value)} (from {one.source}): {choice}{auto} has no {name}; "
            f"it belongs to {section} {', '.join(owners)}: leave it out, or choose that with --{section}"
        )
    config = _validate(given)
    _check_solver(config, given)
    _check_weights(config, given)
    return Resolved(config, {key: given[key].source if key in given else "default" for key, _ in leaves()})


# The solvers of each loss: the hinge has kinks, which need one that knows them.
_SOLVERS = {
    "softmax": ("newton", "lbfgs", "sgd"),
    "hinge": ("smoothed", "sgd"),
    "squared-hinge": ("newton", "lbfgs", "sgd"),
    "ridge": ("closed", "newton", "lbfgs", "sgd"),
}


def _check_solver(config: Config, given: dict[str, _Given]) -> None:
    allowed = _SOLVERS[config.model.loss]
    if config.solver_name not in allowed:
        why = f"not for the loss {config.model.loss}; allowed for it: auto, {', '.join(allowed)}"
        raise _impossible(given, "solver.name", config.solver_name, why)


def _check_weights(config: Config, given: dict[str, _Given]) -> None:
    weights, names = config.model.part_weights, config.feature.name.split("+")
    if weights and len(names) != weights.count(",") + 1:
        name = config.feature.name
        why = (
            f"one number is wanted for each of the joined features, and {name} has {len(names)}; "
            '--part-weights "" leaves them as they are'
        )
        raise _impossible(given, "model.part_weights", weights, why)
    if weights and not all(1e-9 <= float(weight) <= 1e6 for weight in weights.split(",")):
        why = "numbers above 0, from 1e-9 to 1e6, are wanted"
        raise _impossible(given, "model.part_weights", weights, why)


def _impossible(given: dict[str, _Given], key: str, value: Any, why: str) -> SettingsError:
    source = given[key].source if key in given else "default"
    return SettingsError(f"{key} = {value} (from {source}): {why}")


def _said(value: Any) -> str:
    """A value that somebody gave, as JSON has it, as far as it can be shown."""
    try:
        return json.dumps(value, default=str)[:120]
    except (ValueError, RecursionError):  # a number of more digits than Python writes, lists in lists
        return f"a {type(value).__name__} too long to show"


def _validate(given: dict[str, _Given]) -> Config:
    values: dict[str, Any] = {}
    wrong: list[tuple[str, Setting]] = []
    for key, one in leaves():
        if key in given:
            try:
                values[key] = one.check(given[key].value)
            except (ValueError, TypeError, OverflowError):
                wrong.append((key, one))
    if not wrong:
        return config_of(values)
    key, one = wrong[0]
    culprit = given[key]
    hint = ""
    if one.choices and isinstance(culprit.value, str):
        choices = {choice: choice for choice in one.choices}
        words = culprit.value.split(one.joined) if one.joined else [culprit.value]
        word = next((word for word in words if word not in choices), "")
        hint = did_you_mean(word, choices | (_SYNONYMS if key == "model.loss" else {}))
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    raise SettingsError(
        f"{key} = {_said(culprit.value)} (from {culprit.source}): allowed is {allowed(one)}{hint}{more}"
    )


def _unknown(key: str, source: str) -> SettingsError:
    known = [k for k, _ in leaves()]
    last = {k.rpartition(".")[2]: k for k in known}
    hint = did_you_mean(key, known, 0.8) or did_you_mean(key.rpartition(".")[2], last)
    return SettingsError(
        f"unknown key {key} (from {source}){hint}; `linclass config show` lists the known ones"
    )


def _preset_path(name: str) -> Path:
    known = preset_names()
    if name not in known:
        raise MissingError(f"no preset {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
    return PRESETS / f"{name}.toml"


def _add_toml(given: dict[str, _Given], path: Path, source: str, rank: int) -> None:
    try:
        table = tomllib.loads(read_regular(path, _MAX_FILE_BYTES).decode())
    except Irregular as error:
        raise SettingsError(f"{path} is no linclass config: {error.strerror}") from None
    except FileNotFoundError:
        raise MissingError(f"no config file {path}; `linclass config init` writes one") from None
    except OSError as error:
        raise SettingsError(f"cannot read the config file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from error
    known = {key for key, _ in leaves()}
    sections = {key.partition(".")[0] for key in known if "." in key}
    for name, value in table.items():
        if name in sections and isinstance(value, dict):
            inner = {f"{name}.{k}": v for k, v in value.items()}
        elif name in sections:
            raise SettingsError(
                f"{name} = {_said(value)} (from {source}): allowed is a table, [{name}], as in {FILE_NAME}"
            )
        else:
            inner = {name: value}
        for key, leaf in inner.items():
            if key not in known:
                raise _unknown(key, source)
            given[key] = _Given(leaf, source, rank)


def _from_environment(name: str, text: str) -> tuple[str, Any]:
    # Two underscores between section and key are fine, too: other tools want them.
    wanted = name.replace("__", "_")
    for key, one in leaves():
        if env_name(key) == wanted:
            return key, _from_text(one, text)
    known = [env_name(key) for key, _ in leaves()]
    raise SettingsError(
        f"unknown key {name} (from the environment){did_you_mean(name, known)}; "
        "`linclass config show` lists the known ones"
    )


def _from_text(one: Setting, text: str) -> Any:
    """What a text means to a setting; text that means nothing to it is found with everything else."""
    try:
        return one.parse(text)
    except (ValueError, OverflowError):
        return text


def commented_toml() -> str:
    """The text of a ``linclass.toml`` that lists every setting, commented out, with its default."""
    lines = [
        "# linclass.toml: settings of the linclass commands that are run in this folder.",
        "# Later ones win: defaults < preset < this file < environment (LINCLASS_...) < flags.",
        "# Every line below shows a default; remove the # to change it.",
    ]
    section = ""
    for key, one in leaves():
        head = key.rpartition(".")[0]
        if head != section:
            section = head
            lines += ["", f"[{head}]"]
        note = f" ({' and '.join(one.only_for)} only)" if one.only_for else ""
        lines += ["", f"# {one.description}{note}", f"# Allowed: {allowed(one)}"]
        lines.append(f"#{one.name} = {json.dumps(one.default)}")
    return "\n".join(lines) + "\n"
