"""Names of runs and datasets that would reach outside, or that other systems cannot keep: every command."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.claims import claim
from linclass_cli.errors import InputError
from tests.commands.test_errors import FAST

BAD = (
    *(
        "",
        ".",
        "..",
        "../x",
        "/tmp/x",
        "a/../../x",
        "~",
        "a\\b",
        "x\n",
        "x" * 300,
        "run1 ",
        "ｒun1",
        "ruո1",
        "*",
    ),
    *(
        "\u202enur",
        "\x1b[2J",
        "$(touch x)",
        "a:b",
        ".hidden",
        "-x",
        "--help",
        "\ud800",
        os.fsdecode(b"\xff\xfe"),
    ),
)
UNPORTABLE = ("CON", "con", "nul.txt", "LPT1", "aux.tar.gz", "com9", "x.", "x..", "PRN.")


@pytest.fixture
def quiet(linclass):
    """Runs a command that has to fail; nothing but features comes to be, here or beside."""
    np.savez("a.npz", X=np.random.default_rng(0).normal(size=(60, 5)), y=np.arange(60) % 3)
    Path("x.png").write_bytes(b"no picture")

    def there() -> set[Path]:
        inside = {path for path in Path().resolve().rglob("*") if path.is_file() and path.suffix != ".h5"}
        return inside | set(Path().resolve().parent.iterdir())

    def run(*arguments: str) -> int:
        result = linclass(*arguments)
        assert "Traceback" not in result.err
        assert (result.out + result.err).replace("\n", "").isprintable()
        assert [line for line in result.err.splitlines() if line.startswith("error: ")], result.err
        return result.code

    before = there()
    yield run
    assert there() == before


# {}: the name. Behind --, what begins with a dash is a name, too.
TAKE_RUNS = (
    ("runs", "show", "--", "{}"),
    ("runs", "remove", "--yes", "--", "{}"),
    ("runs", "compare", "--", "run1", "{}"),
    ("plot", "--", "{}"),
    ("report", "--", "{}"),
    ("evaluate", "--", "{}"),
    ("predict", "--", "{}", "x.png"),
    ("export", "--format", "npz", "--", "{}"),
)


@pytest.mark.parametrize("command", TAKE_RUNS, ids=lambda command: command[0])
def test_commands_that_take_a_run(quiet, command):
    for name in BAD:
        assert quiet(*(word.replace("{}", name) for word in command)) in (2, 3, 4), name


@pytest.mark.parametrize("command", [("train", *FAST), ("cv", *FAST), ("import", "a.npz")])
def test_commands_that_make_a_run_or_a_dataset(quiet, command):
    for name in BAD:
        assert quiet(*command, f"--name={name}") in (2, 3), name


@pytest.mark.parametrize("command", ["extract --data=", "train --data=", "cv --data=", "download -- "])
def test_commands_that_take_a_dataset(quiet, command):
    *words, last = command.split(" ")
    for name in BAD:
        assert quiet(*words, last + name) in (2, 3, 4), name


def test_names_that_other_systems_cannot_keep_are_not_given(linclass, tmp_path):
    np.savez("a.npz", X=np.eye(6), y=np.arange(6) % 2)
    for name in UNPORTABLE:
        for command in (("train", *FAST), ("import", "a.npz")):
            result = linclass(*command, "--name", name)
            assert (result.code, "other systems" in result.error) == (3, True)
        with pytest.raises(InputError, match="other systems"), claim(tmp_path / "c", name):
            pass
    assert not list(Path().glob("cache/*/[!.]*/run.json"))


def test_a_run_that_has_such_a_name_already_is_read(linclass):
    assert linclass("train", *FAST, "--loss", "ridge", "--name", "x").code == 0
    Path("cache/runs/x").rename("cache/runs/con")
    assert linclass("runs", "show", "con").code == 0
    assert [row["run"] for row in linclass("runs", "list", "--json").json] == ["con"]
    assert linclass("runs", "remove", "con", "--yes").code == 0


def test_evaluate_on_another_dataset(trained):
    for name in BAD:
        result = trained("evaluate", "run1", f"--data={name}")
        assert result.code in (2, 3, 4), result.err
        assert result.error.isprintable()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from tests.faults.children import run

    folder = tmp_path_factory.mktemp("made")
    assert run(folder, "train", *FAST, "--loss", "ridge")[0] == 0
    return folder


@pytest.fixture
def trained(made, linclass, monkeypatch):
    monkeypatch.chdir(made)
    return linclass
