"""``linclass doctor``: whether everything is as it should be, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from linclass_cli.commands.session import Session, command
from linclass_cli.show.tables import folded, print_line


def add(app: typer.Typer) -> None:
    @command(app, "cluster", panel="What is there")
    def doctor(session: Session) -> None:
        """Look at versions, threads, BLAS, compiled kernels and the cache folder, and say what to do.

        Quick: it reads descriptions and records, not whole files (`linclass cache verify` does), and changes
        nothing. Exit codes: 0 if all is well, also with notes and warnings; 5 if something is damaged; 6 if
        something that linclass needs is lacking, or cannot be written.

        With --cluster it looks at every worker as well: its linclass, its threads, and whether it sees the
        cache folder.

        Example: linclass doctor
        """
        from linclass_cli.doctor import examine, failure

        config = session.config
        facts, findings = examine(config.cache, config.threads, config.cluster)
        error = failure(findings)
        answer = {**facts, "findings": [asdict(one) for one in findings], "ok": error is None}
        session.answer(answer, lambda: _show(facts, answer["findings"]))
        if error is not None:
            raise error


def _show(facts: dict[str, Any], findings: list[dict[str, str]]) -> None:
    versions, machine, kernels, cache = (facts[key] for key in ("versions", "machine", "kernels", "cache"))
    print_line(f"linclass {versions['linclass']}, Python {versions['python']}, {machine['system']}")
    own = ("linclass", "python", "at")
    others = [f"{name} {version}" for name, version in versions.items() if name not in own]
    quota = f", {machine['cpu_quota']:g} of them in this container" if machine["cpu_quota"] else ""
    lines = {
        "processor": f"{machine['cpu']}, {machine['cores_allowed']} of {machine['cores']} cores{quota}",
        "threads": f"{machine['threads']} for kernels; BLAS keeps to 1 beside them",
        "BLAS": machine["blas"],
        "packages": ", ".join(others),
        "kernels": f"{kernels['kernels']}, {kernels['bytes'] / 1e6:.1f} MB, in {kernels['path']}",
        "cache": _cache_line(cache),
    }
    for name, text in lines.items():
        print_line(folded(f"  {name:<10} ", text))
    for one in facts.get("cluster", {}).get("workers", []):
        print_line(folded("  worker     ", _worker_line(one)))
    if "cluster" in facts:
        print_line(folded("  cluster    ", _cluster_line(facts["cluster"])))
    for one in findings:
        print_line(folded(f"{one['level']}: ", one["what"], "  "))
        print_line(folded("  → ", one["mend"]))
    if all(one["level"] == "note" for one in findings):
        print_line("all is well")


def _cluster_line(cluster: dict[str, Any]) -> str:
    latency = f", {cluster['latency_ms']:.1f} ms to ask and be answered" if cluster["latency_ms"] else ""
    return f"{len(cluster['workers'])} workers, {cluster['threads']} threads{latency}"


def _worker_line(one: dict[str, Any]) -> str:
    if "python" not in one:
        return f"{one['address']}: {one['linclass'] or 'no'} linclass"
    sees = {True: "sees the cache", False: "does not see the cache"}.get(one["sees_cache"], "")
    facts = [
        f"linclass {one['linclass']}",
        f"Python {one['python']}",
        f"{one['threads']} thread{'s' if one['threads'] != 1 else ''}",
        *([sees] if sees else []),
    ]
    return f"{one['address']}: {', '.join(facts)}"


def _cache_line(cache: dict[str, Any]) -> str:
    if "runs" not in cache:
        return f"{cache['path']}: see below"
    if not cache["exists"]:
        return f"{cache['path']}: not there yet, the first command makes it"
    held = [
        *(
            f"{number} {what}{'s' if number != 1 else ''}"
            for number, what in (
                (len(cache["datasets"]), "dataset"),
                (cache["features"], "feature file"),
                (cache["runs"], "run"),
            )
        ),
        f"{cache['bytes'] / 1e6:.1f} MB",
    ]
    return f"{cache['path']}: {', '.join(held)}; {cache['free_bytes'] / 1e9:.1f} GB are free"
