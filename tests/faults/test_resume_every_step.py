"""A fit that keeps what it has done, and a fault at each step of that: the next run has the same bits."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from linclass_cli.runs import list_runs
from tests.faults.bench import Bench
from tests.faults.forge import temporaries, tree, verify
from tests.faults.power import lay_out, outages, record
from tests.faults.tally import tried

pytestmark = pytest.mark.slow_faults
FIT = ("train", "--data", "dots", "--feature", "vectors", "--solver", "sgd", "--epochs", "3")
OFTEN = {"linclass_cli.unfinished.SECONDS": 0.0, "linclass_cli.unfinished.SHARE": 1e9}
BEFORE = {"old", "folds", "pets"}  # runs of the template


def models(folder: Path) -> set[bytes]:
    runs = folder / "cache" / "runs"
    return {(runs / n / "model.safetensors").read_bytes() for n in set(list_runs(folder / "cache")) - BEFORE}


def ask(folder: Path, **more: object) -> dict[str, object]:
    return {"folder": folder, "arguments": FIT, "set": OFTEN, **more}


def all_go_on(bench: Bench, folders: list[Path], whole: set[bytes]) -> None:
    """The same command once more in each folder, without a fault."""
    for folder, result in zip(
        folders, bench.forge.run_all({**ask(f), "set": {}} for f in folders), strict=True
    ):
        assert result.code == 0, result
        assert models(folder) == whole
        verify(folder)
        assert not temporaries(folder)
        left = folder / "cache" / "runs" / ".unfinished"
        assert not left.exists(), [str(p.relative_to(folder)) for p in left.rglob("*")]
        shutil.rmtree(folder)


@pytest.fixture
def undisturbed(bench: Bench):
    """A folder before the fit, the steps of the fit that keep something, and its model."""
    base = bench.copy()
    done = Path(shutil.copytree(base, f"{base}-done"))
    (result,) = bench.forge.run_all([ask(done)])
    assert result.code == 0, result.err
    steps = [at for at, (_, path, *_) in enumerate(result.steps) if ".unfinished" in path]
    assert len(steps) > 3 * 8
    yield base, steps, models(done)
    shutil.rmtree(base)
    shutil.rmtree(done)


@pytest.mark.parametrize("kind", ["kill", "error", "full"])
def test_a_fault_at_every_step(bench: Bench, undisturbed, kind: str):
    base, steps, whole = undisturbed
    folders = [Path(shutil.copytree(base, f"{base}-{at}")) for at in steps]
    faults = [
        ask(folder, kind=kind, at=at, errno=errno.ENOSPC if kind == "full" else errno.EIO)
        for at, folder in zip(steps, folders, strict=True)
    ]
    for result, folder in zip(bench.forge.run_all(faults), folders, strict=True):
        if kind == "kill":
            assert result.code == -9, result
        elif kind == "full" and result.code:  # the run itself could not be written, either
            assert (result.code, "no space left" in result.err) == (6, True), result
        else:  # a fit does not fail by what it cannot keep, nor by what it cannot remove after its end
            assert (result.code, models(folder)) == (0, whole), result
    all_go_on(bench, folders, whole)
    tried(f"{kind} at a step of a checkpoint", len(folders))


def test_the_power_goes(bench: Bench, undisturbed):
    base, _, whole = undisturbed
    folder = Path(shutil.copytree(base, f"{base}-power"))
    first = tree(folder)
    (result,) = bench.forge.run_all([ask(folder, record=True)])
    folders = []
    for state in outages(record(first, folder, result.steps), seed=0):
        folders.append(Path(f"{folder}-{len(folders)}"))
        lay_out(state, folders[-1])
    all_go_on(bench, folders, whole)
    tried("power loss", len(folders))
    shutil.rmtree(folder)
