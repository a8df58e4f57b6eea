"""The advice that commands give must work as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path

FAST = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2", "--orientations", "8")


def advice(line: str) -> list[str]:
    command = line.split("`")[1] if "`" in line else line.partition("next: ")[2]
    return shlex.split(command)[1:]


def test_extracts_next_command_trains_on_what_was_extracted(linclass):
    done = linclass("extract", *FAST, "--cache-dir", "here")
    trained = linclass(*advice(done.out.splitlines()[-1]), "--loss", "ridge")
    assert trained.code == 0
    assert "extracting" not in trained.err
    plotted = linclass(*advice(trained.out.splitlines()[-1]))
    assert plotted.code == 0
    assert Path(plotted.out.split()[0]).parts[0] == "here"


def test_the_mend_of_a_damaged_file_mends_it(linclass):
    linclass("extract", *FAST, "--block-norm", "L1", "--transform-sqrt", "--cache-dir", "here")
    (path,) = Path("here/features").iterdir()
    content = bytearray(path.read_bytes())
    for place in (3, 100, 50_000):
        damaged = content.copy()
        damaged[place] ^= 1
        path.write_bytes(damaged)
        command = ("train", *FAST, "--block-norm", "L1", "--transform-sqrt", "--loss", "ridge")
        failed = linclass(*command, "--cache-dir", "here")
        assert failed.code == 5
        assert linclass(*advice(failed.error)).code == 0
        assert linclass(*command, "--cache-dir", "here").code == 0


def test_missing_features_are_named_with_what_is_special_about_them(linclass):
    linclass("extract", "--data", "textures")
    result = linclass("train", "--data", "textures", "--block-norm", "L1", "--loss", "ridge")
    assert "no hog (block_norm L1) features of textures" in result.err
