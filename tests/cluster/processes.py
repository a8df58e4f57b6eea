"""A scheduler and workers of Dask, by their own commands, as processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Processes:
    """``worker()`` starts one more, of one thread; all end with ``close()``."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder, self.port = folder, port or free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.all: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        quiet = ("--no-dashboard", "--no-show")
        self.scheduler = self._start(
            "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port), *quiet
        )

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"process-{len(self.all)}.log").open("wb")
        environment = os.environ | {"DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s"}
        with log:
            one = subprocess.Popen(
                [sys.executable, *command], stdout=log, stderr=log, cwd=self.folder, env=environment
            )
        self.all.append(one)
        return one

    def worker(self, threads: int = 1, **spoilt: Any) -> subprocess.Popen[bytes]:
        """One more worker; ``spoilt``: how (a_worker.py)."""
        how = (
            [str(HERE / "a_worker.py"), json.dumps(spoilt)]
            if spoilt
            else ["-m", "distributed.cli.dask_worker"]
        )
        options = ("--nthreads", str(threads), "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        one = self._start(*how, self.address, *options, "--local-directory", str(self.folder))
        self.workers.append(one)
        return one

    @contextmanager
    def replaced(self, dying: subprocess.Popen[bytes], **spoilt: Any) -> Iterator[None]:
        """Another worker comes when this one has ended, in the middle of the block."""

        def follow() -> None:
            dying.wait()
            self.worker(**spoilt)

        after = threading.Thread(target=follow)
        after.start()
        yield
        after.join()

    def ready(self, workers: int) -> str:
        """The address, once so many workers are there."""
        from distributed import Client

        deadline = time.monotonic() + 60
        while True:
            try:
                with Client(self.address, timeout=5, set_as_default=False) as client:
                    if workers:
                        client.wait_for_workers(workers, timeout=60)
                return self.address
            except OSError:
                if time.monotonic() > deadline:
                    raise

    def close(self) -> None:
        for one in reversed(self.all):
            if one.poll() is None:
                one.send_signal(signal.SIGKILL)
        for one in self.all:
            one.wait()
