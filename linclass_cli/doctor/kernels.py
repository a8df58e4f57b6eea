"""The kernel cache: where it is, what is in it, and whether this user can use it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from linclass_cli.doctor import Finding
from linclass_cli.kernel_cache import is_trusted, kernel_folder

_DIGEST = 32  # bytes of sha256 behind each kernel
_ELSEWHERE = "set XDG_CACHE_HOME to a folder of yours"


def kernels() -> tuple[dict[str, Any], list[Finding]]:
    """The folder of this version's kernels, their number and bytes, those that will not be loaded."""
    folder = kernel_folder()
    if folder is None:
        what = "there is no home folder to keep kernels in: every run compiles them again"
        return {"path": None, "kernels": 0, "bytes": 0}, [Finding("warning", what, _ELSEWHERE)]
    files = sorted(folder.glob("*.kernel")) if os.access(folder, os.X_OK) else []
    sizes, unusable = [], []
    for file in files:
        try:
            sizes.append(file.stat().st_size)
            if not is_trusted(file.stat()):
                unusable.append(f"{file.name}: others may write it")
            elif not _is_whole(file):
                unusable.append(f"{file.name}: damaged")
        except OSError as error:
            unusable.append(f"{file.name}: {(error.strerror or str(error)).lower()}")
    facts = {"path": str(folder), "kernels": len(files), "bytes": sum(sizes), "unusable": unusable}
    findings = []
    if not files:
        what = "no kernels are compiled yet: the first run does, in about twenty seconds"
        findings.append(Finding("note", what, "`linclass warmup`"))
    if unusable:
        more = f" and {len(unusable) - 1} more" if len(unusable) > 1 else ""
        findings.append(
            Finding(
                "warning",
                f"kernels that are not loaded, but compiled again: {unusable[0]}{more}",
                f"`rm -r {folder} && linclass warmup`",
            )
        )
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        what = f"{there} cannot be written: new kernels are lost with each process"
        findings.append(Finding("warning", what, _ELSEWHERE))
    return facts, findings


def _is_whole(file: Path) -> bool:
    content = file.read_bytes()
    return hashlib.sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]
