"""The power may go at any moment: what has a name is whole, old or new, by whatever a disk may have kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.forge import damaged, tree, verify
from tests.faults.power import lay_out, outage, outages, record
from tests.faults.tally import tried
from tests.faults.writers import WRITERS, Writer, check_state, snapshot


def survive(bench: Bench, writer: Writer, flushes: bool) -> int:
    """How many states of the disk were looked at."""
    folder = bench.copy()
    writer.prepare(folder)
    first, before, bad = tree(folder), snapshot(writer, folder), damaged(folder)
    (whole,) = bench.forge.run_all([writer.request(folder, bench.sources, bench.address, record=True)])
    assert whole.code == 0, whole.err
    announced = {str(folder / path) for _, *paths, _ in whole.steps for path in paths if path}
    changed = {path for path in whole.changed if path.startswith(f"{folder}/")}
    assert changed
    assert changed <= announced, "written, and not by linclass_cli.atomic"
    after, made, states = snapshot(writer, folder), record(first, folder, whole.steps, flushes), 0
    for state in (*outages(made, seed=0), outage(made, made.steps)):
        after_outage = Path(f"{folder}-{states}")
        after_outage.mkdir()
        lay_out(state, after_outage)
        verify(after_outage, bad)
        undone = check_state(before, after, after_outage, writer)
        shutil.rmtree(after_outage)
        states += 1
    assert not undone, "the command has ended, and what it has done may be lost"
    shutil.rmtree(folder)
    return states - 1


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_the_power_goes(bench: Bench, writer: Writer):
    tried("power loss", survive(bench, writer, flushes=True))


def test_without_flushes_it_would_be_seen(bench: Bench):
    writer = next(one for one in WRITERS if one.name == "extract")
    with pytest.raises(AssertionError):
        survive(bench, writer, flushes=False)
