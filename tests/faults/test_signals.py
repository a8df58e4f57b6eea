"""SIGINT and SIGTERM in each phase of the commands: the exit code, a line that says what is kept, soon."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faults.children import end, run, start
from tests.tiers import few

FAST = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
RIDGE = (*FAST, "--loss", "ridge")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SOON = 10  # seconds; it takes two at most, on a machine that has nothing else to do

# The named function stops where it begins: in Python, or in a library that hears of nothing while it works.
HALT = """
import importlib, pathlib, time
def busy():
    import numpy
    numpy.linalg.eigvals(numpy.random.default_rng(0).random(({size}, {size})))
def halt(*_, **__):
    pathlib.Path("here").touch()
    {wait}
module = importlib.import_module({module!r})
assert hasattr(module, {name!r})
setattr(module, {name!r}, halt)
"""
SLEEP, BUSY = "time.sleep(60)", "busy()"


def halting(place: str, wait: str = SLEEP) -> str:
    module, name = place.split(":")
    return HALT.format(module=module, name=name, wait=wait, size=2500)


def wait_for(file: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def stop(folder: Path, process: subprocess.Popen, number: int) -> str:
    """Send the signal where the child has halted; the last line that it says."""
    wait_for(folder / "here", process)
    began = time.monotonic()
    process.send_signal(number)
    code, _, err = end(process)
    assert time.monotonic() - began < SOON
    assert code == CODES[number], err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def left(folder: Path) -> list[str]:
    """What is in the cache, apart from what was there before the signal."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "cache").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A working folder in which there is everything: features, a run, pictures."""
    folder = tmp_path_factory.mktemp("line")
    code, _, err = run(folder, "train", *RIDGE, "--name", "r")
    assert code == 0, err
    for number in range(3):
        for kind in ("cat", "dog"):
            path = folder / "photos" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), 40 * number + len(kind), np.uint8)).save(path)
    return folder


@pytest.fixture
def folder(line, tmp_path):
    return shutil.copytree(line, tmp_path / "work")


NOTHING = "nothing is kept, nothing is half written; the same command starts again"
FINISHED = "what is finished is kept, nothing is half written; the same command starts again"
PHASES = {
    "import": (("import", "photos", "--name", "p"), "linclass_cli.data.importing:write_part", NOTHING),
    "extract": (("extract", *FAST, "--force"), "linclass_cli.store:_record_checksums", NOTHING),
    "train, reading": (("train", *RIDGE), "linclass_cli.recording:follow", FINISHED),
    "train, fitting": (("train", *RIDGE), "linclass_cli.learn.fit:evaluate", FINISHED),
    "train, writing": (("train", *RIDGE), "linclass_cli.atomic_folders:rename", FINISHED),
    "cv": (("cv", *RIDGE), "linclass_cli.learn.ways:relative", FINISHED),
    "plot": (("plot", "r"), "linclass_cli.show.plots:render", FINISHED),
    "predict": (("predict", "r", "photos"), "linclass_cli.predicting.stream:read_pictures", FINISHED),
    "predict --out": (
        ("predict", "r", "photos", "--out", "labels.csv"),
        "linclass_cli.predicting.stream:read_pictures",
        NOTHING,
    ),
}


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("phase", few(PHASES, 2))
def test_a_signal_in_each_phase(folder, phase, number):
    arguments, place, kept = PHASES[phase]
    before = left(folder)
    said = stop(folder, start(folder, *arguments, before=halting(place)), number)
    assert said == ("interrupted: " if number == signal.SIGINT else "stopped by SIGTERM: ") + kept
    assert left(folder) == before
    assert [path.name for path in (folder / "cache/runs").iterdir()] == ["r"]
    assert not (folder / "labels.csv").exists()


@pytest.mark.parametrize("number", CODES)
def test_a_library_that_hears_of_nothing_is_not_waited_for(folder, number):
    """The name that was claimed is free again, though nobody could tidy up."""
    before = left(folder)
    child = start(
        folder, "train", *RIDGE, "--name", "a", before=halting("linclass_cli.learn.fit:evaluate", BUSY)
    )
    assert stop(folder, child, number).endswith(FINISHED)
    assert left(folder) == before
    code, _, err = run(folder, "train", *RIDGE, "--name", "a")
    assert code == 0, err


def test_a_second_interrupt_ends_it_at_once(folder):
    """As where tidying up takes for ever."""
    before = (
        halting("linclass_cli.learn.fit:evaluate")
        + """
import os, linclass_cli.claims, linclass_cli.signals
linclass_cli.signals.GRACE_SECONDS = 3600
def tidy(handle):
    pathlib.Path("tidying").touch()
    time.sleep(60)
linclass_cli.claims.os = type("os", (), {**vars(os), "close": staticmethod(tidy)})
"""
    )
    child = start(folder, "train", *RIDGE, before=before)
    wait_for(folder / "here", child)
    child.send_signal(signal.SIGINT)
    wait_for(folder / "tidying", child)
    assert stop(folder, child, signal.SIGINT).startswith("interrupted: ")


@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_modules_are_loaded(tmp_path, number):
    before = """
import pathlib, sys, time
class Slow:
    def find_spec(self, name, path, target=None):
        if name == "typer":
            pathlib.Path("here").touch()
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""
    said = stop(tmp_path, start(tmp_path, "runs", "list", before=before), number)
    assert said.endswith("nothing is half written; the same command starts again")


class Stalling(BaseHTTPRequestHandler):
    """Serves half of the archive, and then nothing more; asked for the rest, the rest."""

    content, asked = b"", []

    def do_GET(self):
        self.asked.append(self.headers.get("Range"))
        first = int(self.asked[-1][6:-1]) if self.asked[-1] else 0
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(self.content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        if first:
            self.wfile.write(self.content[first:])
        else:
            self.wfile.write(self.content[: len(self.content) // 2])
            self.wfile.flush()
            with contextlib.suppress(OSError):
                self.connection.recv(1)  # until the other side leaves

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("number", CODES)
def test_a_signal_in_a_download_keeps_what_has_come(tmp_path, monkeypatch, number):
    content = os.urandom(2_000_000)
    handler = type("Handler", (Stalling,), {"content": content, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    address = f"http://127.0.0.1:{server.server_address[1]}/cifar-10-binary.tar.gz"
    facts = f"{len(content)}, {hashlib.sha256(content).hexdigest()!r}, ({address!r},)"
    before = f"""
import dataclasses
from linclass_cli.data.registry import DATASETS
spec = DATASETS["cifar10"]
(archive,) = spec.archives
size, sha256, addresses = {facts}
archive = dataclasses.replace(archive, size=size, sha256=sha256, addresses=addresses)
DATASETS["cifar10"] = dataclasses.replace(spec, archives=(archive,))
"""
    part = tmp_path / "cache/datasets/.downloads/cifar10-cifar-10-binary.tar.gz.part"
    child = start(tmp_path, "download", "cifar10", before=before)
    while not part.exists() or part.stat().st_size < 900_000:
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    (tmp_path / "here").touch()
    said = stop(tmp_path, child, number)
    kept = part.read_bytes()
    assert content.startswith(kept)
    assert said.endswith(f": {len(kept) / 1e6:.1f} MB are kept; the same command goes on from there")
    # The rest of it comes, and is no tar: what matters is where it went on.
    code, _, err = run(tmp_path, "download", "cifar10", before=before)
    assert (code, handler.asked) == (5, [None, f"bytes={len(kept)}-"]), err
    server.shutdown()
    server.server_close()
    thread.join()
