"""Where a result was made."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from linclass_cli import __version__


def environment(threads: int) -> dict[str, Any]:
    """What a result may be traced back to: versions, processor, threads, and which of its codes BLAS took."""
    packages = ("numpy", "scipy", "numba", "h5py", "scikit-image")
    return {
        "linclass": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": processor(),
        "threads": threads,
        "blas": blas(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def numerics() -> dict[str, str]:
    """What decides the last bit of a result: the same everywhere in a process, whatever it has loaded."""
    return {
        "linclass": __version__,
        "numpy": importlib.metadata.version("numpy"),
        "numba": importlib.metadata.version("numba"),
        "cpu": processor(),
        "blas": blas(of="numpy"),
    }


def blas(of: str = "") -> str:
    """The BLAS libraries that are loaded; ``of``: the one that comes with a package, if it has its own."""
    from threadpoolctl import threadpool_info

    found = [info for info in threadpool_info() if info.get("user_api") == "blas"]
    found = [info for info in found if f"{of}.libs" in info["filepath"]] if of else found
    return ", ".join(
        sorted({f"{i['internal_api']} {i['version']} {i.get('architecture', '')}" for i in found})
    )


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
