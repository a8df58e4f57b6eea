"""Temporary files: their names, whose they are, and when they go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from linclass_cli import temporary
from linclass_cli.atomic import write_bytes
from linclass_cli.temporary import (
    UNTOUCHED_SECONDS,
    is_temporary,
    left_over,
    make_name,
    real_path,
    why_left_over,
)
from tests.stale import gone, stale_name

DAY_AGO = time.time() - UNTOUCHED_SECONDS - 60


def foreign_name(path: Path) -> Path:
    """A name that a process of this number has elsewhere."""
    return path.with_name(re.sub(r"-[0-9a-f]{8}-", "-00000000-", make_name(path).name, count=1))


def test_a_name_tells_what_it_is_to_be():
    path = Path("a/b/run.1.json")
    assert real_path(make_name(path)) == path
    assert real_path(make_name(path) / "inner") == path
    assert real_path(path) == path
    assert is_temporary(make_name(path).name)
    assert not is_temporary(path.name)


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\udcff" * 255, "a\nb"])
def test_any_name_fits(tmp_path, name):
    path = make_name(tmp_path / name)
    path.write_bytes(b"")
    assert is_temporary(path.name)


def test_what_a_living_process_writes_is_its_own(tmp_path):
    child = (
        "import sys; from pathlib import Path; from linclass_cli.temporary import make_name; "
        "path = make_name(Path(sys.argv[1])); path.touch(); print(path, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", child, str(tmp_path / "x")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    path = Path(process.stdout.readline().rstrip("\n"))
    os.utime(path, (DAY_AGO, DAY_AGO))
    assert why_left_over(path) == ""
    process.kill()
    process.communicate()
    assert why_left_over(path) == f"process {process.pid}, which wrote it, is gone"
    assert list(left_over(tmp_path)) == [path]


def test_the_number_of_a_process_that_is_another_by_now(tmp_path):
    """In a container every first process is number 1."""
    name = make_name(tmp_path / "x").name
    start = temporary._start(os.getpid())
    if start is None:
        pytest.skip("the system does not say when a process began")
    path = tmp_path / name.replace(f"-{start:x}-", f"-{start - 1:x}-")
    path.touch()
    assert why_left_over(path)


def test_what_another_machine_writes_is_left_alone_for_a_day(tmp_path):
    folder = foreign_name(tmp_path / "x")
    folder.mkdir()
    (folder / "inner").touch()
    assert why_left_over(folder) == ""
    os.utime(folder, (DAY_AGO, DAY_AGO))
    assert why_left_over(folder) == ""  # something in it has changed today
    os.utime(folder / "inner", (DAY_AGO, DAY_AGO))
    assert "another machine" in why_left_over(folder)


def test_the_next_to_write_into_a_folder_removes_what_dead_ones_left(tmp_path):
    stale, notes = stale_name(tmp_path / "old"), stale_name(tmp_path / "x.part")
    (stale / "sub").mkdir(parents=True)
    (stale / "sub" / "file").write_text("half")
    notes = notes.with_name(notes.name + ".json")
    kept = [make_name(tmp_path / "y"), foreign_name(tmp_path / "z"), tmp_path / f".x.{gone()}-0.tmp"]
    for path in (notes, *kept):
        path.write_text("x")
    write_bytes(tmp_path / "new", b"new")
    assert set(tmp_path.iterdir()) == {*kept, tmp_path / "new"}


def test_a_link_with_such_a_name_goes_alone(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").touch()
    (tmp_path / "cache").mkdir()
    stale_name(tmp_path / "cache" / "x").symlink_to(precious)
    write_bytes(tmp_path / "cache" / "new", b"")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["new"]
    assert (precious / "photo").exists()
