"""Folders that may not be written or read, and files in the place of folders: one line and an exit code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.forge import damaged, temporaries, tree, verify
from tests.faults.tally import tried
from tests.faults.writers import WRITERS, Writer, snapshot

NOBODY = 65534
COMMANDS = [writer for writer in WRITERS if writer.name != "kernel"]


def chown(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user)


@pytest.fixture
def as_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What a request needs to be run by a user whom modes bind; root's folders are opened on the way."""
    if os.geteuid() != 0:
        return {}
    opened = [bench.base, *bench.base.parents]
    modes = {path: path.stat().st_mode for path in opened}
    for path, mode in modes.items():
        if mode & 0o001 == 0:
            path.chmod(mode | 0o055)
    yield {"user": NOBODY}
    for path, mode in modes.items():
        if mode & 0o001 == 0:
            path.chmod(mode)


UNREADABLE = (
    *("import over", "download --from", "extract", "train", "cv", "plot", "report", "export new"),
    *("predict --out", "runs remove", "cache clean"),
)


@pytest.mark.parametrize(
    ("writer", "mode"),
    [
        *((writer, 0o555) for writer in COMMANDS),
        *((writer, 0o000) for writer in COMMANDS if writer.name in UNREADABLE),
    ],
    ids=lambda one: one.name if isinstance(one, Writer) else f"{one:o}",
)
def test_folders_that_cannot_be_written(bench: Bench, as_nobody: dict[str, int], writer: Writer, mode: int):
    base = bench.copy()
    writer.prepare(base)
    before, bad = snapshot(writer, base), damaged(base)
    if as_nobody:
        chown(base, NOBODY)
    folders = [path for path in base.rglob("*") if path.is_dir()]
    if mode:
        folders = [base, *folders]
    for path in reversed(folders):
        path.chmod(mode)
    (result,) = bench.forge.run_all([writer.request(base, bench.sources, bench.address, **as_nobody)])
    for path in folders:
        path.chmod(0o755)
    if as_nobody:
        chown(base, os.geteuid())
    verify(base, bad)
    assert snapshot(writer, base) == before
    assert result.code == 6, result
    assert ".tmp" not in result.error
    tried("a folder without permission")
    shutil.rmtree(base)


def _swap(name: str) -> Callable[[Path], None]:
    """Put a file in the place of a folder, or a folder in the place of a file."""

    def swap(folder: Path) -> None:
        (path,) = folder.glob(name)
        if path.is_dir():
            shutil.rmtree(path)
            path.write_text("mine")
        else:
            path.unlink()
            path.mkdir()

    return swap


NAMED = {writer.name: writer for writer in WRITERS}
PLACES = [
    *(("cache", writer.name) for writer in COMMANDS if "config" not in writer.name),
    *(("cache/datasets", name) for name in ("import", "import over", "download", "extract")),
    *(("cache/datasets/pets", name) for name in ("import over", "predict --out")),
    *(("cache/datasets/pets/dataset.json", name) for name in ("import over", "cache clean")),
    *(("cache/datasets/dots/train-rows.npy", name) for name in ("extract --force", "cache clean")),
    *(("cache/features", name) for name in ("extract --force", "train", "cv", "cache clean")),
    *(("cache/features/dots-*.h5", name) for name in ("extract --force", "train", "cv", "cache clean")),
    *(("cache/runs", name) for name in ("train", "cv", "plot", "runs remove")),
    *(("cache/runs/old", name) for name in ("plot", "report", "export", "runs remove")),
    *(("cache/runs/old/run.json", name) for name in ("plot", "report", "export", "runs remove")),
    *(("cache/runs/old/model.safetensors", name) for name in ("plot", "report", "export")),
    *(("cache/runs/old/history.jsonl", name) for name in ("plot", "report")),
    ("model", "export"),
    ("labels.csv", "predict --out"),
]


@pytest.mark.parametrize(("place", "name"), PLACES)
def test_a_file_where_a_folder_should_be(bench: Bench, place: str, name: str):
    folder = bench.copy()
    _swap(place)(folder)
    before = tree(folder)
    (result,) = bench.forge.run_all([NAMED[name].request(folder, bench.sources, bench.address)])
    if result.code:
        assert result.code in (3, 4, 5, 6), result
        assert ".tmp" not in result.error
        assert tree(folder) == before
    assert not temporaries(folder)
    tried("a file where a folder should be, or the other way round")
    shutil.rmtree(folder)
