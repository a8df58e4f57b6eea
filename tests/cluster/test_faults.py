"""Workers and schedulers that end in the middle: nothing is lost, and no bit is another.

What waits for something that does not come depends on clocks, and is tried by ``-m slow_faults``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from linclass_cli import filling
from linclass_cli.cluster import asking, connection, use_cluster, work
from linclass_cli.errors import ResourceError
from linclass_cli.memory import is_shortage
from tests.tiers import few, slow

CV = ("cv", "--data", "planted", "--folds", "2", "--l2", "1e-2,1e-1")
EXTRACT = ("extract", "--data", "pictures", "--feature", "pixels")


@pytest.fixture
def planted(linclass):
    """Vectors in which there is something to learn, enough of them for two pieces."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 5200)
    X = (rng.normal(size=(5200, 19)) + 2 * np.eye(3, 19)[y]).astype(np.float32)
    np.savez("a.npz", x_train=X[:5000], y_train=y[:5000], x_test=X[5000:], y_test=y[5000:])
    assert linclass("import", "a.npz", "--name", "planted").code == 0
    assert linclass("extract", "--data", "planted").code == 0


@pytest.fixture
def pictures(linclass, monkeypatch):
    """Small pictures, in twenty batches."""
    monkeypatch.setattr(filling, "BATCH", 50)
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (1000, 8, 8, 3)).astype(np.uint8)
    np.savez(
        "p.npz",
        x_train=images[:800],
        y_train=np.arange(800) % 2,
        x_test=images[800:],
        y_test=np.arange(200) % 2,
    )
    assert linclass("import", "p.npz", "--name", "pictures").code == 0


def model_of(answer) -> bytes:
    return (Path(answer["path"]) / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("n", "blind"), few([(40, True), (40, False), (2, True)]))
def test_a_worker_killed_during_cv(linclass, planted, processes, blind, n):
    mine = linclass(*CV, "--json").json
    processes.worker(blind=blind)
    dying = processes.worker(blind=blind, kills=[n, 0])
    where = processes.ready(2)
    theirs = linclass(*CV, "--cluster", where, "--json").json
    assert dying.wait(60) == -9
    assert model_of(mine) == model_of(theirs)
    assert mine["fold_accuracy"] == theirs["fold_accuracy"]
    record = json.loads((Path(theirs["path"]) / "run.json").read_text())
    assert record["environment"]["cluster"] == {
        "scheduler": where,
        "workers": 2,
        "threads": 2,
        "pieces": 2,
        "cache": "sent" if blind else "shared",
    }


@pytest.mark.parametrize("blind", [False, True], ids=["shared", "sent"])
def test_a_worker_killed_during_extract(linclass, pictures, processes, blind):
    mine = Path(linclass(*EXTRACT, "--json").json["path"])
    content = mine.read_bytes()
    mine.unlink()
    processes.worker(blind=blind)
    dying = processes.worker(blind=blind, kills=[5, 0])
    answer = linclass(*EXTRACT, "--cluster", processes.ready(2), "--json").json
    assert dying.wait(60) == -9
    assert Path(answer["path"]).read_bytes() == content
    assert not answer["cached"]


@pytest.mark.slow_faults
def test_new_workers_take_over(linclass, planted, processes):
    mine = linclass(*CV, "--json").json
    dying = processes.worker(blind=True, kills=[9, 0])
    where = processes.ready(1)

    with processes.replaced(dying, blind=True):
        theirs = linclass(*CV, "--cluster", where, "--json").json
    assert model_of(mine) == model_of(theirs)


@pytest.mark.slow_faults
def test_no_worker_is_left(linclass, planted, processes, monkeypatch):
    monkeypatch.setattr(work, "ALONE", 1.0)
    processes.worker(kills=[9, 0])
    failed = linclass(*CV, "--cluster", processes.ready(1))
    assert failed.code == 6
    assert "has had no worker for 1 s" in failed.error
    assert "same command goes on" in failed.error


@pytest.mark.slow_faults
def test_work_that_ends_every_worker(linclass, planted, processes):
    def follow():
        for _ in range(4):
            processes.worker(kills=[1, 0]).wait()

    after = threading.Thread(target=follow)
    after.start()
    failed = linclass(*CV, "--cluster", processes.ready(1))
    after.join()
    assert failed.code == 6
    assert "ended several times at the same piece of work" in failed.error


def test_the_scheduler_killed_during_cv(linclass, planted, processes, monkeypatch):
    monkeypatch.setattr("linclass_cli.unfinished.SECONDS", 0.0)
    monkeypatch.setattr("linclass_cli.unfinished.SHARE", 1.0)
    mine = linclass(*CV, "--json").json
    processes.worker()
    processes.worker(kills=[60, processes.scheduler.pid])
    failed = linclass(*CV, "--cluster", processes.ready(2))
    assert failed.code == 6
    assert "is gone" in failed.error
    assert "the same command goes on" in failed.error
    again = linclass(*CV, "--resume", "--json")
    assert "going on" in again.err
    assert model_of(again.json) == model_of(mine)


def test_the_scheduler_killed_during_extract(linclass, pictures, processes, monkeypatch):
    monkeypatch.setattr("linclass_cli.partial.SECONDS", 0.0)
    monkeypatch.setattr("linclass_cli.partial.SHARE", 0.0)
    mine = Path(linclass(*EXTRACT, "--json").json["path"])
    content = mine.read_bytes()
    mine.unlink()
    processes.worker(slow=0.02)
    processes.worker(slow=0.02, kills=[6, processes.scheduler.pid])
    failed = linclass(*EXTRACT, "--cluster", processes.ready(2))
    assert failed.code == 6
    assert "is gone" in failed.error
    again = linclass(*EXTRACT, "--json")
    assert "going on where an extraction stopped" in again.err
    assert Path(again.json["path"]).read_bytes() == content


def test_a_slow_worker(linclass, planted, pictures, processes):
    mine, values = linclass(*CV, "--json").json, Path(linclass(*EXTRACT, "--json").json["path"])
    content = values.read_bytes()
    values.unlink()
    processes.worker()
    processes.worker(slow=0.03)
    where = processes.ready(2)
    assert model_of(linclass(*CV, "--cluster", where, "--json").json) == model_of(mine)
    assert linclass(*EXTRACT, "--cluster", where).code == 0
    assert values.read_bytes() == content


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [({"version": "9.9.9"}, "has linclass 9.9.9, and"), ({"without": True}, "has no linclass, and")],
)
def test_a_worker_that_is_not_like_us(linclass, planted, processes, spoilt, words):
    processes.worker()
    processes.worker(**spoilt)
    where = processes.ready(2)
    for command in (CV, ("train", "--data", "planted"), ("extract", "--data", "planted", "--force")):
        failed = linclass(*command, "--cluster", where)
        assert failed.code == 6
        assert words in failed.error
        assert "install the same on every worker" in failed.error
    looked = linclass("doctor", "--cluster", where)
    assert looked.code == 6
    assert "linclass" in looked.error
    assert "all is well" not in looked.out


@pytest.mark.slow_faults
def test_a_worker_that_comes_later_and_is_not_like_us(linclass, planted, processes):
    dying = processes.worker(kills=[9, 0])
    where = processes.ready(1)

    with processes.replaced(dying, version="9.9.9"):
        failed = linclass(*CV, "--cluster", where)
    assert failed.code == 6
    assert "a worker has linclass 9.9.9" in failed.error


@pytest.mark.slow_faults
def test_nobody_is_there(linclass, planted, processes, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS", 6.0)
    failed = linclass(*CV, "--cluster", processes.ready(0))
    assert failed.code == 6
    assert "has no workers; `dask worker tcp://" in failed.error
    processes.close()
    failed = linclass(*CV, "--cluster", processes.address)
    assert failed.code == 6
    assert f"no scheduler answers at {processes.address}; `dask scheduler` starts one" in failed.error


@pytest.mark.parametrize(
    "where",
    ["local:0", "local:", "10.0.0.1:8786", "tcp://host", "tcp://host:99999", "tls://host:1", "local:x"],
)
def test_addresses_that_are_none(linclass, where):
    failed = linclass(*CV, "--cluster", where)
    assert failed.code == 3
    assert "local:4" in failed.error


@pytest.mark.parametrize("command", [CV, EXTRACT, ("doctor",)], ids=lambda command: command[0])
def test_without_dask(linclass, planted, pictures, command):
    code = "import sys; sys.modules['distributed'] = None; from linclass_cli.entry import main; main()"
    failed = subprocess.run(
        [sys.executable, "-c", code, *command, "--cluster", "local:2"], capture_output=True, text=True
    )
    assert failed.returncode == 4
    assert "pip install 'linclass[cluster]'" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_bug_on_a_worker_is_told_as_it_is(four):
    with use_cluster(four, print) as cluster, pytest.raises(RuntimeError, match="a bug") as found:
        cluster.results([cluster.submit(exec, "raise RuntimeError('a bug')")])
    assert not is_shortage(found.value)


def test_a_connection_that_was_given_up_while_nothing_was_asked(four):
    with use_cluster(four, print) as cluster:
        cluster.client.close()
        for ask in (
            lambda: cluster.submit(abs, 1),
            lambda: cluster.submit_each(abs, [1]),
            lambda: cluster.send(1),
            lambda: cluster.ask(os.getpid),
        ):
            with pytest.raises(ResourceError, match="is gone"):
                ask()


@slow
def test_a_result_that_was_ready_goes_with_the_last_worker(processes, monkeypatch):
    monkeypatch.setattr(work, "ALONE", 1.0)
    last = processes.worker()
    with use_cluster(processes.ready(1), print) as cluster:
        future = cluster.submit(abs, -1)
        assert cluster.first([future]) == [future]
        last.kill()
        last.wait()
        while cluster.client.nthreads():
            time.sleep(0.05)
        for ask in (cluster.results, cluster.first):
            with pytest.raises(ResourceError, match="has had no worker for 1 s"):
                ask([future])


def test_nothing_of_it_is_loaded_by_others(linclass, planted):
    code = (
        "import sys; from linclass_cli.cli import app\n"
        "try: app(sys.argv[1:], prog_name='linclass')\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith(('dask', 'distributed', 'distributed.c'))))"
    )
    for command in (CV, ("train", "--help"), ("doctor",)):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
        )
        assert done.stdout.endswith("[]\n")


def test_processes_of_our_own(linclass, planted, pictures):
    mine = linclass(*CV, "--json").json
    theirs = linclass(*CV, "--cluster", "local:2", "--json")
    assert model_of(mine) == model_of(theirs.json)
    assert "distributed" not in theirs.err
    record = json.loads((Path(theirs.json["path"]) / "run.json").read_text())
    assert record["environment"]["cluster"]["scheduler"] == "local:2"
    looked = linclass("doctor", "--cluster", "local:2", "--json").json
    assert [one["sees_cache"] for one in looked["cluster"]["workers"]] == [True, True]
    assert looked["cluster"]["threads"] == 2
    assert looked["cluster"]["latency_ms"] > 0


def test_progress_is_the_same(linclass, planted, four):
    mine, theirs = linclass(*CV), linclass(*CV, "--cluster", four)

    def steps(err: str) -> list[str]:
        return [line.split(" fits")[0] for line in err.splitlines() if line.startswith("cv ")]

    assert theirs.code == 0
    assert set(steps(mine.err)) <= set(steps(theirs.err)) | set(steps(mine.err))
    assert theirs.out.splitlines()[1:-3] == mine.out.splitlines()[1:-3]


@pytest.mark.slow_faults
def test_a_worker_that_comes_later_and_sees_no_file_of_ours(linclass, planted, pictures, processes):
    mine, values = linclass(*CV, "--json").json, Path(linclass(*EXTRACT, "--json").json["path"])
    content = values.read_bytes()
    dying = processes.worker(kills=[25, 0])
    where = processes.ready(1)

    with processes.replaced(dying, blind=True):
        theirs = linclass(*CV, "--cluster", where, "--json").json
    assert model_of(mine) == model_of(theirs)
    record = json.loads((Path(theirs["path"]) / "run.json").read_text())
    assert record["environment"]["cluster"]["cache"] == "sent"
    processes.worker()  # asked, this one sees the images, and the other does not
    processes.ready(2)
    assert linclass(*EXTRACT, "--force", "--cluster", where).code == 0
    assert values.read_bytes() == content


def test_a_dataset_that_is_made_anew_under_its_name(linclass, pictures, processes):
    processes.worker()
    where = processes.ready(1)
    assert linclass(*EXTRACT, "--cluster", where).code == 0
    rng = np.random.default_rng(4)
    images, y = rng.integers(0, 256, (100, 8, 8, 3)).astype(np.uint8), np.arange(100) % 2
    np.savez("q.npz", x_train=images[:80], y_train=y[:80], x_test=images[80:], y_test=y[80:])
    assert linclass("import", "q.npz", "--name", "pictures", "--force").code == 0
    theirs = Path(linclass(*EXTRACT, "--cluster", where, "--json").json["path"])
    content = theirs.read_bytes()
    assert linclass(*EXTRACT, "--force").code == 0
    assert theirs.read_bytes() == content


@pytest.mark.slow_faults
def test_something_else_answers(linclass, planted, processes, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = linclass(*CV, "--cluster", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert (failed.code, "no scheduler answers" in failed.error) == (6, True)
    monkeypatch.setattr(connection, "SECONDS", 20.0)
    processes.worker()
    with asking.distributed.Client(processes.ready(1), set_as_default=False) as client:
        (worker,) = client.nthreads()
    failed = linclass(*CV, "--cluster", worker)
    assert (failed.code, "is no scheduler" in failed.error) == (6, True)


@pytest.mark.slow_faults
def test_a_worker_that_is_stuck(linclass, planted, processes, monkeypatch):
    monkeypatch.setattr(asking, "ANSWER", 5.0)
    stuck = processes.worker()
    processes.worker()
    where = processes.ready(2)
    stuck.send_signal(signal.SIGSTOP)
    failed = linclass(*CV, "--cluster", where)
    assert (failed.code, "has not answered for 5 s" in failed.error) == (6, True)


def real(cwd: Path, *command: str) -> subprocess.Popen[str]:
    """linclass in a process, and a session, of its own."""
    whole = [sys.executable, "-m", "linclass_cli", *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(whole, stdout=pipe, stderr=pipe, text=True, cwd=cwd, start_new_session=True)


@pytest.mark.slow_faults
def test_dask_says_nothing(linclass, planted, processes, tmp_path):
    processes.worker(blind=True)
    processes.worker(blind=True, kills=[30, 0])
    one = real(tmp_path, *CV, "--cluster", processes.ready(2), "--quiet", "--json")
    out, err = one.communicate(timeout=120)
    assert (one.returncode, err) == (0, "")
    assert json.loads(out)["folds"] == 2
    processes.worker(kills=[30, processes.scheduler.pid])
    one = real(tmp_path, *CV, "--cluster", processes.ready(2), "--quiet")
    out, err = one.communicate(timeout=120)
    assert (one.returncode, out) == (6, "")
    assert err.startswith("error: the scheduler at ")
    assert len(err.splitlines()) == 1


@pytest.mark.slow_faults
def test_dask_says_nothing_of_processes_of_our_own(linclass, planted, tmp_path):
    for command in (("train", "--data", "planted"), ("doctor",)):
        one = real(tmp_path, *command, "--cluster", "local:2", "--quiet", "--json")
        out, err = one.communicate(timeout=120)
        assert (one.returncode, err) == (0, "")
        assert json.loads(out)


@pytest.mark.slow_faults
@pytest.mark.parametrize("local", [True, False])
def test_an_interrupt(linclass, planted, processes, tmp_path, local):
    """Ctrl-C is for all processes of the terminal's group: those of a local cluster leave it to us."""
    where = "local:2"
    if not local:
        processes.worker(slow=0.2)
        where = processes.ready(1)
    one = real(tmp_path, "cv", "--data", "planted", "--l2", "1e-6:1:400", "--cluster", where)
    err = ""
    while "cv softmax" not in err:
        line = one.stderr.readline()
        assert line
        err += line
    os.killpg(one.pid, signal.SIGINT)
    began = time.monotonic()
    err += one.communicate(timeout=120)[1]
    assert one.returncode == 130
    assert time.monotonic() - began < 25
    assert "interrupted" in err
    assert "Traceback" not in err
    assert "Warning" not in err
