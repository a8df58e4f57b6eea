"""Commands in forked children of one process that has everything loaded, each with a fault of its own.

Run as ``python -m tests.faults.server ADDRESS``; reads a line of JSON, a list of requests, and answers with a
line, a list of results (see `forge`). A child announces the steps of `linclass_cli.atomic` to a `Fault`.
"""

from __future__ import annotations

import base64
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from linclass_cli import atomic, kernel_cache
from linclass_cli.cli import main

SECONDS = 100  # after which a child is killed: it hangs
PIPE = 1 << 20  # bytes of output that a child may write
NO_SPACE = {"create", "allocate", "write", "folder", "rename", "exchange"}  # steps that a full disk refuses


class Fault:
    """Counts steps; at one of them it kills the process, or lets the disk fail; may also record them all.

    kind: "kill", "error" (that step only), "full" (from there on, whatever needs space) or "" (nothing).
    """

    def __init__(self, kind: str, at: int, errno: int, record: bool) -> None:
        self.kind, self.at, self.errno, self.record = kind, at, errno, record
        self.steps: list[list[Any]] = []
        self.lock = threading.Lock()

    def __call__(self, what: str, path: Path, target: Path | None) -> None:
        with self.lock:
            self.steps.append([what, str(path), target and str(target), self._content(what, path)])
            number = len(self.steps) - 1
        if self.kind == "kill" and number == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        hit = number == self.at if self.kind == "error" else number >= self.at and what in NO_SPACE
        if self.kind in ("error", "full") and hit:
            raise OSError(self.errno, os.strerror(self.errno), str(path))

    def _content(self, what: str, path: Path) -> Any:
        """Of a file that is flushed its bytes; of what is removed all that is in it."""
        if not self.record:
            return None
        if what == "flush" and path.is_file():
            return base64.b64encode(path.read_bytes()).decode()
        if what == "remove":
            return [str(inner) for inner in (*sorted(path.rglob("*"), reverse=True), path)]
        return None


def watch_changes(changed: set[str]) -> None:
    """Gather the paths that Python itself says it opens for writing, renames, makes or removes."""
    names = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}

    def hook(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        # Names inside of a folder that is being removed come with the folder's handle.
        inside = event in ("os.remove", "os.rmdir") and given[1] != -1
        if (writes or event in names) and not isinstance(given[0], int) and not inside:
            changed.add(str(Path(os.fsdecode(given[0])).absolute()))

    sys.addaudithook(hook)


def keep_a_kernel() -> None:
    """A kernel compiled and kept in the folder ``kernels``, as by a command on a new machine."""
    from linclass_cli.compilation import COMPILATION
    from linclass_cli.jit import kernel
    from tests.test_kernel_cache import double

    kernel_cache.kernel_folder = lambda: Path("kernels").absolute()  # type: ignore[assignment]
    assert kernel()(double)(2) == 4
    if COMPILATION.lost:
        print(f"error: {COMPILATION.lost}", file=sys.stderr)
        sys.exit(6)


def child(request: dict[str, Any], out: int, err: int, report: int) -> None:
    """Become the command; never returns."""
    code = 1
    changed: set[str] = set()
    fault = Fault(
        request.get("kind", ""), request.get("at", 0), request.get("errno", 0), request.get("record", False)
    )
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # new ones: these know what they can do
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(SECONDS)
        os.chdir(request["folder"])
        if "file_size" in request:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], resource.RLIM_INFINITY))
        if "user" in request:
            os.setgroups([])
            os.setgid(request["user"])
            os.setuid(request["user"])
        for name, value in request.get("set", {}).items():
            module, _, attribute = name.rpartition(".")
            setattr(importlib.import_module(module), attribute, value)
        atomic.observers.append(fault)
        if fault.record:
            watch_changes(changed)
        sys.argv = ["linclass", *request["arguments"]]
        if request["arguments"] == ["keep-a-kernel"]:
            keep_a_kernel()
        else:
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        with os.fdopen(report, "w") as file:
            json.dump([fault.steps, sorted(changed)], file)
        os._exit(code)


class Child:
    """A child that is under way, and what it says."""

    def __init__(self, request: dict[str, Any]) -> None:
        pipes = [os.pipe() for _ in range(2)]
        report = os.memfd_create("report")
        for reader, _ in pipes:
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
        self.process = os.fork()
        if not self.process:
            child(request, pipes[0][1], pipes[1][1], report)
        for _, writer in pipes:
            os.close(writer)
        self.readers, self.report = [reader for reader, _ in pipes], report

    def result(self, status: int) -> dict[str, Any]:
        out, err = (self._read(reader) for reader in self.readers)
        os.lseek(self.report, 0, os.SEEK_SET)
        report = self._read(self.report)
        steps, changed = json.loads(report or "[[], []]")
        return {
            "code": os.waitstatus_to_exitcode(status),
            "out": out,
            "err": err,
            "steps": steps,
            "changed": changed,
        }

    @staticmethod
    def _read(handle: int) -> str:
        with os.fdopen(handle, "rb") as file:
            return file.read().decode(errors="replace")


def run(requests: list[dict[str, Any]], at_once: int) -> list[dict[str, Any]]:
    """The results of the requests, several of which run at the same time."""
    assert threading.active_count() == 1, threading.enumerate()
    results: list[dict[str, Any]] = [{}] * len(requests)
    under_way: dict[int, tuple[int, Child]] = {}
    waiting = list(enumerate(requests))[::-1]
    while waiting or under_way:
        while waiting and len(under_way) < at_once:
            number, request = waiting.pop()
            started = Child(request)
            under_way[started.process] = number, started
        process, status = os.wait()
        number, ended = under_way.pop(process)
        results[number] = ended.result(status)
    return results


def register(address: str) -> None:
    """The dataset ``tiny``, with its archive at an address."""
    import pytest

    from tests.data.conftest import MEMBERS, make_tar, register_tiny

    tar = make_tar([(f"tiny/{name}", content) for name, content in MEMBERS.items()], "w")
    register_tiny(pytest.MonkeyPatch(), tar, (address,))


def serve() -> None:
    os.environ |= {"LINCLASS_THREADS": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    register(sys.argv[1])
    draw_once()
    os.fsync = lambda handle: None  # four fifths of the time; what a kill, or an error, leaves is the same
    cores = len(os.sched_getaffinity(0))
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("warm"):
            answer: Any = warm(request["folder"], request["warm"])
            gc.freeze()  # children need not copy the pages of what lives on
        else:
            answer = run(request["requests"], request.get("at_once", cores))
        print(json.dumps(answer), flush=True)


def draw_once() -> None:
    """A report takes a second: children find the one that has been made, and have it to write."""
    from linclass_cli.show import report

    made, make = [], report.make_report

    def make_once(*arguments: Any) -> str:
        made[:] = made or [make(*arguments)]
        return made[0]

    report.make_report = make_once


def warm(folder: str, commands: list[list[str]]) -> None:
    """Run commands in this very process, so that children find everything loaded."""
    out, err = os.dup(1), os.dup(2)
    os.dup2(2, 1)
    before = Path.cwd()
    os.chdir(folder)
    try:
        for arguments in commands:
            sys.argv = ["linclass", *arguments]
            try:
                keep_a_kernel() if arguments == ["keep-a-kernel"] else main()
            except SystemExit as end:
                if end.code:
                    raise RuntimeError(f"{arguments} ended with {end.code}") from end
    finally:
        sys.stdout.flush()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        os.chdir(before)


if __name__ == "__main__":
    serve()
