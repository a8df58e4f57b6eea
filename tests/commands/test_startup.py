"""What a process does not import, and does not make, before it can say something: nothing here is timed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from linclass_cli.commands import session

NUMBERS = {"numpy", "numba", "h5py", "scipy", "matplotlib", "skimage", "PIL", "threadpoolctl"}
# Typer imports these two when it coerces a value, and when it draws a help page.
TYPERS = {"pydantic", "rich"}
RUNNING = {
    "linclass_cli.settings",
    "linclass_cli.runs",
    "linclass_cli.extract",
    "linclass_cli.feature_plan",
    "linclass_cli.store",
    "tomllib",
}
COMPLETING = {"_LINCLASS_COMPLETE": "complete_bash", "COMP_CWORD": "1"}

SCRIPT = """
import sys
from linclass_cli.cli import app
try:
    app(sys.argv[2:], prog_name="linclass")
except SystemExit as end:
    code = end.code or 0
loaded = set(sys.argv[1].split(",")) & set(sys.modules)
assert not loaded, loaded
sys.exit(code)
"""


def say(forbidden, *arguments, cwd, **environment) -> subprocess.CompletedProcess:
    """Run a command in a fresh process, which fails if something forbidden is loaded."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LINCLASS_")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, ",".join(forbidden), *arguments],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "Fit one linear model"),
        ([], 2, "Fit one linear model"),
        (["train", "--help"], 0, "--learning-rate"),
        (["runs", "--help"], 0, "Show one run"),
        (["runs", "list", "--help"], 0, "--cache-dir"),
        (["--version"], 0, "linclass 0."),
        (["--lss"], 2, "No such option: --lss"),
        (["train", "--lss", "softmax"], 2, "--loss"),
        (["tran"], 2, "did you mean train?"),
    ],
)
def test_help_and_wrong_flags_load_nothing_slow(tmp_path, arguments, code, words):
    said = say(NUMBERS | TYPERS | RUNNING, *arguments, cwd=tmp_path)
    assert said.returncode == code, said.stderr
    assert words in said.stdout + said.stderr


def test_completing_a_command_loads_nothing_slow(tmp_path):
    said = say(NUMBERS | TYPERS | RUNNING, cwd=tmp_path, COMP_WORDS="linclass tr", **COMPLETING)
    assert (said.returncode, said.stdout.split()) == (0, ["train"]), said.stderr


def test_completing_a_value_loads_no_numbers(tmp_path):
    completing = COMPLETING | {"COMP_CWORD": "3"}
    said = say(NUMBERS | RUNNING, cwd=tmp_path, COMP_WORDS="linclass train --loss h", **completing)
    assert (said.returncode, said.stdout.split()) == (0, ["hinge"]), said.stderr


def test_a_list_of_runs_loads_no_numbers(tmp_path):
    said = say(NUMBERS, "runs", "list", cwd=tmp_path)
    assert (said.returncode, said.stdout.split()[:3]) == (0, ["no", "runs", "yet;"]), said.stderr


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["--help"], []),
        (["--lss"], []),
        (["runs", "--help"], []),
        (["train", "--help"], ["train"]),
        (["train", "--lss"], ["train"]),
        (["cache", "list"], ["list_"]),
    ],
)
def test_only_the_command_that_is_asked_for_is_made(linclass, monkeypatch, arguments, made):
    real, asked = session._with_options, []

    def record(function, settings):
        asked.append(function.__name__)
        return real(function, settings)

    monkeypatch.setattr(session, "_with_options", record)
    linclass(*arguments)
    assert asked == made


@pytest.mark.parametrize("command", [["train"], []])
def test_help_for_a_reader_who_has_left_is_silent(tmp_path, command):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "linclass_cli", *command, "--help"],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert process.returncode in (0, 1)
    assert process.stderr == ""
