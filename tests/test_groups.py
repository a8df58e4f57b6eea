"""Files of groups: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.errors import InputError, MissingError
from linclass_cli.groups import load_groups


def written(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("g.txt", b"b\na\nb\nc\n"),
        ("g.txt", b"7\r\n3\r\n7\r\n9"),
        ("g.txt", "\ufeffé\nü, a\né\nz\n".encode()),
        ("g.csv", b"2\n1\n2\n3\n"),
        ("g.csv", b"video\n2\n1\n2\n3\n"),
        ("g.csv", b'path,Group\na.png,"x, y"\nb.png,v\nc.png,"x, y"\nd.png,u\n'),
        ("g.npy", np.array([5, -1, 5, 9])),
        ("g.npy", np.array(["b", "a", "b", "c"])),
    ],
)
def test_a_value_for_each_image(tmp_path, name, content):
    groups = load_groups(written(tmp_path, name, content), 4)
    assert groups is not None
    assert groups.count == 3
    a, b, c, d = groups.of
    assert a == c
    assert len({a, b, d}) == 3
    assert set(groups.of) == {0, 1, 2}
    assert len(groups.facts["sha256"]) == 64


def test_no_file_is_no_groups():
    assert load_groups("", 4) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("g.txt", b"a\nb\n", "has 2 values: expected is 4, one for each training image"),
        ("g.txt", b"a\nb\n\nc\n", "no group for training image 2"),
        ("g.txt", b"a\na\na\na\n", "in one group"),
        ("g.txt", b"\xff\xfe\xff\xff", "no text in UTF-8"),
        ("g.txt", b"", "no group for training image 0"),
        ("g.csv", b"a,b\nc,d\ne,f\ng,h\n", "several columns"),
        ("g.csv", b'"a\nb\nc\nd\n', "CSV"),
        ("g.csv", b"group,x\na,1\nb\n,2\nd,1\n", "no group for training image 2"),
        ("g.npy", b"nothing of the kind", "no array that can be read"),
        ("g.npy", np.zeros((4, 2), int), "one row"),
        ("g.npy", np.zeros(4), "whole numbers or texts"),
        ("g.npy", np.array([1, "a", None, 2], object), "no array"),
        ("g.npy", np.arange(5), "has 5 values: expected is 4"),
    ],
)
def test_what_is_no_list_of_groups_is_an_error(tmp_path, name, content, words):
    with pytest.raises(InputError, match=words):
        load_groups(written(tmp_path, name, content), 4)


def test_an_array_that_lies_about_its_size_is_an_error(tmp_path):
    path = written(tmp_path, "g.npy", np.arange(4))
    content = (tmp_path / "g.npy").read_bytes().replace(b"(4,), }       ", b"(4000000000,)}")
    (tmp_path / "g.npy").write_bytes(content)
    with pytest.raises(InputError, match="no array that can be read"):
        load_groups(path, 4)


def test_what_is_not_there_is_missing(tmp_path):
    for path in (tmp_path / "g.txt", tmp_path):
        with pytest.raises(MissingError, match="no file"):
            load_groups(str(path), 4)
