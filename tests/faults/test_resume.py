"""A fit that is killed, interrupted or damaged goes on from what it had done, to the same bits."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import unfinished
from linclass_cli.cleaning import find_rubbish, remove_rubbish
from linclass_cli.errors import ResourceError
from linclass_cli.learn.journal import State
from linclass_cli.recording import cross_validate, train
from linclass_cli.runs import load_run
from linclass_cli.settings import resolve
from linclass_cli.signals import FINISHED
from linclass_cli.unfinished import HISTORY, STATE, Kept, fit_key, kept_journal, unfinished_folder
from tests.faults.children import run
from tests.tiers import few

SMALL = {"data.name": "textures", "feature.pixels_per_cell": 16, "feature.cells_per_block": 2}
SGD = {**SMALL, "solver.name": "sgd", "solver.momentum": 0.5, "solver.epochs": 12, "solver.decay": 0.1}
SHORT = {"solver.epochs": 3}
# Every way of `learn.ways`, what is around it, and solvers that start where the last one ended.
WAYS = {
    "together": {"model.loss": "softmax"},
    "together, calibrated": {"model.loss": "softmax", "model.calibrate": True},
    "ridge": {"model.loss": "ridge"},
    "fold by fold": {"model.loss": "squared-hinge", "solver.name": "lbfgs", "model.class_weight": "balanced"},
    "fold by fold, sgd": {"model.loss": "hinge", "solver.name": "sgd", "solver.epochs": 3},
    "nested": {"model.loss": "ridge", "cv.nested": True},
    "nested, together": {"model.loss": "softmax", "cv.nested": True, "cv.choose": "one-se"},
}
CV = {**SMALL, "cv.folds": 3, "cv.l2": (0.001, 0.01, 0.1)}


class Killed(Exception):
    """Stands for a kill: nobody tidies up after it."""


@dataclass
class Place:
    """A cache folder, and what was said there."""

    path: Path
    said: list[str] = field(default_factory=list)

    @property
    def kept(self) -> Path:
        (folder,) = unfinished_folder(self.path).iterdir()
        return folder

    def config(self, settings, threads=1):
        flags = {**settings, "cache_dir": str(self.path), "threads": threads}
        return resolve({key: (key, value) for key, value in flags.items()}, environment={}).config

    def fit(self, settings, name, threads=1, stop_at=None, resume=True):
        """Train or cross-validate; what has come out of it, without what may differ."""
        told = 0

        def each(*_):
            nonlocal told
            told += 1
            if told == stop_at:
                raise Killed

        self.said.clear()
        start = cross_validate if "cv.folds" in settings else train
        config = self.config(settings, threads)
        start(config, name, resume=resume, each=each, notice=self.said.append)
        return told, result(self.path, name)


def result(cache, name):
    """A run's metrics and history but for the seconds, and its model byte for byte."""
    saved = load_run(cache, name)
    history = [{key: value for key, value in line.items() if key != "seconds"} for line in saved.history]
    metrics = {key: value for key, value in saved.metrics.items() if key != "seconds"}
    return metrics, history, (saved.path / "model.safetensors").read_bytes()


@pytest.fixture
def often(monkeypatch):
    """What is done is kept at every opportunity."""
    monkeypatch.setattr(unfinished, "SECONDS", 0.0)
    monkeypatch.setattr(unfinished, "SHARE", 1e9)


@pytest.fixture
def place(tmp_path, line):
    shutil.copytree(line, tmp_path / "cache")
    return Place(tmp_path / "cache")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A cache with the features, and a run that nobody has disturbed, on two threads."""
    path = tmp_path_factory.mktemp("line") / "cache"
    Place(path).fit(SGD, "whole", threads=2)
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stop_at", [1, 2, 7, 12])
def test_sgd_goes_on_to_the_same_bits(place, often, threads, stop_at):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", threads, stop_at)
    told, found = place.fit(SGD, "broken", threads)
    assert place.said == [
        f"going on where a fit stopped: {stop_at} steps are done (--no-resume starts afresh)"
    ]
    assert found == result(place.path, "whole")
    assert told == 12  # what was done before is told again
    assert not unfinished_folder(place.path).exists()


@pytest.mark.parametrize(
    "model",
    [
        {"model.loss": "softmax", "solver.name": "newton", "model.l2": 1e-5},
        {"model.loss": "squared-hinge", "solver.name": "lbfgs", "split.val_fraction": 0, "model.l2": 0.1},
        {"model.loss": "hinge", "solver.name": "smoothed", "model.l2": 0.1, "solver.duality_gap": 0.05},
    ],
    ids=lambda model: model["solver.name"],
)
def test_every_solver_goes_on_to_the_same_bits(place, often, model):
    settings = {**SMALL, **model}
    count, whole = place.fit(settings, "undisturbed", threads=2)
    for stop_at in (1, 2, count // 2, count - 1, count):
        with pytest.raises(Killed):
            place.fit(settings, f"stopped{stop_at}", stop_at=stop_at)
        told, found = place.fit(settings, f"stopped{stop_at}")
        assert (told, found, len(place.said)) == (count, whole, 1)


def test_stopped_again_and_again_it_comes_to_its_end(place, often):
    for stop_at in (3, 5, 6, 11):
        with pytest.raises(Killed):
            place.fit(SGD, "broken", stop_at=stop_at)
    assert place.fit(SGD, "broken")[1] == result(place.path, "whole")
    seconds = [line["seconds"] for line in load_run(place.path, "broken").history]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("way", few(WAYS))
def test_cross_validation_goes_on_to_the_same_bits(place, often, monkeypatch, way):
    settings = {**CV, **WAYS[way]}
    count, whole = place.fit(settings, "undisturbed", threads=2)
    for stop_at in (2, count // 3, count // 2, count - 2, count):
        with pytest.raises(Killed):
            place.fit(settings, f"stopped{stop_at}", stop_at=stop_at)
        left = unfinished_folder(place.path).exists()
        assert left or (stop_at == 2 and "together" not in way)
        again, found = place.fit(settings, f"stopped{stop_at}")
        assert found == whole
        assert bool(place.said) == left
        assert again <= count  # steps within a strength are not told again
        assert not unfinished_folder(place.path).exists()


CHILD = """
import os, signal
from linclass_cli import atomic, unfinished
unfinished.SECONDS, unfinished.SHARE = 0.0, 1e9
steps = 0
def observe(what, path, target):
    global steps
    steps += ".unfinished" in path.parts
    if steps == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
atomic.observers.append(observe)
if {torn}:
    # As if the kernel had got half of the line to the disk.
    real = unfinished.append
    def torn(path, at, content):
        global steps
        real(path, at, content[: len(content) // 2] if steps >= {at} - 2 else content)
    unfinished.append = torn
"""


@pytest.mark.parametrize(
    ("at", "torn", "kept"),
    [(8, 0, 0), (13, 0, 1), (13, 1, 1), (16, 0, 1), (19, 0, 2), (24, 0, 2), (29, 0, 0)],
)
def test_a_kill_at_any_step_of_a_write(place, at, torn, kept):
    """The first state is written by step 10, the second by 18; the last one is removed in steps 28 to 31."""
    given = {key.rpartition(".")[2].replace("_", "-"): value for key, value in {**SGD, **SHORT}.items()}
    given |= {"data": given.pop("name"), "solver": "sgd"}
    flags = [f"--{name}={value}" for name, value in {**given, "data": "textures"}.items()]
    child = run(place.path.parent, "train", *flags, "--name", "broken", before=CHILD.format(at=at, torn=torn))
    assert child[0] == -signal.SIGKILL, child
    place.fit({**SGD, **SHORT}, "again")
    steps = f"{kept} steps are done (--no-resume starts afresh)"
    assert place.said == ([f"going on where a fit stopped: {steps}"] if kept else [])
    whole = place.fit({**SGD, **SHORT}, "undisturbed", threads=2)[1]
    assert result(place.path, "again") == whole
    assert not unfinished_folder(place.path).exists()


def keep(folder, lines=4, every=2):
    """A journal of made-up lines in which a state stands behind every other one."""
    with kept_journal(folder, lambda: "k", "steps", True, lambda _: None) as journal:
        for i in range(lines):
            state = State({"x": np.arange(i + 1.0)}, {"n": i, "large": 1 << 127})
            journal.keep({"i": i}, (lambda s=state: s) if i % every else None, "part")
    return unfinished_folder(folder) / "k"


def look(folder):
    said: list[str] = []
    with kept_journal(folder, lambda: "k", "steps", True, said.append) as journal:
        state = journal.state("part")
        return journal.lines("part"), state and (state.tensors["x"].tolist(), state.facts), said


def test_a_journal_gives_back_what_it_was_told(tmp_path, often):
    keep(tmp_path, lines=5)
    lines, state, said = look(tmp_path)
    assert lines == [{"i": i} for i in range(4)]  # no state stands behind the fifth
    assert state == ([0, 1, 2, 3], {"n": 3, "large": 1 << 127})
    assert said == ["going on where a fit stopped: 4 steps are done (--no-resume starts afresh)"]
    with kept_journal(tmp_path, lambda: "k", "steps", True, said.append) as journal:
        assert (journal.lines(), journal.state(), journal.left()) == (
            [],
            None,
            "4 steps are kept; the same command goes on from there",
        )
    with kept_journal(tmp_path, lambda: "k", "steps", False, said.append) as journal:
        assert (journal.lines("part"), journal.left()) == ([], FINISHED)


@pytest.mark.parametrize("tail", [b"[", b'["part",{"i":4}]\n["pa', b"\x00" * 50])
def test_a_torn_or_foreign_end_of_the_history_does_not_count(tmp_path, often, tail):
    folder = keep(tmp_path)
    before = look(tmp_path)
    whole = (folder / HISTORY).read_bytes()
    (folder / HISTORY).write_bytes(whole + tail)
    assert look(tmp_path) == before
    with kept_journal(tmp_path, lambda: "k", "steps", True, lambda _: None) as journal:
        journal.keep({"i": 4}, lambda: State({}, {}), "part")
    assert (folder / HISTORY).read_bytes() == whole + b'["part",{"i":4}]\n'


@pytest.mark.parametrize("file", [STATE, HISTORY])
def test_what_is_damaged_is_not_used(tmp_path, often, file):
    """Every single bit, and every length."""
    path = keep(tmp_path) / file
    content = path.read_bytes()
    other = {one: (path.parent / one).read_bytes() for one in (STATE, HISTORY)}
    damaged = [content[:length] for length in range(len(content))]
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        damaged.append(bytes(flipped))
    for bad in damaged:
        for one, whole in other.items():
            (path.parent / one).write_bytes(whole)
        path.write_bytes(bad)
        lines, state, said = look(tmp_path)
        assert (lines, state) == ([], None)
        assert said[0].startswith("starting afresh, what a fit has left here cannot be used: ")
        assert not (path.parent / STATE).exists()


def test_a_damaged_state_costs_the_work_and_nothing_else(place, often):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", stop_at=5)
    path = place.kept / STATE
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert place.fit(SGD, "broken")[1] == result(place.path, "whole")
    assert "state.safetensors is damaged" in place.said[0]


def test_no_resume_starts_afresh(place, often):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", stop_at=5)
    told, found = place.fit(SGD, "broken", resume=False)
    assert (told, found, place.said) == (12, result(place.path, "whole"), [])
    assert not unfinished_folder(place.path).exists()


OTHERS = {"seed": 1, "model.l2": 0.01, "solver.epochs": 13, "solver.momentum": 0.4, "split.val_fraction": 0.1}


@pytest.mark.parametrize("key", OTHERS)
def test_other_settings_do_not_go_on(place, often, key):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", stop_at=5)
    place.fit({**SGD, key: OTHERS[key]}, "other")
    assert place.said == []
    assert place.kept.is_dir()
    assert place.fit(SGD, "broken")[1] == result(place.path, "whole")
    assert len(place.said) == 1


def test_the_key_knows_what_files_hold_and_what_has_computed(monkeypatch):
    keys = {
        fit_key(*facts)
        for facts in (
            ("train", {"a": 1}, "f", {"groups": None}),
            ("cv", {"a": 1}, "f", {"groups": None}),
            ("train", {"a": 2}, "f", {"groups": None}),
            ("train", {"a": 1}, "g", {"groups": None}),
            ("train", {"a": 1}, "f", {"groups": "x"}),
        )
    }
    monkeypatch.setattr("linclass_cli.environment.processor", lambda: "another")
    keys.add(fit_key("train", {"a": 1}, "f", {"groups": None}))
    assert len(keys) == 6


def test_another_process_at_the_same_fit_keeps_nothing(place, often):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", stop_at=5)
    with kept_journal(place.path, lambda: place.kept.name, "steps", True, lambda _: None) as other:
        assert len(other.lines()) == 5
        before = {path: path.read_bytes() for path in place.kept.iterdir()}
        assert place.fit(SGD, "second")[1] == result(place.path, "whole")
        assert place.said == ["another process is at this very fit: an interrupt would lose this one"]
        assert {path: path.read_bytes() for path in place.kept.iterdir()} == before


def test_a_fit_does_not_fail_by_what_cannot_be_kept(place, often, monkeypatch):
    def full(*_):
        raise ResourceError("no space left")

    monkeypatch.setattr(unfinished, "append", full)
    assert place.fit(SGD, "broken")[1] == result(place.path, "whole")
    assert place.said == ["note: an interrupt would lose this fit: no space left"]


def test_a_short_fit_writes_nothing_but_its_record(place, monkeypatch):
    monkeypatch.setattr(Kept, "_write", lambda *_: pytest.fail("it was not asked for"))
    place.fit(SGD, "short")
    assert sorted(path.name for path in (place.path / "runs").iterdir()) == ["short", "whole"]


def test_what_was_left_long_ago_can_go(place, often):
    with pytest.raises(Killed):
        place.fit(SGD, "broken", stop_at=5)
    assert find_rubbish(place.path) == []
    for path in place.kept.iterdir():
        os.utime(path, (0, time.time() - 31 * 24 * 3600))
    (found,) = find_rubbish(place.path)
    assert (found.kind, found.path) == ("fit", place.kept)
    assert found.why == "a fit that was stopped 31 days ago, and could still go on"
    assert remove_rubbish(found)
    assert place.fit(SGD, "broken")[1] == result(place.path, "whole")
