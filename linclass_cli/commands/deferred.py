"""Commands of which only the one that is asked for is made: the others show their name and what they do.

An option takes time to make, and there are many: the help of the program, the completion of a command's name
and a wrong flag need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from linclass_cli.show.help import print_help


class _AsTyped:
    """What makes no value of a word: completion wants the words, and Typer loads pydantic for values."""

    def coerce(self, value: Any, **_: Any) -> Any:
        return value


def _for(ctx: Any, params: list[Any]) -> list[Any]:
    if ctx.resilient_parsing:  # this is what completion is called by Typer
        for param in params:
            param._runtime_param = _AsTyped()
    return params


class WholeCommand(TyperCommand):
    """A command with all its options."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _for(ctx, super().get_params(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The options that are left; where nothing is typed yet, too."""
        return super().shell_complete(ctx, incomplete or "-")

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        print_help(self, ctx)


class DeferredCommand(TyperCommand):
    """A command's name, help and panel. Its callback takes nothing, and makes the whole command."""


class Group(TyperGroup):
    """A group that makes a command when it is the one that is asked for."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The group's options; its flags are False where they are not given.

        Typer's own two (for completion) would be None, which Typer lets pydantic look at: importing pydantic
        takes longer than everything else that a wrong flag or a help page needs.
        """
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return _for(ctx, params)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the arguments name, whole, and the arguments that are left for it."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, DeferredCommand) and command.callback:
            return name, command.callback(), rest
        return name, command, rest

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        print_help(self, ctx)


def every_command(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words that call it, and the group or whole command itself: first the group, then what is in it."""
    yield words, group
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from every_command(command, (*words, name))
        elif isinstance(command, DeferredCommand) and command.callback:
            yield (*words, name), command.callback()
        else:
            yield (*words, name), command


def defer(
    app: typer.Typer,
    name: str,
    text: str,
    panel: str | None,
    make_function: Callable[[], Callable[..., None]],
) -> None:
    """Register a command whose function, with its signature, is made when the command is asked for."""

    def make() -> Any:
        # A program of one command: Typer makes it as it would have made it in the group.
        one = typer.Typer(add_completion=False)
        one.command(name, cls=WholeCommand, help=text, rich_help_panel=panel)(make_function())
        return typer.main.get_command(one)

    app.command(name, cls=DeferredCommand, help=text, rich_help_panel=panel)(make)
