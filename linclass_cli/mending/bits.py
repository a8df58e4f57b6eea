"""One flipped bit, found by trying each: a sha256 that matches again proves that it was the one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from linclass_cli.atomic import write_bytes

LARGEST = 1 << 15  # bytes: a quarter of a million digests, some seconds


def mend_bit(path: Path, is_sound: Callable[[bytes], bool]) -> bool:
    """Whether one flipped bit was all that a file had; it is written as it was then.

    ``is_sound`` compares bytes with a digest. Raises ResourceError where the file cannot be written.
    """
    try:
        content = bytearray(path.read_bytes()) if path.stat().st_size <= LARGEST else bytearray()
    except OSError:
        return False
    for place in range(len(content)):
        for bit in range(8):
            content[place] ^= 1 << bit
            if is_sound(bytes(content)):
                write_bytes(path, bytes(content))
                return True
            content[place] ^= 1 << bit
    return False
