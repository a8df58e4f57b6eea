"""Completion, in the shells themselves: what Tab makes of a line that somebody has begun."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from linclass_cli.cli import app
from linclass_cli.commands import completion
from tests.commands.test_startup import NUMBERS, TYPERS, say

# How each shell is started without anybody's settings, and what reads the completion script in it.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(_LINCLASS_COMPLETE=source_bash linclass)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit && compinit -u -D; eval "$(_LINCLASS_COMPLETE=source_zsh linclass)"',
    ),
    "fish": (
        ["fish", "--no-config", "-i"],
        "_LINCLASS_COMPLETE=source_fish linclass | source; set fish_greeting",
    ),
}
installed = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name}"))
    for name in SHELLS
]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A working folder with two runs, an imported dataset, and the program as a person has it."""
    for run in ("alpha", "beta"):
        (tmp_path / "there/runs" / run).mkdir(parents=True)
        (tmp_path / "there/runs" / run / "run.json").write_text("{}")
    (tmp_path / "there/datasets/pets").mkdir(parents=True)
    (tmp_path / "there/datasets/pets/dataset.json").write_text("{}")
    (tmp_path / "linclass.toml").write_text('cache_dir = "there"\n')
    (tmp_path / "pet-weights.json").write_text("{}")
    program = tmp_path / "bin/linclass"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m linclass_cli "$@"\n')
    program.chmod(0o755)
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LINCLASS_")}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path, "HOME": str(folder), "TERM": "xterm", "PS1": "> "}


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, name: str, folder: Path):
        arguments, setup = SHELLS[name]
        ours, theirs = pty.openpty()
        self.terminal = ours
        self.process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment(folder),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # fish wants to own its terminal
        )
        os.close(theirs)
        self.type(f"{setup}; echo rea''dy\r")
        self.wait_for("ready")

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def wait_for(self, *words: str, seconds: float = 30) -> str:
        """What the terminal shows until all the words are there."""
        shown, deadline = "", time.monotonic() + seconds
        while not all(word in shown for word in words):
            left = deadline - time.monotonic()
            assert left > 0, f"{words} are not in {shown!r}"
            if select.select([self.terminal], [], [], left)[0]:
                shown += os.read(self.terminal, 65536).decode(errors="replace")
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.mark.parametrize("name", installed)
def test_tab_in_the_shell(name, folder):
    shell = Shell(name, folder)
    try:
        for typed, completed in (
            ("linclass plot al\t", "alpha"),
            ("linclass train --data pe\t", "pets"),
            ("linclass train --loss squ\t", "squared-hinge"),
            ("linclass train --class-weight ba\t", "balanced"),
            ("linclass train --class-weight pet-\t", "pet-weights.json"),
        ):
            shell.type(typed)
            shell.wait_for(completed)
            shell.type("\x15")  # Ctrl-U: the line again from its beginning
        shell.type("linclass runs show \t\t")
        shell.wait_for("alpha", "beta")
    finally:
        shell.close()


@pytest.fixture
def ask(folder, monkeypatch, capsys):
    """``ask("plot", "a")``: what completes the last of the words, asked as the shells' scripts ask it."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LINCLASS_CACHE_DIR", raising=False)

    def complete(*words: str, shell: str = "bash") -> list[str]:
        for name, value in asked(shell, *words).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            app(prog_name="linclass")
        said = capsys.readouterr()
        assert (end.value.code, said.err) == (0, "")
        return said.out.split("\n")[:-1]

    return complete


def asked(shell: str, *words: str) -> dict[str, str]:
    """How a shell's script asks: in the environment."""
    line = ("linclass", *words)
    return {
        "_LINCLASS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(line),
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": " ".join(line),
    }


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["plot", ""], ["alpha", "beta"]),
        (["plot", "alpha", ""], ["beta"]),
        (["plot", "alpha", "--kind", "cu"], ["curves"]),
        (["plot", "--cache-dir", "elsewhere", ""], [""]),
        (["runs", "show", "b"], ["beta"]),
        (["extract", "--data", ""], ["cifar10", "cifar100", "fashion-mnist", "mnist", "textures", "pets"]),
        (["train", "--loss", "=", "hi"], ["hinge"]),
        (["train", "--loss", "="], ["softmax", "hinge", "squared-hinge", "ridge"]),
        (["train", "--loss=hi"], ["hinge"]),
        (["train", "--l2", "1", "--loss", "hi"], ["hinge"]),
        (["train", "--feature", "hog+p"], ["hog+pixels", "hog+pairs", "hog+patches"]),
        (["train", "--preset", "cou"], ["course"]),
        (["download", "cifar"], ["cifar10", "cifar100"]),
        (["evaluate", "beta", "--data", "pe"], ["pets"]),
        (["evaluate", "beta", ""], ["alpha"]),
        (["run"], ["runs"]),
        (["config", "i"], ["init"]),
        (["train", "--max"], ["--max-iterations"]),
        (["train", "--loss", "hinge", "--los"], [""]),
        (["nonsense", "--lo"], [""]),
    ],
)
def test_what_completes(ask, words, completed):
    assert ask(*words) == completed


def test_every_word_that_a_setting_may_be():
    from linclass_cli.commands.session import flag_of
    from linclass_cli.config import leaves

    for key, one in leaves():
        if one.choices and key.partition(".")[0] in ("model", "solver", "feature"):
            complete = completion.completer_of(key)
            assert complete is not None
            assert set(one.choices) <= set(complete(None, "")), flag_of(key)


def test_class_weights_are_a_word_or_a_file(ask, folder):
    (folder / "bears.json").write_text("{}")
    (folder / "weights").mkdir()
    (folder / ".hidden").write_text("")
    assert ask("train", "--class-weight", "") == [
        "balanced",
        "bears.json",
        "bin/",
        "linclass.toml",
        "pet-weights.json",
        "there/",
        "weights/",
    ]
    assert ask("cv", "--class-weight", "b") == ["balanced", "bears.json", "bin/"]
    assert ask("train", "--class-weight", "weights/") == [""]


def test_features_are_joined(ask):
    assert "hog+hue" in ask("extract", "--feature", "hog+")
    assert "hog+hog" not in ask("extract", "--feature", "hog+")


def test_options_are_offered_where_no_argument_is_left(ask):
    assert {"--loss", "--no-stratify", "--json"} <= set(ask("train", ""))


def test_a_cache_or_a_file_that_cannot_be_read_completes_nothing(ask, folder):
    (folder / "linclass.toml").write_text("cache_dir = 3\n")
    assert ask("plot", "") == [""]
    (folder / "linclass.toml").write_text("nonsense [")
    (folder / "cache").write_text("a file")
    assert ask("plot", "") == [""]
    assert "cifar10" in ask("train", "--data", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_help_stands_beside_what_completes(ask, shell):
    said = "\n".join(ask("train", "--block", shell=shell))
    assert "--block-norm" in said
    assert "\\[" not in said
    assert "default" not in said
    if shell != "bash":
        assert "how a block is normalised" in said


@pytest.mark.parametrize(
    ("shell", "words", "completed"),
    [
        ("bash", ["plot", "a"], "alpha"),
        ("zsh", ["train", "--l2", "1", "--data", "p"], "pets"),
        ("fish", ["train", "--lo"], "--loss"),
    ],
)
def test_completion_is_quick(folder, shell, words, completed):
    """It loads neither numbers nor what checks and draws; the time itself is not measured here."""
    said = say(NUMBERS | TYPERS | {"linclass_cli.settings"}, cwd=folder, **asked(shell, *words))
    assert said.returncode == 0, said.stderr
    assert completed in said.stdout
