"""A command that is killed at a step leaves the old, the new or nothing, and the next one mends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from linclass_cli.temporary import real_path
from tests.faults.bench import Bench
from tests.faults.forge import damaged, temporaries, verify
from tests.faults.tally import tried
from tests.faults.writers import WRITERS, Writer, check_state, snapshot
from tests.tiers import few

KILLED = -9


def what_is_left(folder: Path) -> frozenset[object]:
    """All that the next command may make a difference of: not what is in temporary files."""
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = real_path(name) != name or path.suffix == ".lock"
        found.append((real_path(name), None if hidden or path.is_dir() else path.read_bytes()))
    return frozenset(found)


@pytest.mark.parametrize("writer", few(WRITERS, 2), ids=lambda writer: writer.name)
def test_killed_at_every_step(bench: Bench, writer: Writer):
    base = bench.copy()
    writer.prepare(base)
    before, bad = snapshot(writer, base), damaged(base)
    done = Path(shutil.copytree(base, f"{base}-done"))
    ask = lambda folder, **more: writer.request(folder, bench.sources, bench.address, **more)  # noqa: E731
    (whole,) = bench.forge.run_all([ask(done)])
    assert whole.code == 0, whole.err
    after = snapshot(writer, done)

    folders = [Path(shutil.copytree(base, f"{base}-{at}")) for at in range(len(whole.steps))]
    for result in bench.forge.run_all(ask(f, kind="kill", at=at) for at, f in enumerate(folders)):
        assert result.code == KILLED, result
    different: dict[frozenset[object], tuple[Path, set[str]]] = {}
    for folder in folders:
        verify(folder, bad)
        different[what_is_left(folder)] = folder, check_state(before, after, folder, writer)
    again = bench.forge.run_all(ask(folder) for folder, _ in different.values())
    for (folder, undone), result in zip(different.values(), again, strict=True):
        assert result.code in ((0,) if undone else writer.again), (folder, result)
        verify(folder, damaged(done))
        assert snapshot(writer, folder) == after, folder
        if result.code:  # there was nothing to do: the next to write there sweeps
            assert bench.forge.run(folder, "cache", "clean", "--yes").code == 0
        assert not temporaries(folder), folder
    tried("kill -9 at a step of a writer", len(folders))
    for folder in (base, done, *folders):
        shutil.rmtree(folder)
