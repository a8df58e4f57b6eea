"""Files that rot: a bit that flips, an end that is missing, bytes that follow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from linclass_cli.errors import IntegrityError
from tests.faults.tally import tried

BITS = range(8)


def flips(path: Path, places: Iterable[int], bits: Iterable[int] = BITS) -> Iterator[str]:
    """Flip one bit after the other in the file; the file is whole again afterwards. Says which one it is."""
    file = os.open(path, os.O_RDWR)
    try:
        for place in places:
            byte = os.pread(file, 1, place)
            for bit in bits:
                os.pwrite(file, bytes([byte[0] ^ 1 << bit]), place)
                yield f"bit {bit} of byte {place}"
            os.pwrite(file, byte, place)
    finally:
        os.close(file)


def cuts(path: Path, lengths: Iterable[int]) -> Iterator[str]:
    """Cut the file to one length after the other; it is whole again afterwards."""
    whole = path.read_bytes()
    for length in lengths:
        path.write_bytes(whole[:length])
        yield f"cut to {length} bytes"
    path.write_bytes(whole)


def additions(path: Path) -> Iterator[str]:
    """Bytes that follow the file's own; it is whole again afterwards."""
    whole = path.read_bytes()
    for more in (b"\0", b"\n", b" ", b"}", b"x" * 5000, whole):
        path.write_bytes(whole + more)
        yield f"{more[:5]!r} appended"
    path.write_bytes(whole)


def undetected(faults: Iterable[str], load: Callable[[], object], names: str, mend: str) -> list[str]:
    """The faults after which ``load`` gives something, or says too little; and that there were some at all.

    It is to raise an IntegrityError, whose one line holds ``names`` and a command that begins with ``mend``.
    """
    survived, n = [], 0
    for fault in faults:
        n += 1
        try:
            load()
        except IntegrityError as error:
            said = str(error)
            if "\n" in said or names not in said or f"`{mend}" not in said:
                survived.append(f"{fault}: {said}")
        else:
            survived.append(fault)
    assert n
    load()  # it was the fault that was found
    tried("bit rot", n - len(survived))
    return survived
