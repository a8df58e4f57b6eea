"""A disk that fails, or is full, at any step of a command: one line, the exit code 6, and nothing half."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.forge import damaged, temporaries, verify
from tests.faults.server import NO_SPACE
from tests.faults.tally import tried
from tests.faults.writers import DISPENSABLE, EVERY_WAY, WRITERS, Writer, check_state, snapshot
from tests.tiers import few


@pytest.mark.parametrize(
    ("writer", "kind"),
    few(
        [
            *((writer, "error") for writer in WRITERS),
            *((writer, "full") for writer in WRITERS if writer.name in EVERY_WAY),
        ],
        2,
    ),
    ids=lambda one: one.name if isinstance(one, Writer) else one,
)
def test_an_error_at_every_step(bench: Bench, writer: Writer, kind: str):
    base = bench.copy()
    writer.prepare(base)
    before, bad = snapshot(writer, base), damaged(base)
    done = Path(shutil.copytree(base, f"{base}-done"))
    number = {"error": errno.EIO, "full": errno.ENOSPC}[kind]
    ask = lambda folder, **more: writer.request(folder, bench.sources, bench.address, **more)  # noqa: E731
    (whole,) = bench.forge.run_all([ask(done)])
    assert whole.code == 0, whole.err
    after = snapshot(writer, done)

    steps = [at for at, (what, *_) in enumerate(whole.steps) if kind == "error" or what in NO_SPACE]
    folders = [Path(shutil.copytree(base, f"{base}-{at}")) for at in steps]
    results = bench.forge.run_all(
        ask(folder, kind=kind, at=at, errno=number) for at, folder in zip(steps, folders, strict=True)
    )
    for at, result, folder in zip(steps, results, folders, strict=True):
        what = whole.steps[at][0]
        verify(folder, bad)
        undone = check_state(before, after, folder, writer)
        if result.code == 0:  # what is not needed is left: for the next to sweep
            assert what == "remove" or undone <= DISPENSABLE, (what, result)
        else:
            assert result.code == 6, (what, result)
            assert ("no space left" in result.error) == (kind == "full"), result.error
            assert ".tmp" not in result.error, result.error
        if what != "remove":
            assert not temporaries(folder), what
    tried({"error": "I/O error at a step", "full": "disk full from a step on"}[kind], len(folders))
    for folder in (base, done, *folders):
        shutil.rmtree(folder)
