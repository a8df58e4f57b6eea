"""A cluster's workers: whether each has this linclass, and sees the cache folder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linclass_cli import __version__
from linclass_cli.cluster import worker
from linclass_cli.cluster.asking import ANSWER, SECONDS, distributed, versions, within
from linclass_cli.cluster.connection import connected
from linclass_cli.doctor import Finding
from linclass_cli.doctor.machine import Looked
from linclass_cli.errors import ResourceError

# Of these, other versions may give other last bits.
_DECIDING = ("numpy", "numba", "cpu", "blas")
_CALLS = 20


def cluster(where: str, cache: Path) -> Looked:
    """The workers of the scheduler, or of local:N. Raises as `cluster.use_cluster`."""
    with connected(where) as client:
        threads, found = client.nthreads(), versions(client, where)
        good = [name for name, version in found.items() if version == __version__]
        folder = str(cache.resolve())
        facts = asked(client, good, worker.facts)
        seen = asked(client, good, worker.listing, folder)
        latency = _latency(client) if len(good) == len(found) else None
    own, mine = worker.facts(), worker.listing(folder)
    workers = [
        {
            "address": name,
            "threads": threads.get(name, 0),
            "linclass": found[name],
            **facts.get(name, {}),
            "sees_cache": mine and seen.get(name) == mine,
        }
        for name in sorted(found)
    ]
    findings = [finding for one in workers for finding in _looked(one, own)]
    blind = [one["address"] for one in workers if one["sees_cache"] is False]
    if blind:
        findings.append(
            Finding(
                "note",
                f"{_few(blind)} not see what is in {folder}: rows and images are sent, once a command",
                "have the folder at the same path there, and give it by --cache-dir",
            )
        )
    if latency is None and len(good) == len(found):
        findings.append(
            Finding("note", f"no worker was free for {SECONDS:.0f} s: they do other work", "look again later")
        )
    if not mine:
        findings.append(
            Finding("note", f"{folder} is empty: whether workers see it cannot be told", "look again later")
        )
    facts = {"scheduler": where, "threads": sum(threads.values()), "latency_ms": latency, "workers": workers}
    return facts, findings


def _few(names: list[str]) -> str:
    """How many workers, and some of their names, up to the verb."""
    if len(names) == 1:
        return f"the worker {names[0]} does"
    more = f" and {len(names) - 3} others" if len(names) > 3 else ""
    return f"{len(names)} workers ({', '.join(names[:3])}{more}) do"


def _looked(one: dict[str, Any], own: dict[str, Any]) -> list[Finding]:
    name, install = f"the worker {one['address']}", f"install linclass {__version__} there, as here"
    if one["linclass"] is None:
        return [Finding("lacking", f"{name} has no linclass", install)]
    if one["linclass"] != __version__:
        return [Finding("lacking", f"{name} has linclass {one['linclass']}, not {__version__}", install)]
    return [
        Finding(
            "warning",
            f"{name} has {key} {one[key]}, and here is {own[key]}: last bits may differ",
            "take machines and packages of one kind where they matter",
        )
        for key in _DECIDING
        if key in one and one[key] != own[key]
    ]


def asked(client: Any, names: list[str], function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """What those of the workers answer that do."""
    if not names:
        return {}
    try:
        found = within(ANSWER, lambda: client.run(function, *args, workers=names, on_error="return"))
    except (OSError, TimeoutError) as error:
        raise ResourceError(
            f"workers have not answered for {ANSWER:.0f} s: is one busy with other work, or stuck?"
        ) from error
    return {name: answer for name, answer in found.items() if not isinstance(answer, Exception)}


def _latency(client: Any) -> float | None:
    """Milliseconds from asking a worker for nothing to the answer, a median; None where all are busy."""
    taken = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        try:
            client.submit(worker.run, __version__, worker.nothing, pure=False).result(timeout=SECONDS)
        except (OSError, TimeoutError, distributed.TimeoutError):
            return None
        taken.append(time.perf_counter() - began)
    return round(1000 * statistics.median(taken), 2)
