"""Files are read as far as they may be long, in room for what they hold."""

from __future__ import annotations

import tracemalloc

import pytest

from linclass_cli.regular import Irregular, read_regular


def test_a_limit_takes_no_room(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    tracemalloc.start()
    try:
        assert read_regular(path, 1 << 28) == b"abc"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_longer_is_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abcd")
    assert read_regular(path, 4) == b"abcd"
    with pytest.raises(Irregular, match="it is larger than 3 bytes"):
        read_regular(path, 3)


def test_nothing_is_empty():
    assert read_regular("/dev/null", 10) == b""
