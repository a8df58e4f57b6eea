"""What this process has compiled: `jit` and `kernel_cache` count here, `show.compiling` tells a person.

Importing this loads nothing, so that a command that may never need a kernel can watch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Compilation:
    """Kernels compiled and taken from the kernel cache, one a function and signature; seconds of compiling.

    ``lost``: why kernels could not be kept for the next process, if so. ``begins`` is called before each
    kernel is compiled.
    """

    compiled: int = 0
    cached: int = 0
    seconds: float = 0.0
    lost: str = ""
    begins: Callable[[], None] | None = None


COMPILATION = Compilation()
