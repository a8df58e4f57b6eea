"""Readable JSON that vouches for each of its bytes: its last line holds the sha256 of all the others.

A digest of the values would not do: a blank that became a tab, ``1e5`` that became ``1E5``, or the last digit
of a number that says more than a float can hold changes no value, and yet the file is not what was written.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_KEY = b',\n  "sha256": "'
_END = b'"\n}\n'


def seal(value: dict[str, Any]) -> bytes:
    """The text of an object that is not empty; NaN and infinities are refused (``ValueError``)."""
    head = json.dumps(value, indent=2, allow_nan=False).encode().removesuffix(b"\n}") + _KEY
    return head + hashlib.sha256(head + _END).hexdigest().encode() + _END


def unseal(content: bytes) -> dict[str, Any]:
    """The object, without its seal. Raises ValueError when a byte is not what it was, or there is no seal."""
    head, _, tail = content.rpartition(_KEY)
    if tail != hashlib.sha256(head + _KEY + _END).hexdigest().encode() + _END:
        raise ValueError("the text does not match its sha256")
    value: dict[str, Any] = json.loads(content)
    del value["sha256"]
    return value
