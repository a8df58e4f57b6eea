"""Make a picture of a terminal: ``python docs/make_terminal.py OUT.svg "linclass train" "linclass cv"``.

Each command really runs, in this folder, on a terminal of 80 columns; the picture shows what it leaves there
(progress, on stderr, is drawn over).
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

COLUMNS = 80


def main(out: str, *commands: str) -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for number, command in enumerate(commands):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(run(command)), end="")
    picture = console.export_svg(title="linclass", theme=DIMMED_MONOKAI)
    # Nothing is fetched from elsewhere when somebody looks at it.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    Path(out).write_text(re.sub(r"[ \t]+\n", "\n", picture), encoding="utf-8")


def run(command: str) -> str:
    """What the command writes to its terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(["bash", "-c", command], env=environment, **streams)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # Linux's way of saying that nobody holds the other end any more
        while piece := os.read(ours, 65536):
            written += piece
    if process.wait():
        sys.exit(f"{command} failed: {written.decode()}")
    return written.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
