"""Versions, processor, threads, BLAS and the terminal."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from linclass_cli import __version__
from linclass_cli.doctor import Finding
from linclass_cli.environment import blas, processor
from linclass_cli.threads import available

Looked = tuple[dict[str, Any], list[Finding]]


def versions() -> Looked:
    """linclass, Python, and every package that linclass is declared to need."""
    at = str(Path(__file__).parents[1])
    facts = {"linclass": __version__, "python": platform.python_version(), "at": at}
    findings = []
    for package in required():
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "missing"
            mend = f"`{sys.executable} -m pip install {package}`"
            findings.append(Finding("lacking", f"{package} is not installed", mend))
    return facts, findings


def required() -> list[str]:
    """The names of the packages that linclass declares to need, extras left out."""
    try:
        declared = importlib.metadata.requires("linclass") or []
    except importlib.metadata.PackageNotFoundError:  # run from its folder, not installed
        declared = ["typer", "pydantic", "rich", "numpy", "scipy", "numba", "h5py", "matplotlib"]
    plain = [text for text in declared if "extra ==" not in text]
    return [re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in plain]


def machine(threads: int) -> Looked:
    """Processor, cores, threads and BLAS; ``threads`` as in the config, 0 for one a core."""
    findings = []
    cores, allowed, quota = os.cpu_count() or 1, available(), cpu_quota()
    in_force = threads or allowed
    facts = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": processor(),
        "cores": cores,
        "cores_allowed": allowed,
        "cpu_quota": quota,
        "threads": in_force,
        "blas": blas_in_use(),
    }
    if in_force > allowed:
        findings.append(
            Finding("warning", f"{in_force} threads share {allowed} cores", "leave --threads out: one a core")
        )
    elif quota is not None and quota < in_force - 0.5:
        one = max(1, round(quota))
        findings.append(
            Finding(
                "warning",
                f"{in_force} threads share {quota:g} cores: the container may use no more",
                f"--threads {one}, or LINCLASS_THREADS={one}",
            )
        )
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        findings.append(
            Finding(
                "warning",
                "NUMBA_DISABLE_JIT is set: kernels run as plain Python, hundreds of times slower",
                "`unset NUMBA_DISABLE_JIT`",
            )
        )
    return facts, findings


def blas_in_use() -> str:
    """The BLAS that numpy has loaded, its version, and which of its codes it took for this processor."""
    import numpy  # noqa: F401  # threadpoolctl sees what is loaded

    return blas()


def cpu_quota() -> float | None:
    """How many cores' worth of time a container may use (control groups, version 2); None: no limit known."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        share, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if share == "max" else int(share) / int(period)
    return None


def terminal() -> Looked:
    """What is known of the terminal, and whether the shell has completion (bash, zsh, fish)."""
    shell = Path(os.environ.get("SHELL", "")).name
    encoding = (sys.stdout.encoding or "").lower()
    facts = {
        "term": os.environ.get("TERM", ""),
        "columns": shutil.get_terminal_size().columns,
        "encoding": encoding,
        "colours": not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        "shell": shell,
        "completion": completion_installed(shell),
    }
    findings = []
    if not encoding.startswith("utf"):
        findings.append(
            Finding(
                "note",
                f"the terminal's encoding is {encoding or 'unknown'}: signs like × are shown as ?",
                "`export LC_ALL=C.UTF-8`",
            )
        )
    if facts["completion"] is False:
        findings.append(
            Finding("note", f"completion is not installed in {shell}", "`linclass --install-completion`")
        )
    return facts, findings


def completion_installed(shell: str) -> bool | None:
    """Whether ``--install-completion`` has been here for that shell; None: not a shell that it knows."""
    places = {
        "bash": ".bash_completions/linclass.sh",
        "zsh": ".zfunc/_linclass",
        "fish": ".config/fish/completions/linclass.fish",
    }
    with contextlib.suppress(RuntimeError, OSError):
        return (Path.home() / places[shell]).is_file() if shell in places else None
    return None
