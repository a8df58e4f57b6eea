"""Shell completion of what only the cache folder knows: runs and datasets, beside features and choices.

Typer asks for completions in a process of its own, at every press of Tab: nothing slow is loaded here, and
nothing is raised. What is not known is completed as the shell completes it, with files.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from linclass_cli.config import FILE_NAME, Config, leaves, preset_names
from linclass_cli.errors import LinclassError
from linclass_cli.regular import read_regular

# Called by Typer: the context, in which the options before the cursor stand, and the word at the cursor.
Completer = Callable[[Any, str], list[str]]


def completer(metavar: str | None, flags: tuple[Any, ...] = ()) -> Completer | None:
    """What completes the values of an option or argument that is shown like this; None for the shell."""
    if metavar and re.fullmatch(r"RUN\d*(\.\.\.)?", metavar):
        return runs
    if "--data" in flags:
        return datasets
    return _one_of(choices_of(metavar)) if choices_of(metavar) else None


def choices_of(metavar: str | None) -> list[str]:
    """The words that ``a|b|c`` shows; none for ``PATH|URL``, which are no words but kinds."""
    return metavar.split("|") if metavar and "|" in metavar and metavar == metavar.lower() else []


def completer_of(key: str) -> Completer | None:
    """What completes the values of a setting."""
    named = {"data.name": datasets, "feature.name": features, "model.class_weight": class_weights}
    choices = dict(leaves())[key].choices
    return named.get(key) or (_one_of(list(choices)) if choices else None)


def _one_of(words: list[str]) -> Completer:
    return lambda ctx, incomplete: words  # noqa: ARG005


def runs(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The finished runs, without those that the command line names already."""
    from linclass_cli.runs import list_runs

    given: set[Any] = set()
    for value in ctx.params.values():
        given |= set(value if isinstance(value, list | tuple) else [value])
    with contextlib.suppress(OSError):
        return [name for name in list_runs(cache_folder(ctx)) if name not in given]
    return []


def datasets(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The known datasets, and those that were imported."""
    from linclass_cli.data.registry import DATASETS

    imported: list[str] = []
    with contextlib.suppress(OSError):
        folders = (cache_folder(ctx) / "datasets").iterdir()
        imported = [path.name for path in folders if (path / "dataset.json").is_file()]
    return list(dict.fromkeys([*DATASETS, *sorted(imported)]))


def downloads(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The datasets that can be downloaded."""
    from linclass_cli.data.registry import DATASETS

    return [name for name, spec in DATASETS.items() if spec.archives]


def features(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The features; behind a plus, those that it may join to the ones before it."""
    from linclass_cli.features import FEATURES

    before, plus, _ = incomplete.rpartition("+")
    taken = [*before.split("+"), *(["vectors"] if plus else [])]  # vectors are joined with nothing
    return [f"{before}{plus}{name}" for name in FEATURES if name not in taken]


def class_weights(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The word, and the files that may be meant as well; another beginning is the shell's to complete."""
    word = "balanced"
    if not word.startswith(incomplete):
        return []
    found = sorted(path.name + "/" * path.is_dir() for path in Path().glob(f"{incomplete}*"))
    return [word, *(name for name in found if not name.startswith("."))]


def presets(ctx: Any, incomplete: str) -> list[str]:  # noqa: ARG001
    """The presets that come with linclass."""
    return preset_names()


def cache_folder(ctx: Any) -> Path:
    """The cache folder that the command would take: its flag, the environment, a file, the default.

    `settings.resolve` would say the same, and checks everything else; that takes too long here.
    """
    given = ctx.params.get("cache_dir") or os.environ.get("LINCLASS_CACHE_DIR")
    if not given:
        import tomllib

        file = ctx.params.get("config_file") or os.environ.get("LINCLASS_CONFIG") or FILE_NAME
        with contextlib.suppress(LinclassError, OSError, ValueError, RecursionError):
            given = tomllib.loads(read_regular(Path(file).expanduser(), 1 << 14).decode()).get("cache_dir")
    return Path(str(given or Config().cache_dir)).expanduser()


@contextlib.contextmanager
def quick_completion() -> Iterator[None]:
    """Make Typer complete without Rich, and ``--option=value`` in bash, too.

    Typer has Rich draw each help text, and throws the drawing away; bash cuts words at the equals sign. Where
    Typer has changed, the first only takes longer.
    """
    from typer import _completion_classes

    drawn = getattr(_completion_classes, "_sanitize_help_text", None)
    try:
        _completion_classes._sanitize_help_text = plain
        _join_equals()
        yield
    except LinclassError:  # of an option that checks its value: there is nothing to complete
        raise SystemExit(0) from None
    finally:
        _completion_classes._sanitize_help_text = drawn  # type: ignore[assignment]


def plain(text: str) -> str:
    """A help text without markup, and its first sentence only: a shell has one line for it."""
    from linclass_cli.show.help import without_markup

    return without_markup(text).split("\n")[0].partition(" [default")[0].replace("[", "(").replace("]", ")")


def _join_equals() -> None:
    """In bash's words, ``--loss = hin`` becomes ``--loss hin``: what stands at the cursor stays the word."""
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), os.environ.get("COMP_CWORD", "")
    if "=" not in words[1:] or not at.isdigit():
        return
    cursor = int(at)
    if words[cursor : cursor + 1] == ["="]:  # nothing behind it yet
        words[cursor] = ""
    before = [word for word in words[:cursor] if word != "="]
    os.environ["COMP_WORDS"] = "\n".join([*before, *words[cursor:]])
    os.environ["COMP_CWORD"] = str(len(before))
