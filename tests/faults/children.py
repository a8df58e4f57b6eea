"""Commands as processes of their own, with a few lines of Python run in them first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2]

NO_LOCKS = """
import errno, fcntl
def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
"""
LOCKS_THAT_LOCK_NOTHING = """
import fcntl
fcntl.flock = lambda *_: None
"""


def start(folder: Path, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    """``linclass ARGUMENTS`` in a working folder, after the lines ``before``."""
    script = f"{before}\nimport sys\nfrom linclass_cli.entry import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def end(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    """(exit code, stdout, stderr); a process that takes too long is killed, and the test fails."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def run(folder: Path, *arguments: str, before: str = "") -> tuple[int, str, str]:
    return end(start(folder, *arguments, before=before))


# All modules are loaded once, then the process forks: what a crowd does at once is its work, not its imports.
_CROWD = """
import importlib, json, os, sys, time
import h5py, numpy, linclass_cli, linclass_cli.commands
for module in ("recording", "cleaning", "inventory", "data.fetch", "data.importing", "learn.crossval"):
    importlib.import_module(f"linclass_cli.{module}")
from linclass_cli.cli import main
commands, children = json.loads(sys.argv[1]), []
for number, command in enumerate(commands):
    child = os.fork()
    if child == 0:
        os.close(begin)
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), stream)
        os.read(go, 1)  # which ends when nobody holds the other end any more
        sys.argv = ["linclass", *command]
        main()
        sys.exit()
    children.append(child)
os.close(begin)
for seconds, number in json.loads(sys.argv[2]):  # of one after the other, from the last
    time.sleep(seconds)
    os.kill(children[number], 9)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(json.dumps(codes))
"""


def crowd(
    folder: Path,
    commands: list[tuple[str, ...]],
    before: str = "",
    kills: list[tuple[float, int]] | None = None,
) -> list[tuple[int, str, str]]:
    """Commands in a process each, which all begin at the same time: (exit code, stdout, stderr).

    kills: (seconds, number of the command), one after the other: kill -9.
    """
    script = f"import os\ngo, begin = os.pipe()\n{before}{_CROWD}"
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, json.dumps(commands), json.dumps(kills or [])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "OPENBLAS_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    codes = json.loads(process.stdout)
    texts = [[(folder / f"{i}.{name}").read_text() for name in ("out", "err")] for i in range(len(codes))]
    return [(code, out, err) for code, (out, err) in zip(codes, texts, strict=True)]
