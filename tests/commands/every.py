"""Every command of the program, whole, as its registry has it: what is added later is in it, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from linclass_cli.cli import app
from linclass_cli.commands.deferred import every_command

COMMANDS: dict[tuple[str, ...], Any] = dict(every_command(typer.main.get_command(app)))


def examples() -> Iterator[tuple[str, str]]:
    """(command, the example that its help ends in), each command once; fails where there is none."""
    for words, command in COMMANDS.items():
        last = (command.help or "").strip().split("\n\n")[-1]
        yield " ".join(("linclass", *words)), last.removeprefix("Example: ") if "Example: " in last else ""
