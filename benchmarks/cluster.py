"""``python -m benchmarks.cluster --folder DIR``: what a cluster costs, and what it brings, on this machine.

A scheduler and workers of one thread each are started by Dask's own commands. A pass is one loss and gradient
(softmax, k classes). Measured: passes here and on 1, 2 and 4 workers, with their tasks and bytes; the same
rows, and as many rows for each worker; what a task costs the scheduler; and from these the constants of the
cost model of docs/scale.md, and what it says of larger clusters. Medians, least and most of some rounds.
"""

from __future__ import annotations

import argparse
import math
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.cluster import use_cluster, worker
from linclass_cli.cluster.features import FAN, spread_features
from linclass_cli.cluster.work import Cluster
from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.objective import Part, Problem, objective
from linclass_cli.learn.scaling import Scaling
from linclass_cli.store import Features, load_features, write_features
from linclass_cli.threads import use_threads

SCHEDULER = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard", "--port")
WORKER = ("-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny")
SHAPES = ((50_000, 324), (400_000, 1024))
K, FOLDS = 10, 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster")
    parser.add_argument("--folder", type=Path, required=True, help="for 2 GB of features, which stay there")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    made = [features(given.folder, n, d) for n, d in SHAPES]
    cost = {}
    for one in made:
        n, d = one.train.X.shape
        print(f"\n{n:,} x {d} float32, {one.train.X.nbytes / 1e6:,.0f} MB, {K} classes; ms a pass")
        for threads in (1, 2):
            with use_threads(threads):
                for name, run in passes(one.train.X, one.train.y).items():
                    taken = timed(run, given.rounds)
                    print(f"  {name}, here, {threads} threads: {shown(taken)}")
                    cost[n, d, threads, name] = statistics.median(taken)
    for workers in given.workers:
        with processes(workers) as where, use_threads(1), use_cluster(where, print) as cluster:
            assert cluster is not None
            print(f"\n{workers} workers of 1 thread")
            for one in made:
                measure(one, cluster, cost, given.rounds)
            weak(made[-1], cluster, workers, given.rounds)
            latency = tasks(cluster, given.rounds)
    predict(cost, *latency)


def features(folder: Path, n: int, d: int) -> Features:
    """Random features in a store, made once."""
    meta = {"format": 1, "dataset": {"name": f"random{n}", "digest": "0" * 64}}
    meta |= {"feature": {"name": "vectors", "version": 1, "params": {}}}
    path = folder / f"random-{n}-{d}.h5"

    def fill(part: str, X: Any, y: Any) -> None:  # noqa: ARG001
        rng = np.random.default_rng(0)
        y[:] = rng.integers(0, K, len(y))
        for start in range(0, len(X), 4096):
            X[start : start + 4096] = rng.standard_normal((min(4096, len(X) - start), d), np.float32)

    if not path.is_file():
        write_features(path, meta, {"train": n, "test": K}, d, fill)
    return load_features(path, meta)


def passes(X: Any, y: Any) -> dict[str, Callable[[], object]]:
    """One problem, and those of five folds at once."""
    n, d = X.shape
    plain = Scaling(np.zeros(d), np.ones(d))
    W, b = np.random.default_rng(0).normal(0, 1e-3, (FOLDS, K, d)), np.zeros((FOLDS, K))
    one = Problem(Part(X, np.arange(n), y, plain), "softmax", 1e-3, K)
    which = np.arange(FOLDS)
    many = FoldProblems(
        X, y, np.arange(n) % FOLDS, which, [plain] * FOLDS, "softmax", np.full(FOLDS, 1e-3), K, 0
    )
    return {"1 problem": lambda: objective(one, W[0], b[0]), "5 folds": lambda: many.values(which, W, b)}


def timed(run: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each round, after a first one that compiles, sends and opens."""
    run()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return taken


def shown(taken: list[float]) -> str:
    ms = sorted(1000 * one for one in taken)
    return f"{statistics.median(ms):.1f} ({ms[0]:.1f} to {ms[-1]:.1f})"


def measure(one: Features, cluster: Cluster, cost: dict[Any, float], rounds: int) -> None:
    """Passes over the same rows as here."""
    n, d = one.train.X.shape
    X = spread_features(one, cluster).train.X
    for name, run in passes(X, one.train.y).items():
        taken = timed(run, rounds)
        sent, done = wire(cluster), cluster.client.run_on_scheduler(_done)
        for _ in range(rounds):
            run()
        time.sleep(0.5)
        sent = (wire(cluster) - sent) / rounds
        done = (cluster.client.run_on_scheduler(_done) - done) / rounds
        back = X.branches * 8 * (FOLDS if name != "1 problem" else 1) * K * d
        here = cost[n, d, min(2, cluster.threads), name]
        print(
            f"  {n:,} x {d}, {name}: {shown(taken)}; here, with {min(2, cluster.threads)} threads: "
            f"{1000 * here:.1f}; {done:.1f} tasks, {sent / 1e3:,.0f} kB out, {back / 1e3:,.0f} kB back"
        )


def weak(one: Features, cluster: Cluster, workers: int, rounds: int) -> None:
    """As many rows for each worker, whatever their number."""
    n = len(one.train.X) // 4 * workers
    X = spread_features(one, cluster).train.X
    d = X.shape[1]
    rows = np.arange(len(X)).reshape(4, -1)[:, : n // 4].ravel()  # evenly from all pieces
    part = Part(X, rows, one.train.y[rows], Scaling(np.zeros(d), np.ones(d)))
    problem = Problem(part, "softmax", 1e-3, K)
    W, b = np.zeros((K, d)), np.zeros(K)
    taken = timed(lambda: objective(problem, W, b), rounds)
    print(f"  weak: {n // workers:,} rows for each worker: {shown(taken)}")


def tasks(cluster: Cluster, rounds: int) -> tuple[float, float]:
    """Seconds that a pass of one task takes, and that each more costs, where none has anything to do."""
    found = []
    for count in (1, 8, 64, 256):

        def run(count: int = count) -> None:
            futures = cluster.submit_each(worker.beside, [None] * count, [None] * count)
            cluster.results(futures)

        found.append((count, statistics.median(timed(run, rounds))))
        print(f"  {count} tasks that do nothing: {1000 * found[-1][1]:.1f} ms")
    each = (found[-1][1] - found[0][1]) / (found[-1][0] - found[0][0])
    return found[0][1], each


def predict(cost: dict[Any, float], latency: float, each: float) -> None:
    """The model's constants, and 10^9 rows of 1,000 features on more and more machines of this kind."""
    n, d = SHAPES[-1]
    c = {name: cost[n, d, 2, name] / (n * d * K * p) for name, p in (("1 problem", 1), ("5 folds", FOLDS))}
    print(f"\nlatency {1000 * latency:.1f} ms a pass, {1000 * each:.2f} ms a task")
    for name, value in c.items():
        print(f"c, {name}: {value:.2e} s a row, feature, class and problem on this machine's 2 threads")
    rows, d, p = 10**9, 1000, 1
    for machines in (1, 10, 100, 300, 600, 1000, 3000):
        work = rows * d * K * p * c["1 problem"] / machines
        scheduled = latency * max(1, math.ceil(math.log(machines, FAN))) + each * machines
        print(
            f"  {machines:,} machines: {work:.2f} s of work + {scheduled:.2f} s of scheduling = "
            f"{work + scheduled:.2f} s a pass; {4 * rows * d / machines / 1e9:,.0f} GB each"
        )
    best = math.sqrt(rows * d * K * p * c["1 problem"] / each)
    print(f"  more than {best:,.0f} machines take longer")


def wire(cluster: Cluster) -> float:
    """Bytes that the client has sent to the scheduler."""
    return float(cluster.client.scheduler_comm.byte_count)


def _done(dask_scheduler: Any) -> int:
    """Tasks that the scheduler has ever had done."""
    return int(dask_scheduler.n_tasks)


@contextmanager
def processes(workers: int) -> Iterator[str]:
    """The address of a scheduler with so many workers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        commands = [(*SCHEDULER, str(port)), *[(*WORKER, address, "--local-directory", folder)] * workers]
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen([sys.executable, *command], **quiet) for command in commands]
        try:
            wait_for(address, workers)
            yield address
        finally:
            for process in running:
                process.send_signal(signal.SIGKILL)
                process.wait()


def wait_for(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)


if __name__ == "__main__":
    main()
