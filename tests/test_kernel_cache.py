"""The kernel cache: nothing that befalls it stops a run or changes its result."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import kernel_cache
from linclass_cli.compilation import COMPILATION
from linclass_cli.jit import kernel

compiles = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")


def double(x):
    return x + x


class Calls:
    """Calls of a kernel as a new process would make them, each with what it cost."""

    compiled = cached = 0

    def __call__(self, x):
        before = COMPILATION.compiled, COMPILATION.cached
        result = kernel()(double)(x)
        self.compiled, self.cached = COMPILATION.compiled - before[0], COMPILATION.cached - before[1]
        return result


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "linclass" / "kernels-0123456789abcdef"
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: folder)
    monkeypatch.setattr(COMPILATION, "lost", "")
    return folder


@pytest.fixture
def call(folder) -> Calls:
    return Calls()


@compiles
def test_a_kernel_is_compiled_once(call, folder):
    assert (call(2), call.compiled, call.cached) == (4, 1, 0)
    assert (call(2), call.compiled, call.cached) == (4, 0, 1)
    assert [path.suffix for path in folder.iterdir()] == [".kernel"]
    assert COMPILATION.lost == ""


@compiles
def test_each_signature_has_a_file_of_its_own(call, folder):
    for compiled in (1, 0):
        for x in (3, 1.5, np.float32(0.25)):
            assert (call(x), call.compiled) == (x + x, compiled)
    assert len(list(folder.iterdir())) == 3


@compiles
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"x",
        lambda content: content[:32],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:90] + bytes([content[90] ^ 1]) + content[91:],
        lambda content: content[:-1] + bytes([content[-1] ^ 128]),
        lambda content: os.urandom(len(content)),
    ],
)
def test_what_is_damaged_is_compiled_again_and_mended(call, folder, damage):
    call(2)
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert (call(2), call.compiled, call.cached) == (4, 1, 0)
    assert (call(2), call.compiled, call.cached) == (4, 0, 1)


@compiles
@pytest.mark.parametrize("whose", ["everybody's", "another's"])
def test_what_others_may_have_written_is_never_loaded(call, folder, whose, monkeypatch):
    call(2)
    (path,) = folder.iterdir()
    loaded = []
    monkeypatch.setattr(kernel_cache.MachineCode, "from_bytes", loaded.append)
    if whose == "everybody's":
        path.chmod(0o666)
    elif os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:  # the file stays, and the process is another's
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert (call(2), call.compiled, call.cached) == (4, 1, 0)
    assert loaded == []


@compiles
def test_a_folder_where_the_file_should_be(call, folder):
    call(2)
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()
    assert (call(2), call.compiled) == (4, 1)
    assert "cannot write" in COMPILATION.lost


@compiles
def test_a_file_where_the_folder_should_be(call, folder):
    folder.parent.write_text("precious")
    assert (call(2), call.compiled) == (4, 1)
    assert COMPILATION.lost == f"cannot write {folder}: not a directory"
    assert folder.parent.read_text() == "precious"


@compiles
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read(call, folder):
    call(2)
    folder.chmod(0o500)
    try:
        assert (call(2), call.cached) == (4, 1)
        assert (call(2.5), call.compiled) == (5, 1)
        assert "permission denied" in COMPILATION.lost
    finally:
        folder.chmod(0o700)


@compiles
def test_a_folder_that_may_not_be_looked_into(call, folder, monkeypatch):
    """Root may look everywhere, so the operating system's refusal is put in its mouth."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    call(1.5)
    for name in ("stat", "mkdir", "open", "iterdir"):
        monkeypatch.setattr(Path, name, refuse)
    assert (call(2), call.compiled) == (4, 1)
    assert COMPILATION.lost == f"cannot write {folder}: permission denied"


@compiles
def test_no_home_folder(call, monkeypatch):
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: None)
    assert (call(2), call.compiled) == (4, 1)
    assert "home" in COMPILATION.lost


@compiles
def test_a_full_disk_leaves_nothing_behind(call, folder):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder.mkdir(parents=True)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        assert (call(2), call.compiled) == (4, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "too large" in COMPILATION.lost
    assert list(folder.iterdir()) == []


@compiles
def test_a_folder_removed_while_running_comes_back(call, folder):
    call(2)
    shutil.rmtree(folder)
    assert (call(2), call.compiled) == (4, 1)
    assert (call(2), call.cached) == (4, 1)


def test_kernels_of_other_versions_go_when_nobody_uses_them(tmp_path):
    long_ago = time.time() - kernel_cache.UNUSED_SECONDS - 60
    names = ["kernels-00000000000000aa", "kernels-00000000000000bb", "kernels-of-mine", "datasets"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
        os.utime(tmp_path / name, (long_ago, long_ago))
    os.utime(tmp_path / names[1])
    target = tmp_path / "elsewhere"
    target.mkdir()
    os.utime(target, (long_ago, long_ago))
    (tmp_path / "kernels-00000000000000cc").symlink_to(target)
    kernel_cache.remove_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], "elsewhere", "kernels-00000000000000cc"}
    kernel_cache.remove_unused(tmp_path / "nowhere")


@compiles
def test_use_is_noted_once_a_process_and_old_folders_go_with_a_new_one(call, folder):
    call(2)
    long_ago = time.time() - kernel_cache.UNUSED_SECONDS - 60
    os.utime(folder, (long_ago, long_ago))
    call(2)
    assert folder.stat().st_mtime > long_ago + 60
    old = folder.with_name("kernels-00000000000000aa")
    old.mkdir()
    os.utime(old, (long_ago, long_ago))
    call(2.5)
    assert old.exists()
    shutil.rmtree(folder)
    call(2)
    assert not old.exists()


def test_the_folder_of_this_machine(monkeypatch, tmp_path):
    named = kernel_cache.kernel_folder.__wrapped__
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/someone")
    assert named().parent == tmp_path / "linclass"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert named().parent == Path("/home/someone/.cache/linclass")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert named().parent == tmp_path / "numba"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError))
    assert named() is None


SCRIPT = """
import numpy as np
from linclass_cli.compilation import COMPILATION
from linclass_cli.learn.scaling import fit_scaling
print(fit_scaling('standard', np.ones((3, 2), np.float32), np.arange(3)).mean, COMPILATION.compiled)
"""


def start(cache: Path, **more: str) -> subprocess.Popen:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), **more}
    environment.pop("NUMBA_DISABLE_JIT", None)
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out


def test_processes_that_compile_at_the_same_time(tmp_path):
    together = [end(process) for process in [start(tmp_path) for _ in range(3)]]
    assert end(start(tmp_path)) == "[1. 1.] 0\n"
    assert {line.split("]")[0] for line in together} == {"[1. 1."}
    (folder,) = (tmp_path / "linclass").iterdir()
    assert [path.suffix for path in folder.iterdir()] == [".kernel"] * 2


@pytest.mark.parametrize("home", ["/dev/null", ""])
def test_no_place_for_kernels_stops_nothing(home):
    assert end(start(Path("/dev/null/x"), HOME=home)) == "[1. 1.] 2\n"
