from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from linclass_cli import atomic, atomic_folders
from linclass_cli.atomic import new_file, replacing, write_bytes, write_json
from linclass_cli.atomic_folders import place_folder, replacing_folder, scratch_folder
from linclass_cli.disk_errors import disk_errors
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


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_a_device_or_a_pipe_is_not_replaced(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(InputError, match="no file but a device or a pipe"):
        write_bytes(tmp_path / "a", b"x")
    assert names(tmp_path) == ["a"]
    assert not (tmp_path / "a").is_file()


def test_folders_change_places(tmp_path):
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").touch()
    with scratch_folder(target) as temporary:
        (temporary / "new").touch()
        place_folder(temporary, target, over=True)
        assert names(target) == ["new"]
    assert names(tmp_path) == ["data"]


def test_where_folders_cannot_change_places_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_folders, "_exchange_at_once", lambda one, other: False)
    test_folders_change_places(tmp_path)

    def fail(what, path, target):
        if what == "rename" and target == tmp_path / "data":
            monkeypatch.setattr(atomic, "observers", [])
            raise OSError(errno.EIO, "no")

    monkeypatch.setattr(atomic, "observers", [fail])
    with pytest.raises(ResourceError), scratch_folder(tmp_path / "data") as temporary:
        (temporary / "newer").touch()
        place_folder(temporary, tmp_path / "data", over=True)
    assert names(tmp_path) == ["data"]
    assert names(tmp_path / "data") == ["new"]


def test_every_step_is_announced(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(atomic, "observers", [lambda what, path, target: seen.append((what, path.name))])
    write_bytes(tmp_path / "sub" / "a", b"x")
    temporary = seen[3][1]
    assert seen == [
        ("folder", "sub"),
        ("flush", tmp_path.name),
        ("create", temporary),
        ("allocate", temporary),
        ("write", temporary),
        ("flush", temporary),
        ("rename", temporary),
        ("flush", "sub"),
    ]


def test_less_than_was_allocated(tmp_path):
    with new_file(tmp_path / "a", 100) as write:
        write(b"x")
    assert (tmp_path / "a").read_bytes() == b"x"
