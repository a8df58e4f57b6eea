"""A disk that is really full, and a limit on the size of files: exit 6, what is needed, never a signal."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.forge import PACKAGE, Result, damaged, temporaries, verify
from tests.faults.tally import tried
from tests.faults.writers import DISPENSABLE, WRITERS, Writer, check_state, snapshot
from tests.tiers import few

PAGE = 4096
SIZE = 4 << 20  # bytes of the small disk
BY_NAME = {writer.name: writer for writer in WRITERS}
NAMES = ["import", "import over", "download", "extract", "cv", "export new", "predict --out", "kernel"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk, mounted; skips where only root may do that."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["/bin/umount", "-l", str(place)], check=True)


def fill(disk: Path, free: int) -> None:
    """Leave so many bytes free."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    there = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, there.f_bavail * there.f_bsize - free))


def looks_right(result: Result, folder: Path, writer: Writer, base: Path, done: Path) -> bool:
    """Whether the command has succeeded; where it has not, it has said so, and nothing is half."""
    verify(folder, damaged(base))
    check_state(snapshot(writer, base), snapshot(writer, done), folder, writer)
    assert not temporaries(folder)
    if result.code == 0:
        return True
    assert result.code == 6, result
    assert ".tmp" not in result.error
    return False


@contextlib.contextmanager
def prepared(bench: Bench, name: str) -> Iterator[tuple[Writer, Path, Path]]:
    """The writer, a folder before it has run, and one after."""
    writer = BY_NAME[name]
    base = bench.copy()
    writer.prepare(base)
    done = Path(shutil.copytree(base, f"{base}-done"))
    (whole,) = bench.forge.run_all([writer.request(done, bench.sources, bench.address)])
    assert whole.code == 0, whole.err
    yield writer, base, done
    shutil.rmtree(base)
    shutil.rmtree(done)


@pytest.mark.parametrize("name", few(NAMES))
def test_a_disk_with_little_room(bench: Bench, disk: Path, name: str):
    with prepared(bench, name) as (writer, base, done):
        free, failures = 0, 0
        while True:
            (disk / "ballast").unlink(missing_ok=True)
            folder = Path(shutil.copytree(base, disk / "work"))
            fill(disk, free)
            (result,) = bench.forge.run_all([writer.request(folder, bench.sources, bench.address)])
            if success := looks_right(result, folder, writer, base, done):
                assert not set(snapshot(writer, done)) - set(snapshot(writer, folder)) - DISPENSABLE
            else:
                failures += 1
                assert "no space left" in result.error, result.error
            shutil.rmtree(folder)
            if success:
                break
            free += PAGE * max(1, free // PAGE // 3)
        assert failures
        tried("full disk, mounted", failures)


@pytest.mark.parametrize("name", few(NAMES))
def test_a_limit_on_the_size_of_files(bench: Bench, name: str):
    with prepared(bench, name) as (writer, base, done):
        sizes = [0, 1, 100, 1000, 5000, 20_000, 50_000, 200_000]
        folders = [Path(shutil.copytree(base, f"{base}-{size}")) for size in sizes]
        results = bench.forge.run_all(
            writer.request(folder, bench.sources, bench.address, file_size=size)
            for size, folder in zip(sizes, folders, strict=True)
        )
        succeeded = [
            looks_right(result, folder, writer, base, done)
            for result, folder in zip(results, folders, strict=True)
        ]
        assert succeeded == sorted(succeeded)
        assert (succeeded[0], succeeded[-1]) == (False, True)
        said = [one.error for one, good in zip(results, succeeded, strict=True) if not good]
        assert all("ulimit -f" in line or name == "kernel" for line in said), said
        tried("limit on the size of files", succeeded.count(False))
        for folder in folders:
            shutil.rmtree(folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("train", "--help"),
        ("runs", "list", "--json"),
        ("config", "show"),
        ("predict", "pets", "{sources}/pictures"),
        ("train", "--data", "dots", "--feature", "vectors", "--loss", "ridge", "--json"),
    ],
    ids=" ".join,
)
def test_stdout_that_is_full(bench: Bench, arguments: tuple[str, ...]):
    folder = bench.copy()
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "linclass_cli", *(one.format(sources=bench.sources) for one in arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    result = Result(process.returncode, "", process.stderr, [])
    assert result.code == 6, result
    assert "no space left on device" in result.error
    verify(folder)
    tried("stdout that is full")
