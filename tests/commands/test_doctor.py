"""``linclass doctor``: what is there, and what to do where something is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from linclass_cli import kernel_cache
from linclass_cli.doctor import machine
from linclass_cli.temporary import make_name
from tests.commands.test_line import FAST
from tests.stale import stale_name


@pytest.fixture(autouse=True)
def _own_kernel_cache(tmp_path, monkeypatch):
    """A kernel cache of its own, with what looks like a kernel; the real one is used by other tests."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    (folder / "a-1.kernel").write_bytes(whole(b"code"))
    monkeypatch.setattr("linclass_cli.doctor.kernels.kernel_folder", lambda: folder)
    monkeypatch.setenv("SHELL", "/bin/csh")
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)


def whole(content: bytes) -> bytes:
    return content + kernel_cache.hashlib.sha256(content).digest()


def findings(answer):
    return {(one["level"], one["what"]): one["mend"] for one in answer["findings"]}


def test_all_is_well(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    answer = linclass("doctor", "--json").json
    assert (answer["ok"], [f for f in answer["findings"] if f["level"] != "note"]) == (True, [])
    assert answer["versions"]["numpy"]
    assert answer["machine"]["threads"] >= 1
    assert answer["machine"]["blas"]
    assert (answer["kernels"]["kernels"], answer["kernels"]["unusable"]) == (1, [])
    cache = answer["cache"]
    assert (cache["exists"], cache["features"], cache["runs"]) == (True, 1, 1)
    assert cache["bytes"] == sum(path.stat().st_size for path in Path("cache").rglob("*") if path.is_file())
    shown = linclass("doctor").out
    for words in ("linclass 0.", "threads", "BLAS", "1 run, ", "numpy", "all is well"):
        assert words in shown


def test_nothing_there_yet_is_well_too(linclass):
    answer = linclass("doctor", "--json").json
    assert (answer["ok"], answer["cache"]["exists"]) == (True, False)
    assert not Path("cache").exists()
    assert "not there yet" in linclass("doctor").out


def test_a_damaged_run_and_a_cut_feature_file(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    (features,) = Path("cache/features").iterdir()
    os.truncate(features, 9000)
    result = linclass("doctor", "--json")
    assert result.code == 5
    assert "header or size" in result.error
    history = Path("cache/runs/run1/history.jsonl")
    history.write_text(history.read_text() + "\n")
    result = linclass("doctor")
    assert result.code == 5
    assert "(and 1 more)" in result.error
    assert "damaged: cache/runs/run1/history.jsonl is damaged" in result.out


def test_what_killed_processes_left_is_named_and_what_living_ones_write_is_not(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    left = stale_name(Path("cache/features/x.h5"))
    for path in (left, make_name(Path("cache/features/x.h5"))):
        path.write_bytes(b"half")
    answer = linclass("doctor", "--json").json
    assert answer["cache"]["left_over"] == [str(left)]
    assert findings(answer) == {
        ("warning", f"processes that were killed have left {left}"): "`linclass cache clean --yes`"
    }


def test_a_cache_that_is_a_file(linclass):
    Path("cache").write_text("precious")
    result = linclass("doctor")
    assert result.code == 6
    assert "is a file, not a folder" in result.error


def test_a_cache_that_cannot_be_written(linclass, monkeypatch):
    """Root may write everywhere, so the operating system's refusal is put in its mouth."""
    monkeypatch.setattr("linclass_cli.doctor.folder.os.access", lambda _, mode: not mode & os.W_OK)
    result = linclass("doctor")
    assert (result.code, "cannot be written" in result.error) == (6, True)


def test_a_cache_that_is_a_link_to_nowhere(linclass):
    Path("cache").symlink_to("nowhere")
    result = linclass("doctor")
    assert (result.code, "is a link to a folder that is not there" in result.error) == (6, True)


@pytest.mark.parametrize("what", ["features/*.h5", "runs/run1", "runs/run1/run.json", "runs", "."])
def test_what_may_not_be_read_is_one_finding_and_no_damage(linclass, monkeypatch, what):
    """Root may read everything, so the refusal is put in the operating system's mouth here, too."""
    linclass("train", *FAST, "--loss", "ridge")
    (path,) = Path("cache").glob(what) if what != "." else [Path("cache")]
    access = os.access
    monkeypatch.setattr(
        "linclass_cli.doctor.folder.os.access", lambda at, mode: Path(at) != path and access(at, mode)
    )
    result = linclass("doctor", "--json")
    assert result.code == 6
    assert f"{path} cannot be read; `chmod -R u+rwX {path}`" in result.error
    assert [one["level"] for one in json.loads(result.out)["findings"] if one["level"] != "note"] == [
        "lacking"
    ]
    assert "DAMAGED" not in linclass("doctor").out


def test_kernels_that_will_not_be_loaded(linclass, tmp_path):
    (tmp_path / "kernels/b-2.kernel").write_bytes(b"x" * 100)
    (tmp_path / "kernels/c-3.kernel").write_bytes(whole(b"code"))
    (tmp_path / "kernels/c-3.kernel").chmod(0o666)
    answer = linclass("doctor", "--json").json
    assert answer["kernels"]["unusable"] == ["b-2.kernel: damaged", "c-3.kernel: others may write it"]
    ((level, what),) = findings(answer)
    assert (level, "b-2.kernel: damaged and 1 more" in what) == ("warning", True)


def test_no_kernels_yet(linclass, tmp_path):
    (tmp_path / "kernels/a-1.kernel").unlink()
    assert "`linclass warmup`" in linclass("doctor").out


def test_threads_that_get_in_each_others_way(linclass, monkeypatch):
    monkeypatch.setattr(machine, "available", lambda: 4)
    assert "16 threads share 4 cores" in linclass("doctor", "--threads", "16").out
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    out = linclass("doctor").out
    assert "the container may use no more" in out
    assert "--threads 2" in out
    assert "all is well" not in out


def test_plain_python_kernels_are_warned_of(linclass, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "NUMBA_DISABLE_JIT is set" in linclass("doctor").out


def test_a_package_that_is_missing(linclass, monkeypatch):
    monkeypatch.setattr(machine, "required", lambda: ["numpy", "no-such-package"])
    result = linclass("doctor")
    assert (result.code, "no-such-package is not installed" in result.error) == (6, True)


def test_completion_that_is_not_installed(linclass, monkeypatch, tmp_path):
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "linclass --install-completion" in linclass("doctor").out
    (tmp_path / ".bash_completions").mkdir()
    (tmp_path / ".bash_completions/linclass.sh").touch()
    assert "--install-completion" not in linclass("doctor").out
