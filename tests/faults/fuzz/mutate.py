"""Inputs that are nearly right: mutations of bytes, and of the tokens of JSON."""

from __future__ import annotations

import random
import re

_NUMBERS = (
    *(0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**63 - 1, 2**63, 2**64 - 1),
)
_TOKEN = re.compile(rb'"(?:\\.|[^"\\])*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[\[\]{},:]')
_VALUES = (
    *(b"0", b"-1", b"1", b"true", b"null", b"[]", b"{}", b'""', b"1.5", b"1e999", b"-0", b"NaN", b"Infinity"),
    *(b"9007199254740993", b"18446744073709551616", b"9" * 400, b'"\\u0000"', b'"\\ud800"', b'"\\u001b[2J"'),
    *(b"[0,0]", b"[[[]]]", b'{"a":1}', b'"x"', b"1E400", b'"' + b"x" * 300 + b'"', b"[" * 40, b"]" * 40),
)


def mutate_bytes(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """The content with one to four changes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at % len(data)] = rng.randrange(256)
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 3:
                del data[at : at + rng.randrange(1, 17)]
            case 4:
                del data[at:]
            case 5:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
                data[at : at + size] = number.to_bytes(size, rng.choice(("big", "little")))
            case 6:
                data[at:at] = data[at : at + rng.randrange(1, 65)]
            case 7:
                other = rng.choice(others)
                data[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                data += rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def mutate_json(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """The content with one to three tokens changed; now and then with bytes changed."""
    if rng.random() < 0.1:
        return mutate_bytes(rng, content, others)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tokens = list(_TOKEN.finditer(content))
        if not tokens:
            return mutate_bytes(rng, content, others)
        token = rng.choice(tokens)
        new = b""
        match rng.randrange(6):
            case 0 | 1 | 2:
                new = rng.choice(_VALUES)
            case 3:
                new = rng.choice(tokens)[0]
            case 4:
                new = token[0] + token[0]
        content = content[: token.start()] + new + content[token.end() :]
    return content
