from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from linclass_cli.atomic import disk_errors, replacing, replacing_folder, write_bytes, write_json
from linclass_cli.errors import InputError, ResourceError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_nothing_else_stays(tmp_path):
    write_bytes(tmp_path / "sub" / "a", b"one")
    write_bytes(tmp_path / "sub" / "a", b"two")
    assert (tmp_path / "sub" / "a").read_bytes() == b"two"
    assert names(tmp_path / "sub") == ["a"]


def test_when_the_block_raises_the_old_file_stays(tmp_path):
    target = tmp_path / "a"
    write_bytes(target, b"old")
    with pytest.raises(InputError), replacing(target) as temporary:
        temporary.write_bytes(b"half")
        raise InputError("no")
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_until_the_end_the_target_is_the_old_one(tmp_path):
    target = tmp_path / "a"
    with replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
        assert temporary.parent == tmp_path
    assert target.read_bytes() == b"new"


def test_a_folder_appears_at_once_over_an_empty_one_only(tmp_path):
    target = tmp_path / "run1"
    target.mkdir()
    with replacing_folder(target) as temporary:
        (temporary / "x").write_text("1")
        assert names(target) == []
    assert names(target) == ["x"]
    with pytest.raises(ResourceError), replacing_folder(target) as temporary:
        (temporary / "y").write_text("1")
    assert names(tmp_path) == ["run1"]
    assert names(target) == ["x"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a", {"x": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (errno.ENOSPC, "no space left .* it needs 3.0 MB"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
        (errno.EIO, "cannot write"),
    ],
)
def test_disk_errors_become_one_clear_line(number, match):
    with pytest.raises(ResourceError, match=match) as caught, disk_errors(Path("x"), 3_000_000):
        raise OSError(number, os.strerror(number))
    assert "\n" not in str(caught.value)


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(ResourceError, match="a file stands"):
        write_bytes(tmp_path / "f" / "g", b"")
