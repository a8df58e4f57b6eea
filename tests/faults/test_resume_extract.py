"""An extraction that is stopped, in whatever way, goes on from what it had done, to the same bytes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import filling, partial
from linclass_cli.cleaning import find_rubbish, remove_rubbish
from linclass_cli.errors import InputError
from linclass_cli.extract import extract, silent
from linclass_cli.feature_plan import plan_features
from linclass_cli.features import make_extractor
from linclass_cli.locks import holding, lock_path
from linclass_cli.partial import blocks, partial_folder
from linclass_cli.settings import resolve
from linclass_cli.signals import farewell
from tests.faults.children import PACKAGE, run
from tests.faults.tally import tried

ROWS = 1800 + 348
BATCH = 200
FEATURE = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
OFTEN = f"""
from linclass_cli import filling, partial
partial.SECONDS = partial.SHARE = 0.0
filling.BATCH = {BATCH}
"""


@dataclass
class Counting:
    """The extractor, which counts what it computes and may be stopped at a call."""

    inner: object
    stop_at: int = -1
    stop: type[BaseException] = KeyboardInterrupt
    images: list[int] = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __call__(self, images, out):
        if len(self.images) == self.stop_at:
            raise self.stop
        self.images.append(len(images))
        self.inner(images, out)
        time.sleep(0.005)  # somebody else gets to write what is done


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(partial, "SECONDS", 0.0)
    monkeypatch.setattr(partial, "SHARE", 0.0)
    monkeypatch.setattr(filling, "BATCH", BATCH)


@dataclass
class Cache:
    path: Path
    said: list[str] = field(default_factory=list)
    dtype: str = "float32"

    @property
    def features(self) -> Path:
        return self.plan().path

    @property
    def kept(self) -> list[tuple[str, int, int, Path]]:
        return list(blocks(partial_folder(self.features)))

    def plan(self):
        return plan_features(self.config())

    def config(self):
        flags = {
            "data.name": ("--data", "textures"),
            "cache_dir": ("--cache-dir", str(self.path / "cache")),
            "feature.pixels_per_cell": ("", 16),
            "feature.cells_per_block": ("", 2),
            "feature.store_dtype": ("", self.dtype),
        }
        return resolve(flags, environment={}, folder=self.path).config

    def extract(self, force: bool = False, **stop) -> int:
        """Extract; how many images were computed."""
        plan = self.plan()
        counting = Counting(plan.extractor, **stop)
        self.said.clear()
        extract(replace(plan, extractor=counting), self.config(), silent, force, self.said.append)
        return sum(counting.images) - 1  # one black image loads the kernels

    def interrupt(self, batches: int = 8, stop=KeyboardInterrupt) -> None:
        with pytest.raises(stop):
            self.extract(stop_at=1 + batches, stop=stop)
        quiet()


def quiet() -> None:
    """Wait for a block that is being written when the signal comes."""
    for thread in threading.enumerate():
        if thread.name.startswith("linclass-partial"):
            thread.join()


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "broken").mkdir()
    return Cache(tmp_path / "broken")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of an extraction that nobody disturbs."""
    cache = Cache(tmp_path_factory.mktemp("whole"))
    assert cache.extract() == ROWS
    return cache.features.read_bytes()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_what_was_done_is_not_computed_again(cache, whole, stop):
    cache.interrupt(10, stop)
    kept = sum(end - begin for _, begin, end, _ in cache.kept)
    assert 0 < kept <= 10 * BATCH
    assert not cache.features.exists()
    said = f"interrupted: {kept:,} of {ROWS:,} images are kept; the same command goes on from there"
    assert farewell(signal.SIGINT) == said
    assert cache.extract() == ROWS - kept
    assert cache.said == [f"going on where an extraction stopped: {kept:,} of {ROWS:,} images are done"]
    assert cache.features.read_bytes() == whole
    assert [path.name for path in cache.features.parent.iterdir()] == [cache.features.name]


def test_float16_features_go_on_too_and_never_from_float32_ones(cache):
    cache.interrupt(10)
    assert cache.kept
    cache.dtype = "float16"
    assert not cache.kept
    cache.interrupt(10)
    kept = sum(end - begin for _, begin, end, _ in cache.kept)
    assert 0 < kept <= 10 * BATCH
    assert cache.extract() == ROWS - kept
    broken = cache.features.read_bytes()
    assert cache.extract(force=True) == ROWS
    assert cache.features.read_bytes() == broken


def test_what_float16_cannot_hold_ends_it_and_leaves_nothing(cache):
    cache.dtype = "float16"
    config, plan = cache.config(), cache.plan()

    @dataclass
    class Large(Counting):
        def __call__(self, images, out):
            super().__call__(images, out)
            if len(self.images) == 8:
                out[2, 5] = 1e6

    with pytest.raises(InputError, match=r"feature 5 of row 1202 of the train part is 1e\+06"):
        extract(replace(plan, extractor=Large(plan.extractor)), config, silent)
    quiet()
    assert list(cache.features.parent.glob(f"*{cache.features.name}*")) == []
    assert not partial_folder(cache.features).exists()


def test_stopped_again_and_again_it_comes_to_its_end(cache, whole):
    before = -1
    for _ in range(20):
        try:
            cache.extract(stop_at=3)
        except KeyboardInterrupt:
            quiet()
            now = sum(end - begin for _, begin, end, _ in cache.kept)
            assert now >= before
            before = now
        else:
            break
    assert cache.features.read_bytes() == whole


def spoil_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def spoil_digest(path):
    path.write_bytes(b"0" * 64 + path.read_bytes()[64:])


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path):
    path.write_bytes(b"")


def move(path):
    """Other rows' values under these rows' name."""
    part, start, stop = path.name.split("-")
    path.rename(path.with_name(f"{part}-{int(start) + 1:012}-{int(stop) + 1:012}"))


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [spoil_bit, spoil_digest, cut, lengthen, empty, move, make_folder, Path.unlink]
)
def test_a_block_that_is_not_what_was_written_is_computed_again(cache, whole, spoil):
    cache.interrupt()
    _, start, stop, path = cache.kept[0]
    kept = sum(end - begin for _, begin, end, _ in cache.kept)
    spoil(path)
    assert cache.extract() == ROWS - kept + (stop - start)
    assert cache.features.read_bytes() == whole


def test_blocks_of_other_features_are_not_believed(cache):
    """Nor those of another dictionary, processor or version: they have another key."""
    cache.interrupt()
    X = np.zeros((1800, 36), np.float32)
    folder = partial_folder(cache.features)
    plan = cache.plan()
    key = filling._key_of_values(plan, plan.extractor)
    assert partial.Partial(folder, lambda: "0" * 64).take("train", X) == [(0, 1800)]
    assert partial.Partial(folder, lambda: key).take("train", X) != [(0, 1800)]


def test_the_key_of_values_follows_the_dictionary_and_the_processor(cache, monkeypatch):
    plan, keys = cache.plan(), set()
    patches = make_extractor("patches", filters=4, patch_samples=100)
    rng = np.random.default_rng(0)
    for _ in range(2):
        learned = patches.fit(rng.integers(0, 256, (30, 32, 32, 1), np.uint8))
        keys.add(filling._key_of_values(plan, learned))
    monkeypatch.setattr("linclass_cli.environment.processor", lambda: "another")
    keys.add(filling._key_of_values(plan, learned))
    assert len(keys) == 3


def test_blocks_that_overlap_or_lie_outside_do_no_harm(cache, whole):
    cache.interrupt()
    for _, start, stop, path in cache.kept:
        copy = path.with_name(f"train-{start + 50:012}-{stop + 50:012}")
        copy.write_bytes(path.read_bytes())
        path.with_name(f"test-{10**9:012}-{10**9 + 1:012}").write_bytes(path.read_bytes())
        path.with_name("test-000000000005-000000000005").write_bytes(b"")
        path.with_name("something else").write_bytes(b"")
    cache.extract()
    assert cache.features.read_bytes() == whole


def test_force_starts_afresh(cache, whole):
    cache.interrupt()
    assert cache.extract(force=True) == ROWS
    assert cache.features.read_bytes() == whole
    assert cache.said == []


def test_a_disk_without_room_for_blocks_stops_nothing(cache, whole, monkeypatch):
    written = Path.open

    def full(path, mode="r", *args, **kwargs):
        if "x" in mode:
            raise OSError(28, "No space left on device")
        return written(path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    assert cache.extract() == ROWS
    monkeypatch.undo()
    assert cache.features.read_bytes() == whole


def test_a_short_extraction_keeps_no_blocks(cache, monkeypatch):
    monkeypatch.setattr(partial, "SECONDS", 600.0)
    cache.interrupt()
    assert cache.kept == []
    assert not partial_folder(cache.features).exists()


@pytest.mark.parametrize("batches", [1, 4, 9, 10])
def test_killed_it_goes_on(tmp_path, whole, batches):
    """kill -9 between two batches: of the training part, at its end, of the test part."""
    kill = f"""{OFTEN}
import os, signal
add, calls = partial.Partial.add, 0
def killed(self, *arguments):
    global calls
    add(self, *arguments)
    if self._writing:
        self._writing.result()
    calls += 1
    if calls == {batches}:
        os.kill(os.getpid(), signal.SIGKILL)
partial.Partial.add = killed
"""
    code, _, _ = run(tmp_path, "extract", *FEATURE, before=kill)
    assert code == -signal.SIGKILL
    code, _, err = run(tmp_path, "extract", *FEATURE, before=OFTEN)
    assert code == 0
    assert err.count("going on where an extraction stopped") == 1
    files = [path for path in (tmp_path / "cache/features").iterdir() if path.suffix != ".tmp"]
    assert [path.read_bytes() for path in files] == [whole]


def test_missing_spans_are_those_that_no_block_has(tmp_path):
    X = np.arange(40, dtype=np.float32).reshape(10, 4)
    with pytest.raises(ZeroDivisionError), partial.Partial(tmp_path / "p", lambda: "key") as kept:
        kept.add("train", X, 2, 4)
        kept._writing.result()
        kept.add("train", X, 7, 9)
        kept._writing.result()
        _ = 1 / 0
    again = partial.Partial(tmp_path / "p", lambda: "key")
    found = np.zeros_like(X)
    assert again.take("train", found) == [(0, 2), (4, 7), (9, 10)]
    assert again.rows == 4
    assert np.flatnonzero(found.any(axis=1)).tolist() == [2, 3, 7, 8]
    assert again.take("test", found) == [(0, 10)]


def test_cache_clean_says_what_it_is_and_removes_it_when_asked_to(cache):
    cache.interrupt()
    kept = sum(end - begin for _, begin, end, _ in cache.kept)
    (found,) = find_rubbish(cache.path / "cache")
    assert (found.kind, found.path) == ("extraction", partial_folder(cache.features))
    assert found.why == f"{kept:,} finished images of an extraction, which would go on from there"
    with holding(lock_path(cache.features), silent):
        assert find_rubbish(cache.path / "cache") == []
    assert remove_rubbish(found)
    assert cache.extract() == ROWS
    assert find_rubbish(cache.path / "cache") == []


KILLS = """
import hashlib, os, random, signal, sys, time
from pathlib import Path
import h5py
from linclass_cli import recording, settings
from linclass_cli.data import embedded, readers
from linclass_cli.entry import main
add = partial.Partial.add
def slowly(*arguments):
    add(*arguments)
    time.sleep(0.03)
partial.Partial.add = slowly
n, wanted, *command = sys.argv[1:]

def start():
    child = os.fork()
    if child == 0:
        sys.argv = ["linclass", *command]
        main()
        sys.exit()
    return child

def finished():
    files = list(Path("cache/features").glob("*.h5"))
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == wanted
        file.unlink()
    return len(files)

began = time.perf_counter()
os.waitpid(start(), 0)
whole = time.perf_counter() - began
assert finished() == 1
rng, done, going_on = random.Random(0), 0, 0
for _ in range(int(n)):
    child = start()
    time.sleep(rng.uniform(0.3, 1.1) * whole)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done += finished()
    going_on += any(Path("cache/features").glob(".*.partial/*"))
    things = sum(len(names) for _, _, names in os.walk("cache"))
    assert things < 60, things
print(done, going_on)
"""


@pytest.mark.parametrize("n", [6, pytest.param(200, marks=pytest.mark.slow_faults)])
def test_killed_at_random_moments_it_comes_to_its_end(tmp_path, whole, n):
    """Again and again: whatever is there after a kill is whole, or is gone on from, and does not pile up."""
    digest = hashlib.sha256(whole).hexdigest()
    command = (str(n), digest, "extract", *FEATURE, "--quiet")
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OFTEN + KILLS, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    done, going_on = map(int, process.stdout.splitlines()[-1].split())
    print(n, "kills:", done, "whole files,", going_on, "times to go on from")
    assert run(tmp_path, "extract", *FEATURE)[0] == 0
    (file,) = (tmp_path / "cache/features").glob("*.h5")
    assert file.read_bytes() == whole
    tried("kill -9 at a random moment of an extraction", n)
    if n > 50:
        assert 5 < done < 195
        assert going_on > 5
