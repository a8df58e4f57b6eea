from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from linclass_cli.errors import IntegrityError
from linclass_cli.safetensors import dump, parse

TENSORS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "mean": np.array([1.5, -2.5]),
    "empty": np.empty((0, 4), np.float32),
    "label": np.array([1, 2, 3]),
}


def packed(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_round_trip():
    tensors, metadata = parse(dump(TENSORS, {"loss": "softmax"}), "x")
    assert metadata == {"loss": "softmax"}
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_the_bytes_are_those_of_the_format():
    content = dump({"a": np.array([1.0], np.float32)}, {})
    (length,) = struct.unpack_from("<Q", content)
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    assert header["a"] == {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    assert content[8 + length :] == struct.pack("<f", 1.0)


def test_not_contiguous_arrays_are_written_in_their_order():
    tensors, _ = parse(dump({"a": TENSORS["weight"].T}, {}), "x")
    np.testing.assert_array_equal(tensors["a"], TENSORS["weight"].T)


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        packed(b"{"),
        packed([]),
        packed({"a": {**ONE, "dtype": "O"}}, b"1234"),
        packed({"a": {**ONE, "shape": [2**40, 2**40]}}, b"1234"),
        packed({"a": {**ONE, "shape": [-1]}}, b"1234"),
        # A product of so many sides, or of so large ones, would take seconds: the square of their number.
        packed({"a": {**ONE, "shape": [9] * 300_000}}, b"1234"),
        packed({"a": {**ONE, "shape": [10**3999] * 400}}, b"1234"),
        packed({"a": {**ONE, "shape": [True]}}, b"1234"),
        packed({"a": {**ONE, "data_offsets": [0, 8]}}, b"1234"),
        packed({"a": {**ONE, "data_offsets": [4, 8]}}, b"12345678"),
        packed({"a": ONE, "b": ONE}, b"1234"),
        packed({"a": ONE}, b"12345"),
        packed({"a": ONE}, b"123"),
        packed(b'{"a": %b, "a": %b}' % ((json.dumps(ONE).encode(),) * 2), b"1234"),
        packed({"a": ONE, "__metadata__": {"x": 1}}, b"1234"),
        packed(b"[" * 100_000),
    ],
)
def test_anything_malformed_is_an_integrity_error(content):
    with pytest.raises(IntegrityError, match="model.x"):
        parse(content, "model.x")
