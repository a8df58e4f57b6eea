"""Make docs/cli.md of the help of every command: ``python docs/make_cli.py``; ``--check`` only compares."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import typer

from linclass_cli.cli import app
from linclass_cli.commands.deferred import every_command
from linclass_cli.show.help import print_help

FILE = Path(__file__).with_name("cli.md")
COLUMNS = 100
HEAD = """# The command line

<!-- Made by docs/make_cli.py from --help: change the help, then run it again. -->

What `linclass COMMAND --help` shows, command by command. Settings resolve in this order, later ones
winning: defaults, a preset, `linclass.toml` or `--config`, the environment (`LINCLASS_…`), flags;
`linclass config show` prints the result and where each value came from. With `--json` a command prints one
JSON value on stdout; progress and notices always go to stderr.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a bug in linclass, or a self-check that failed (`gradcheck`) |
| 2 | wrong usage |
| 3 | bad input or settings |
| 4 | something named is not there: dataset, run, file |
| 5 | a checksum does not match, a file is damaged |
| 6 | disk, memory, permission or network |
| 130, 143 | after SIGINT, SIGTERM |

"""


def reference() -> str:
    """The text of docs/cli.md; the same on every terminal."""
    parts, contents = [], []
    for words, page in pages():
        name = " ".join(("linclass", *words))
        contents.append(f"- [{name}](#{name.replace(' ', '-')})\n")
        parts.append(f"\n## {name}\n\n```text\n{page}```\n")
    return HEAD + "".join(contents) + "".join(parts)


def pages() -> Any:
    """(words, help page) of every command, without colours and COLUMNS wide."""
    kept = dict(os.environ)
    os.environ.update(COLUMNS=str(COLUMNS), NO_COLOR="1", TERM="dumb")
    os.environ.pop("FORCE_COLOR", None)
    contexts: dict[tuple[str, ...], Any] = {(): None}
    try:
        for words, command in every_command(typer.main.get_command(app)):
            name = words[-1] if words else "linclass"
            parent = contexts[words[:-1]]
            context = command.make_context(name, [], parent=parent, resilient_parsing=True)
            contexts[words] = context
            yield words, _page(command, context)
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _page(command: Any, context: Any) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        print_help(command, context)
    lines = (line.rstrip() for line in said.getvalue().strip("\n").splitlines())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    wanted = reference()
    if "--check" not in sys.argv:
        FILE.write_text(wanted, encoding="utf-8")
    elif not FILE.is_file() or FILE.read_text(encoding="utf-8") != wanted:
        sys.exit("docs/cli.md is not what --help says: run python docs/make_cli.py")
