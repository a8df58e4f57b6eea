"""Many processes at once, with locks, and where locks are refused or do nothing: one result, no error."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.claims import claim
from linclass_cli.errors import InputError, ResourceError
from linclass_cli.locks import holding, is_held, remove_unheld
from tests.data.conftest import MEMBERS, make_tar
from tests.faults.children import LOCKS_THAT_LOCK_NOTHING, NO_LOCKS, crowd, end, run, start
from tests.faults.tally import tried
from tests.tiers import few, slow

LOCKS = {"locks": "", "none": NO_LOCKS, "idle": LOCKS_THAT_LOCK_NOTHING}
FEATURE = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
# Whoever works writes a line, and takes some time.
NOTE = """
import time
def note(function):
    def noted(*arguments, **named):
        with open("work.log", "a") as log:
            log.write("worked\\n")
        time.sleep(0.5)
        return function(*arguments, **named)
    return noted
"""


def together(folder: Path, commands: list[tuple[str, ...]], before: str) -> list[tuple[int, str, str]]:
    """Run commands that all begin at the same time, and all go well."""
    results = crowd(folder, commands, NOTE + before)
    for command, (code, _, err) in zip(commands, results, strict=True):
        assert code == 0, (command, err)
        assert "Traceback" not in err
    tried("processes at the same cache at once", len(commands))
    return results


def worked(folder: Path) -> int:
    return len((folder / "work.log").read_text().splitlines())


def left(folder: Path) -> list[str]:
    """What should be nowhere in a cache when everybody is done."""
    return [path.name for path in folder.rglob(".*") if path.suffix in (".tmp", ".lock", ".partial")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Features and model that one process makes, by the names of the files."""
    folder = tmp_path_factory.mktemp("whole")
    code, _, err = run(folder, "train", *FEATURE, "--loss", "ridge", "--name", "alone")
    assert code == 0, err
    files = [*folder.rglob("*.h5"), *folder.rglob("*.safetensors")]
    return {path.name: path.read_bytes() for path in files}


@slow
@pytest.mark.parametrize("locks", LOCKS)
def test_sixteen_extract_train_and_clean(tmp_path, whole, locks):
    train = ("train", *FEATURE, "--loss", "ridge", "--json")
    commands = [
        *[("extract", *FEATURE, "--json")] * 6,
        *[train] * 5,
        (*train, "--name", "mine"),
        *[("cache", "clean", "--yes", "--json")] * 4,
    ]
    slow = "from linclass_cli import filling\nfilling.write_features = note(filling.write_features)"
    results = together(tmp_path, commands, f"{LOCKS[locks]}{slow}")
    made = [path for path in (tmp_path / "cache/features").iterdir() if not path.name.startswith(".")]
    assert {path.name: path.read_bytes() for path in made} == {made[0].name: whole[made[0].name]}
    runs = [json.loads(out)["run"] for _, out, _ in results[6:12]]
    assert sorted(runs) == ["mine", *(f"run{i}" for i in range(1, 6))]
    for name in runs:
        assert (tmp_path / f"cache/runs/{name}/model.safetensors").read_bytes() == whole["model.safetensors"]
    assert left(tmp_path) == []
    if locks == "locks":
        assert worked(tmp_path) == 1
        waited = [err for _, _, err in results if "is extracting these features" in err]
        assert waited
        assert all(err.count("waiting for it") == 1 for err in waited)
        assert sum(json.loads(out)["cached"] for _, out, _ in results[:6]) >= 5
    else:
        assert 1 <= worked(tmp_path) <= 12


@pytest.mark.slow_faults
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("locks", LOCKS)
def test_sixteen_of_which_some_are_killed(tmp_path, whole, locks, seed):
    """Who is not killed ends well; what the killed leave hinders nobody, and goes when it is looked for."""
    rng = random.Random(seed)
    train = ("train", *FEATURE, "--loss", "ridge", "--json")
    commands = [
        ("extract", *FEATURE),
        train,
        ("extract", *FEATURE, "--force"),
        ("cache", "clean", "--yes"),
    ] * 4
    often = "from linclass_cli import filling, partial\npartial.SECONDS = 0\nfilling.BATCH = 200\n"
    chosen = rng.sample(range(16), 8)
    kills = [(rng.uniform(0, 0.2), number) for number in chosen]
    results = crowd(tmp_path, commands, LOCKS[locks] + often, kills)
    for number, (code, _, err) in enumerate(results):
        assert code == 0 or (code == -9 and number in chosen), (commands[number], err)
    code, _, err = run(tmp_path, "train", *FEATURE, "--loss", "ridge", "--name", "last")
    assert code == 0, err
    files = [
        *(tmp_path / "cache/features").glob("*.h5"),
        *(tmp_path / "cache/runs/last").glob("*.safetensors"),
    ]
    assert {path.name: path.read_bytes() for path in files} == whole
    assert run(tmp_path, "cache", "clean", "--yes")[0] == 0
    assert left(tmp_path) == []
    tried("processes at the same cache at once", len(commands))
    tried("kill -9 of one of many at the same cache", len(kills))


@slow
@pytest.mark.parametrize("locks", ["locks", "idle"])
def test_eight_download_the_same(tmp_path, locks):
    """From an archive on the disk; a dataset of a few bytes stands in for a known one."""
    archive = tmp_path / "tiny.tar.gz"
    archive.write_bytes(make_tar([(f"tiny/{name}", content) for name, content in MEMBERS.items()]))
    register = """
import pytest
from linclass_cli.data import fetch
from tests.data.conftest import register_tiny
register_tiny(pytest.MonkeyPatch(), b"", ())
fetch.unpack_tar = note(fetch.unpack_tar)
"""
    command = ("download", "tiny", "--from", str(archive), "--json")
    results = together(tmp_path, [command] * 8, f"{LOCKS[locks]}{register}")
    folder = tmp_path / "cache/datasets/tiny"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: found[name] for name in MEMBERS} == MEMBERS
    assert sorted(found) == sorted([*MEMBERS, "dataset.json", "duplicates.json"])
    assert left(tmp_path) == []
    if locks == "locks":
        assert worked(tmp_path) == 1
        assert sorted(json.loads(out)["cached"] for _, out, _ in results) == [False] + [True] * 7


@pytest.mark.parametrize("locks", few(["locks", "none"]))
def test_eight_import_the_same(tmp_path, locks):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "points.npz", X=rng.normal(size=(60, 4)), y=np.arange(60) % 3)
    slow = "from linclass_cli.data import importing\nimporting._fill = note(importing._fill)"
    command = ("import", "points.npz", "--name", "points", "--json")
    results = together(tmp_path, [command] * 8, f"{LOCKS[locks]}{slow}")
    assert len({(tmp_path / "cache/datasets/points/dataset.json").read_bytes()}) == 1
    code, out, _ = run(tmp_path, "cache", "verify", "--json")
    assert code == 0
    assert [entry["intact"] for entry in json.loads(out)] == [True]
    assert left(tmp_path) == []
    if locks == "locks":
        assert worked(tmp_path) == 1
        assert sorted(json.loads(out)["cached"] for _, out, _ in results) == [False] + [True] * 7


HOLD = """
from pathlib import Path
from linclass_cli.locks import holding
with holding(Path("a.lock"), print):
    print("held", flush=True)
    input()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [os.sys.executable, "-c", HOLD],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(os.sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_waits_is_told_for_whom_and_goes_on_when_that_one_is_killed(tmp_path):
    first = holder(tmp_path)
    said = []

    def wait(who: str) -> None:
        said.append(who)
        first.kill()

    assert is_held(tmp_path / "a.lock")
    with holding(tmp_path / "a.lock", wait) as held:
        assert held
        assert is_held(tmp_path / "a.lock")
    first.communicate()
    assert said == [f"process {first.pid} on {os.uname().nodename}"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_file_of_a_dead_process_goes_and_that_of_a_living_one_stays(tmp_path):
    first = holder(tmp_path)
    assert not remove_unheld(tmp_path / "a.lock")
    first.kill()
    first.communicate()
    assert (tmp_path / "a.lock").exists()
    assert not is_held(tmp_path / "a.lock")
    assert remove_unheld(tmp_path / "a.lock")
    assert not remove_unheld(tmp_path / "a.lock")


def test_a_wait_can_be_interrupted(tmp_path):
    first = holder(tmp_path)
    (tmp_path / "a.lock").rename(tmp_path / "held.lock")
    before = """
import linclass_cli.extract as extract
from pathlib import Path
extract.lock_path = lambda path: Path("held.lock")
"""
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        waiting = start(tmp_path, "extract", *FEATURE, before=before)
        line = waiting.stderr.readline()
        assert line.startswith(f"process {first.pid} on ")
        assert "is extracting these features (hog (" in line
        began = time.monotonic()
        waiting.send_signal(number)
        assert end(waiting)[0] == code
        assert time.monotonic() - began < 5
    first.communicate("")


CRITICAL = """
import os
from pathlib import Path
from linclass_cli.locks import holding
for _ in range(150):
    with holding(Path("a.lock"), lambda who: None) as held:
        assert held
        os.mkdir("inside")
        os.rmdir("inside")
print("well", end="")
"""


def test_never_two_inside_though_the_file_goes_each_time(tmp_path, monkeypatch):
    """Whoever waits for a file that is removed must not come in beside one who has made it anew."""
    script = CRITICAL.replace("for _", "from linclass_cli import locks\nlocks._AGAIN = 0.0002\nfor _")
    processes = [
        subprocess.Popen(
            [os.sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(os.sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    assert [end(process)[1] for process in processes] == ["well"] * 6


def test_a_folder_that_may_not_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    inside = holding(tmp_path / "file" / "a.lock", print)
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"), inside:
        pass


def test_without_locks_a_name_belongs_to_who_has_made_its_folder(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with claim(tmp_path, "mine") as name, claim(tmp_path, None) as other:
        assert (name, other) == ("mine", "run1")
        with pytest.raises(InputError, match="under way"), claim(tmp_path, "mine"):
            pass
    assert list((tmp_path / "runs").iterdir()) == []
