"""How much memory there is, and how much is wanted: said before the work, not met in the middle of it.

There are two kinds of limits. Address space (``ulimit -v``) counts everything that is mapped, pages of files
among it. What a container or the machine has counts what must stay in memory, and a file's pages need not.
Estimates are what work takes at the least: it is refused only where it cannot succeed, and what goes beyond
ends in a MemoryError, which the command line turns into the same kind of line.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from linclass_cli.errors import ResourceError

# Address space that numpy takes to load, with the room that its BLAS works in, measured with one thread.
_NUMPY = 120 << 20
# What the smallest piece of work takes besides its data: 7 to 14 MB were measured.
_WORK = 7_000_000
# What says, in the words of a library, that it got no memory.
_SIGNS = ("allocate memory", "failed to map segment", "start new thread", "load shared object", "bad_alloc")
_awaited: dict[str, int] = {}  # modules that will be loaded, and the bytes of their libraries
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's mallopt
_given: ContextVar[str] = ContextVar("memory", default="")  # --memory, as in 4G
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Of what is left, the part that buffers may take: the rest is for what nobody has estimated.
_SHARE = 4


@dataclass(frozen=True)
class Left:
    """Bytes that are left, of what, and how there would be more."""

    bytes: int
    where: str
    mend: str


def require(
    what: str, held: Mapping[str, int], mapped: Mapping[str, int] | None = None, less: str = ""
) -> None:
    """Raise ResourceError where there is surely less memory than ``what`` takes.

    held, mapped: bytes by what they are; what stays in memory, and what are pages of files. ``less``: what
    else would take less.
    """
    held = {**held, "work": _WORK}
    everything = {**_to_come(), **(mapped or {}), **held}
    for left, parts in ((address_space(), everything), (physical(), held), (given(), held)):
        if left is not None and sum(parts.values()) > left.bytes:
            advice = f"or take fewer images or a smaller feature{less}"
            raise ResourceError(f"{_lacking(what, left, parts)}, {advice}")


def require_given(what: str, held: Mapping[str, int], less: str = "") -> None:
    """Raise ResourceError where ``what`` may take more than ``--memory`` leaves; held: at the most."""
    left, parts = given(), {**held, "work": _WORK}
    if left is not None and sum(parts.values()) > left.bytes:
        advice = f"or take fewer images or a smaller feature{less}"
        raise ResourceError(f"{_lacking(what, left, parts, 'may take')}, {advice}")


def _lacking(what: str, left: Left, parts: Mapping[str, int], takes: str = "takes at least") -> str:
    shown = ", ".join(f"{name} {size(count)}" for name, count in parts.items() if count >= 10**6)
    total, there = size(sum(parts.values())), size(max(0, left.bytes))
    return f"{what} {takes} {total} of memory ({shown}), and {there} are left {left.where}: {left.mend}"


@contextlib.contextmanager
def use_memory(size: str) -> Iterator[None]:
    """Keep to ``--memory`` (as in 4G, or empty for no limit but those of the system) in the block."""
    token = _given.set(size)
    try:
        yield
    finally:
        _given.reset(token)


def given() -> Left | None:
    """What ``--memory`` leaves to this process, which holds something already; None without that limit."""
    size = _given.get()
    if not size:
        return None
    limit = int(float(size[:-1]) * _UNITS[size[-1]])
    return Left(limit - resident(), f"of --memory {size}", "raise that limit")


def resident() -> int:
    """Bytes of this process that are in memory; 0 where nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def stays_on_disk(count: int) -> bool:
    """Whether so many bytes of a file are to be read when they are wanted, and not to be mapped.

    So it is where a map would take more than half of what a limit leaves, or its pages more than there is.
    """
    lefts = (*(_half(left) for left in (address_space(), given())), physical())
    return any(left is not None and count > left.bytes for left in lefts)


def _half(left: Left | None) -> Left | None:
    """Half of what is left when all libraries are there."""
    return left and replace(left, bytes=(left.bytes - sum(_to_come().values())) // 2)


def buffer_bytes(least: int, most: int, sharing: int = 1, what: str = "", less: str = "") -> int:
    """How large a buffer may be: between ``least`` and ``most`` bytes, by what there is for ``sharing`` such.

    Raises ResourceError where not even ``least`` is left for ``what``, and ``less`` would make smaller.
    """
    lefts = [left for left in (address_space(), physical(), given()) if left is not None]
    scarce = min(lefts, key=lambda left: left.bytes, default=None)
    if scarce is None:
        return max(least, most)
    if what and least > scarce.bytes:
        raise ResourceError(f"{_lacking(what, scarce, {'a buffer': least})}, or take a smaller {less}")
    return max(least, min(most, scarce.bytes // (_SHARE * sharing)))


def spilling(mapped: int) -> str:
    """What to tell where so many bytes of a file cannot stay in memory; empty where they can."""
    left = physical()
    if left is None or mapped <= left.bytes:
        return ""
    return (
        f"note: the features take {size(mapped)}, and {size(max(0, left.bytes))} are left {left.where}: "
        "every pass reads them from the disk again"
    )


def size(count: int) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"


def address_space() -> Left | None:
    """What ``ulimit -v`` leaves to this process; None without a limit, or where nobody says what is used."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        return Left(limit - used, f"of the address space (ulimit -v {limit >> 10})", "raise that limit")
    return None


def physical(root: Path = Path("/")) -> Left | None:
    """What the machine, or the container that this runs in, has left; None where nobody says."""
    where, mend = "under the memory limit of this container", "raise that limit"
    found = [Left(count, where, mend) for count in _containers(root)]
    memory = _numbers(root / "proc/meminfo", ":")
    if "MemAvailable" in memory:
        free = memory["MemAvailable"] + memory.get("SwapFree", 0)
        found.append(Left(free << 10, "on this machine", "free some"))
    return min(found, key=lambda left: left.bytes, default=None)


def _containers(root: Path) -> Iterator[int]:
    """Bytes left under each limit of the control groups that this process is in."""
    swap = _numbers(root / "proc/meminfo", ":").get("SwapFree", 0) << 10
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers == "":
                base, names, prefix = root / "sys/fs/cgroup", ("memory.max", "memory.current"), ""
            elif "memory" in controllers.split(","):
                base, prefix = root / "sys/fs/cgroup/memory", "total_"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            folder = base / place.lstrip("/")
            # In a container the place may be one that only its host knows; its own limit is at the top.
            for one in (folder, *(above for above in folder.parents if above.is_relative_to(base))):
                with contextlib.suppress(OSError, ValueError):
                    limit, used = (int((one / name).read_text()) for name in names)
                    stat = _numbers(one / "memory.stat", " ")
                    files = sum(stat.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
                    yield limit - used + files + stat.get("slab_reclaimable", 0) + swap


def _numbers(path: Path, between: str) -> dict[str, int]:
    """The lines "name number" of a file; none where it cannot be read."""
    found = {}
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            name, _, rest = line.partition(between)
            with contextlib.suppress(ValueError, IndexError):
                found[name] = int(rest.split()[0])
    return found


def spare_address_space() -> None:
    """Where address space is limited, let threads and libraries take no more of it than they use.

    To be called before there are threads. OpenBLAS would end the process, or interrupt it, if it got no
    memory for its threads; it is left one, which is all that linclass uses.
    """
    if address_space() is None:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)  # not 64 MB for each thread


def _to_come() -> dict[str, int]:
    """Bytes of libraries that will be loaded, and are not yet."""
    return {name.partition(".")[0]: count for name, count in _awaited.items() if name not in sys.modules}


def load_numpy(kernels: bool) -> None:
    """Where address space is limited, load numpy while there is enough; ``kernels``: LLVM comes later.

    Raises ResourceError where the libraries do not fit: they might end the process without a word.
    """
    left = address_space()
    if left is None:
        return
    if kernels:
        with contextlib.suppress(OSError):
            _awaited["llvmlite.binding"] = _llvm().stat().st_size
    parts = {"numpy": _NUMPY, **_to_come()}
    if sum(parts.values()) > left.bytes:
        raise ResourceError(_lacking("loading the libraries", left, parts))
    import numpy as np

    square = np.ones((512, 512), np.float32)
    _ = square @ square  # BLAS takes the room that it works in now, while it is there


def leave_room(count: int) -> None:
    """Raise MemoryError where fewer bytes of address space are left: LLVM would end the process."""
    left = address_space()
    if left is not None and left.bytes < count:
        raise MemoryError


def _llvm() -> Path:
    spec = find_spec("llvmlite")
    return Path(spec.origin if spec and spec.origin else "llvmlite").parent / "binding" / "libllvmlite.so"


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, says that there was no memory."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(error, ImportError | OSError | RuntimeError) and any(s in str(error) for s in _SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False


def shortage() -> str:
    """What to say where there was no memory in the middle of the work."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    why = f" in the address space (ulimit -v {limit >> 10})" if limit != resource.RLIM_INFINITY else ""
    return f"not enough memory{why} for this; raise the limit, or take fewer images or a smaller feature"
