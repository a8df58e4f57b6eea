"""Reading and writing the safetensors format: 8 bytes of length, a JSON header, raw little-endian arrays.

The format's own package is not among linclass's dependencies, and this much of the format is small:
https://github.com/huggingface/safetensors#format. Nothing in such a file can run code.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np

from linclass_cli.errors import IntegrityError

Array = np.ndarray[Any, np.dtype[Any]]
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_MAX_HEADER = 1 << 24
_MAX_SIDES = 64  # of an array of numpy
# What a header of nonsense makes Python raise.
_NONSENSE = ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError


def dump(tensors: dict[str, Array], metadata: dict[str, str]) -> bytes:
    """The file's bytes. Arrays are float32, float64 or int64; the order of names is kept."""
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, tensor in tensors.items():
        dtype = tensor.dtype.newbyteorder("<")
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(np.ascontiguousarray(t, t.dtype.newbyteorder("<")).tobytes() for t in tensors.values())
    return struct.pack("<Q", len(text)) + text + body


def parse(content: bytes, what: str) -> tuple[dict[str, Array], dict[str, str]]:
    """(tensors, metadata) of a file's bytes; IntegrityError, naming ``what``, for anything malformed."""
    try:
        return _parse(content)
    except (*_NONSENSE, struct.error) as error:
        raise IntegrityError(f"{what} is not a safetensors file that linclass can read: {error}") from error


def _parse(content: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    (length,) = struct.unpack_from("<Q", content)
    if length > min(_MAX_HEADER, len(content) - 8):
        raise ValueError(f"its header claims {length} bytes")
    header = json.loads(content[8 : 8 + length], object_pairs_hook=_without_duplicates)
    metadata = header.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata holds something other than text")
    body = memoryview(content)[8 + length :]
    tensors = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
        dtype = _TYPES[entry["dtype"]]
        shape = entry["shape"]
        first, last = entry["data_offsets"]
        # Few sides, and small: Python's integers do not overflow, but a product of thousands takes minutes.
        numbers_fit = all(type(x) is int and 0 <= x < 2**63 for x in (*shape, first, last))
        if len(shape) > _MAX_SIDES or not numbers_fit:
            raise ValueError(f"tensor {name} has no proper shape")
        count = math.prod(shape)
        if first != end or last - first != count * dtype.itemsize or last > len(body):
            raise ValueError(f"tensor {name} does not fill its place")
        tensors[name] = np.frombuffer(body[first:last], dtype).reshape(shape)
        end = last
    if end != len(body):
        raise ValueError("bytes are left over at its end")
    return tensors, metadata


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in its header")
    return found
