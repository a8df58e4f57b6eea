"""Images of known datasets that stand in both parts: all of them are found, once."""

from __future__ import annotations

import json

import pytest

from linclass_cli.data.duplicates import duplicates_of
from linclass_cli.data.fetch import download
from linclass_cli.seal import seal, unseal

from .conftest import IDX_MEMBERS, register_digits


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Digits of 2 x 3 pixels, of which the test images are the training images 4 and (twice in there) 1."""
    head, pixels = IDX_MEMBERS["train-images"][:16], IDX_MEMBERS["train-images"][16:]
    images = [pixels[i : i + 6] for i in range(0, 36, 6)]
    images[3] = images[1]
    monkeypatch.setitem(IDX_MEMBERS, "train-images", head + b"".join(images))
    test = IDX_MEMBERS["test-images"][:16] + images[4] + images[1]
    monkeypatch.setitem(IDX_MEMBERS, "test-images", test)
    monkeypatch.setitem(
        IDX_MEMBERS, "train-labels", IDX_MEMBERS["train-labels"][:8] + bytes((0, 1, 0, 0, 1, 1))
    )
    monkeypatch.setitem(IDX_MEMBERS, "test-labels", IDX_MEMBERS["test-labels"][:8] + bytes((1, 1)))
    register_digits(monkeypatch, "http://127.0.0.1:9")
    (tmp_path / "from").mkdir()
    for name, content in IDX_MEMBERS.items():
        (tmp_path / "from" / name).write_bytes(content)
    download("digits", tmp_path, str(tmp_path / "from"))
    return tmp_path


EXPECTED = [
    {"train": [1, 3], "test": [1], "classes": ["0", "1"]},
    {"train": [4], "test": [0], "classes": ["1"]},
]


def test_all_are_found_and_noted(cache):
    assert duplicates_of("digits", cache) == EXPECTED
    notes = cache / "datasets/digits/duplicates.json"
    assert json.loads(notes.read_text())["duplicates"] == EXPECTED
    noted = unseal(notes.read_bytes())
    noted["duplicates"][1]["train"] = [5]
    notes.write_bytes(seal(noted))
    assert duplicates_of("digits", cache)[1]["train"] == [5]  # read, not searched again
    other = seal({"digest": "other", "duplicates": []})
    rotten = notes.read_bytes().replace(b"5", b"4")
    for damage in (b"", b"[]", other, rotten):
        notes.write_bytes(damage)
        assert duplicates_of("digits", cache) == EXPECTED


def test_textures_share_nothing(tmp_path):
    assert duplicates_of("textures", tmp_path) == []
    assert not list(tmp_path.iterdir())
