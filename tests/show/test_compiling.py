from __future__ import annotations

import os
import re

import pytest

from linclass_cli import kernel_cache
from linclass_cli.compilation import COMPILATION
from linclass_cli.jit import kernel
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import progress
from tests.show.conftest import on_a_terminal

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")

BEGIN = "compiling kernels, once on this machine (ahead of time: `linclass warmup`) …"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: tmp_path)
    monkeypatch.setattr(COMPILATION, "lost", "")
    return tmp_path


def compile_some(*values: float) -> None:
    def helped(x):
        return x + 1

    inner = kernel(inner=True)(helped)

    @kernel()
    def double(x):
        return inner(x) * 2

    for value in values:
        double(value)


def test_a_line_at_the_beginning_and_one_at_the_end(capsys):
    with compiling_shown():
        assert capsys.readouterr().err == ""
        compile_some(1, 1.5)
        assert capsys.readouterr().err == BEGIN + "\n"
    out, err = capsys.readouterr()
    assert re.fullmatch(r"compiled 2 kernels in \d\.\d\d s\n", err)
    assert out == ""


def test_nothing_where_every_kernel_is_there(capsys):
    compile_some(1)
    with compiling_shown():
        compile_some(1)
    assert capsys.readouterr() == ("", "")


def test_quiet_says_nothing(capsys):
    with compiling_shown(quiet=True):
        compile_some(1)
    assert capsys.readouterr() == ("", "")


def test_a_block_in_a_block_tells_once(capsys):
    with compiling_shown():
        for value in (1, 1.5):
            with compiling_shown():
                compile_some(value)
    first, last = capsys.readouterr().err.splitlines()
    assert first == BEGIN
    assert last.startswith("compiled 2 kernels in ")


def test_kernels_that_cannot_be_kept(folder, monkeypatch, capsys):
    (folder / "file").write_text("")
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: folder / "file")
    with compiling_shown():
        compile_some(1)
    why = f"; the next run will compile again: cannot write {folder / 'file'}: not a directory\n"
    assert capsys.readouterr().err.endswith(why)


def test_after_an_error_nothing_is_left(capsys):
    with pytest.raises(ValueError), compiling_shown():
        compile_some(1)
        raise ValueError
    assert capsys.readouterr().err == BEGIN + "\n"
    assert COMPILATION.begins is None


def test_beside_a_live_bar_it_has_a_line_of_its_own(monkeypatch):
    terminal = on_a_terminal(monkeypatch, 80)
    with compiling_shown(), progress("train", "steps") as advance:
        compile_some(1)
        advance(3, 4)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain)]
    assert BEGIN in lines
    assert lines[-2].startswith("compiled 1 kernel in ")
