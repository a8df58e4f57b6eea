"""What `linclass doctor` looks at: the machine, the kernel cache, the cache folder; and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from linclass_cli.errors import IntegrityError, LinclassError, ResourceError

Level = Literal["note", "warning", "damaged", "lacking"]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be, in words, and what to do about it.

    note: only good to know; warning: works, but slower or not for long; damaged: a file is not what was
    written; lacking: something that linclass needs is not there, or may not be used.
    """

    level: Level
    what: str
    mend: str


def examine(cache: Path, threads: int, where: str = "") -> tuple[dict[str, Any], list[Finding]]:
    """The facts, as JSON-able values, and the findings, in the order in which to look at them.

    Nothing is written, fetched or compiled, and no file of features or images is read as a whole: that is
    what ``linclass cache verify`` is for. where: of a cluster to look at, as ``--cluster`` takes it.
    """
    from linclass_cli.doctor import folder, kernels, machine

    facts: dict[str, Any] = {}
    findings: list[Finding] = []
    looks: list[tuple[str, Callable[[], machine.Looked]]] = [
        ("versions", machine.versions),
        ("machine", lambda: machine.machine(threads)),
        ("kernels", kernels.kernels),
        ("cache", lambda: folder.cache_folder(cache)),
        ("terminal", machine.terminal),
    ]
    if where:
        from linclass_cli.doctor.cluster import cluster

        looks.append(("cluster", lambda: cluster(where, cache)))
    for name, look in looks:
        facts[name], found = look()
        findings += found
    return facts, findings


def failure(findings: list[Finding]) -> LinclassError | None:
    """The error that the findings end the program with: damage first, then what is lacking; else None."""
    for level, kind in (("damaged", IntegrityError), ("lacking", ResourceError)):
        found = [one for one in findings if one.level == level]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return kind(f"{found[0].what}; {found[0].mend}{more}")
    return None
