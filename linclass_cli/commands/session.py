"""What every command shares: its options are made from the config's settings, and resolved into one Session.

``@command(app, "data", "feature", "model.loss", …)`` gives a function those settings as options, beside the
options that every command takes, and calls it with a Session in their place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from linclass_cli.commands.completion import choices_of, completer, completer_of, presets
from linclass_cli.commands.deferred import defer
from linclass_cli.config import Config, leaves, preset_names
from linclass_cli.errors import InputError, SettingsError, did_you_mean
from linclass_cli.memory import load_numpy, use_memory
from linclass_cli.sections import Setting
from linclass_cli.show.tables import notice, print_json

if TYPE_CHECKING:
    from linclass_cli.settings import Resolved

# Flags that are not the last part of their key.
_FLAGS = {"data.name": "data", "feature.name": "feature", "solver.name": "solver"}
_PANELS = {
    "feature": "Features",
    "model": "Model",
    "solver": "Solver",
    "split": "Validation",
    "cv": "Validation",
}
_COMMON = "Every command takes"
# The modules of commands that load less, or more, than the others.
_WITHOUT_NUMPY = {"config", "runs", "doctor"}
_WITH_KERNELS = {"extract", "train", "cv", "evaluate", "predict", "demo", "warmup", "gradcheck"}
COMMON_FLAGS = ("--cache-dir", "--threads", "--config", "--preset", "--json", "--quiet")


@dataclass(frozen=True)
class Session:
    """The resolved config of one command, where its values came from, and how to answer.

    ``typed``: the settings' flags as they were given, for a command that is to follow this one.
    """

    config: Config
    sources: dict[str, str]
    json: bool
    quiet: bool
    typed: str = ""

    @property
    def at(self) -> str:
        """`` --cache-dir X`` where it was given, for a command that is to follow this one."""
        given = self.sources["cache_dir"].startswith("--")
        return f" --cache-dir {self.config.cache_dir}" if given else ""

    def notice(self, text: str) -> None:
        """A line on stderr, unless ``--quiet``."""
        if not self.quiet:
            notice(text)

    def answer(self, result: Any, show: Callable[[], None]) -> None:
        """The command's result: JSON for ``--json``, else what ``show`` prints."""
        if self.json:
            print_json(result)
        else:
            show()


def command(
    app: typer.Typer, *settings: str, name: str | None = None, panel: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command that takes the named settings (keys or whole sections) as options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        text = paragraphs(function.__doc__ or "")
        defer(app, name or function.__name__, text, panel, lambda: _with_options(function, settings))
        return function

    return register


def _with_options(function: Callable[..., None], settings: tuple[str, ...]) -> Callable[..., None]:
    """The function as Typer wants it: the settings, and what every command takes, are in its signature."""
    keys = dict(_wanted(settings))
    own = [
        _completed(p)
        for p in inspect.signature(function, eval_str=True).parameters.values()
        if p.name != "session"
    ]
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own),
        *(_parameter(key, one) for key, one in keys.items()),
        *_common(),
    ]

    def run(**given: Any) -> None:
        for p in own:
            _check_choice(p, given[p.name])
        module = function.__module__.rpartition(".")[2]
        if module not in _WITHOUT_NUMPY:
            load_numpy(kernels=module in _WITH_KERNELS)
        session = _begin(given, keys)
        with use_memory(session.config.memory):
            function(session, **{p.name: given[p.name] for p in own})

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _check_choice(parameter: inspect.Parameter, value: Any) -> None:
    """Raise InputError for a word that is none of those that the parameter's metavar shows."""
    for about in getattr(parameter.annotation, "__metadata__", ()):
        known = choices_of(about.metavar)
        for word in value if isinstance(value, list | tuple) else [value]:
            if known and word is not None and word not in known:
                given = (about.default, *(about.param_decls or ()))  # Typer takes the first for a default
                flags = [flag for flag in given if isinstance(flag, str)]
                flag = flags[0] if flags else f"--{parameter.name.replace('_', '-')}"
                raise InputError(f"{flag} {word}: allowed is {', '.join(known)}{did_you_mean(word, known)}")


def _completed(parameter: inspect.Parameter) -> inspect.Parameter:
    """A command's own parameter, completed as its metavar says, if it does not say itself how."""
    for about in getattr(parameter.annotation, "__metadata__", ()):
        flags = (about.default, *(about.param_decls or ()))  # Typer takes the first flag for a default
        about.autocompletion = about.autocompletion or completer(about.metavar, flags)
    return parameter


def paragraphs(text: str) -> str:
    """The text with each of its paragraphs on one line, so that a help page breaks it where it wants."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def flag_of(key: str) -> str:
    """The flag that sets a key of the config."""
    return "--" + _FLAGS.get(key, key.rpartition(".")[2]).replace("_", "-")


def _wanted(settings: tuple[str, ...]) -> Iterator[tuple[str, Setting]]:
    for key, one in leaves():
        if key in settings or key.partition(".")[0] in settings:
            yield key, one


def _parameter(key: str, one: Setting, panel: str | None = None) -> inspect.Parameter:
    choices = one.choices
    # Numbers come as text: what is wrong with one, the config says, with key, value and what is allowed.
    kind = bool if one.kind is bool else str
    metavar = {int: "INT", float: "NUMBER", str: "TEXT"}.get(one.kind, "LIST")
    flag = flag_of(key)
    note = f" ({', '.join(one.only_for)} only)" if one.only_for else ""
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if kind is bool else flag,
        help=with_default(f"{one.description}{note}", _shown(one.default)),
        metavar=one.metavar or "|".join(choices) or (None if kind is bool else metavar),
        show_default=False,
        autocompletion=completer_of(key),
        rich_help_panel=panel or _PANELS.get(key.partition(".")[0]),
    )
    hint = Annotated[Optional[kind], option]  # type: ignore[valid-type]  # noqa: UP045
    return inspect.Parameter(
        key.replace(".", "__"), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint
    )


def with_default(text: str, default: str) -> str:
    """A help text that ends in the default, as Typer shows it."""
    return f"{text} [dim]\\[default: {default}][/dim]"


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return f"{len(default)} strengths from {default[0]:g} to {default[-1]:g}"
    return str(default).lower() if isinstance(default, bool) else str(default) or "none"


def _common() -> list[inspect.Parameter]:
    def option(name: str, kind: Any, default: Any, *flags: str, text: str, **more: Any) -> inspect.Parameter:
        about = typer.Option(*flags, help=text, rich_help_panel=_COMMON, show_default=False, **more)
        hint = Annotated[kind, about]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)

    settings = dict(leaves())
    return [
        *(_parameter(key, settings[key], _COMMON) for key in ("cache_dir", "threads")),
        option(
            "config_file",
            Path | None,
            None,
            "--config",
            text="a TOML file of settings, instead of linclass.toml in this folder",
        ),
        option(
            "preset",
            str | None,
            None,
            "--preset",
            text=f"settings that come with linclass: {', '.join(preset_names())}",
            autocompletion=presets,
        ),
        option("json", bool, False, "--json", text="print one JSON object on stdout"),
        option("quiet", bool, False, "--quiet", text="show no progress and no notices"),
    ]


def _begin(given: dict[str, Any], keys: dict[str, Setting]) -> Session:
    from linclass_cli.settings import resolve

    flags = {}
    for key in (*keys, "cache_dir", "threads"):
        value = given[key.replace(".", "__")]
        if value is not None:
            flags[key] = (flag_of(key), value)
    resolved = resolve(flags, preset=given["preset"], file=given["config_file"])
    if resolved.sources["feature.name"] == "default":
        resolved = _followed(resolved, [key for key in flags if key.startswith("feature.")])
    typed = "".join(f" {_typed(flag, value)}" for flag, value in flags.values())
    for flag, value in (("--preset", given["preset"]), ("--config", given["config_file"])):
        typed += f" {flag} {value}" if value else ""
    return Session(resolved.config, resolved.sources, given["json"], given["quiet"], typed)


def _followed(resolved: Resolved, given: list[str]) -> Resolved:
    """A dataset of vectors has one feature: it is the default there, whatever the default is elsewhere.

    Raises SettingsError where one of the keys ``given`` as flags is a setting of other features.
    """
    config, sources = resolved.config, resolved.sources
    from linclass_cli.data.own import holds_vectors

    if not holds_vectors(config.data.name, config.cache):
        return resolved
    settings = dict(leaves())
    for key in given:
        if not settings[key].belongs_to("vectors"):
            raise SettingsError(
                f"{sources[key]}: {config.data.name} holds vectors, and vectors has no {settings[key].name}; "
                f"it belongs to feature {', '.join(settings[key].only_for)}: leave it out"
            )
    following = replace(config, feature=replace(config.feature, name="vectors"))
    return replace(
        resolved, config=following, sources={**sources, "feature.name": f"dataset {config.data.name}"}
    )


def _typed(flag: str, value: Any) -> str:
    if isinstance(value, bool):
        return flag if value else f"--no-{flag[2:]}"
    return f"{flag} {value}"
