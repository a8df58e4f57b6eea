"""``linclass predict``: the labels that the run gives to its own test pictures, whatever way they come in."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linclass_cli.data.readers import load_dataset
from linclass_cli.predicting import stream
from linclass_cli.scoring import score_run
from linclass_cli.signals import Stopped
from tests.commands.test_errors import spawn
from tests.commands.test_line import FAST

TEXTURES = ("brick", "cell", "grass", "gravel", "moon", "text")


@pytest.fixture
def photos(linclass) -> Path:
    """A run named r, and the first 40 test pictures of its dataset as files."""
    assert linclass("train", *FAST, "--name", "r").code == 0
    folder = Path("photos")
    folder.mkdir()
    for i, image in enumerate(load_dataset("textures", Path("cache")).test.images[:40]):
        Image.fromarray(image[..., 0]).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def expected(photos) -> list[str]:
    scored = score_run("cache", "r", lambda *_: None, lambda *_: None)
    return [TEXTURES[i] for i in scored.scores[:40].argmax(axis=1)]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_as_csv(linclass, photos, expected):
    result = linclass("predict", "r", "photos", "--quiet")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "path,label,probability"
    found = rows(result.out)
    assert [row["path"] for row in found] == [f"photos/{i:02}.png" for i in range(40)]
    assert [row["label"] for row in found] == expected
    assert all(1 / 6 < float(row["probability"]) <= 1 for row in found)


def test_json_lines_hold_the_contract(linclass, photos, expected):
    result = linclass("predict", "r", "photos", "--json", "--top", "6")
    found = objects(result.out)
    assert [one["label"] for one in found] == expected
    scored = score_run("cache", "r", lambda *_: None, lambda *_: None)
    for one, scores in zip(found, scored.scores, strict=False):
        p = np.exp(scores.astype(np.float64)) / np.exp(scores.astype(np.float64)).sum()
        assert list(one) == ["path", "label", "probability", "top"]
        assert one["probability"] == one["top"][0]["probability"]
        assert [entry["label"] for entry in one["top"]] == [TEXTURES[i] for i in np.argsort(-p)]
        np.testing.assert_allclose([e["probability"] for e in one["top"]], np.sort(p)[::-1], rtol=1e-4)
    assert len(objects(linclass("predict", "r", "photos", "--format", "jsonl").out)[0]["top"]) == 5
    (first, *_) = rows(linclass("predict", "r", "photos", "--top", "2").out)
    assert list(first) == ["path", "label", "probability", "label_2", "probability_2"]


def test_every_way_in_gives_the_same(linclass, photos, expected, monkeypatch):
    paths = [f"photos/{i:02}.png" for i in range(40)]
    texts = [linclass("predict", "r", *paths).out, linclass("predict", "r", "photos/*.png").out]
    for listed in ("\n".join(paths), "\0".join(paths) + "\0"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listed.encode())))
        texts.append(linclass("predict", "r", "-").out)
    assert linclass("predict", "r", "photos", "--out", "sub/labels.csv").out == ""
    texts.append(Path("sub/labels.csv").read_text())
    monkeypatch.setattr(stream, "_FILES", 7)
    texts.append(linclass("predict", "r", "photos", "--threads", "1").out)
    assert [row["label"] for row in rows(texts[0])] == expected
    assert set(texts) == {texts[0]}


def test_pictures_of_every_size_and_mode(linclass, photos, expected):
    folder = Path("more")
    folder.mkdir()
    with Image.open("photos/03.png") as opened:
        image = opened.copy()
    for name, other in {
        "a.png": image.convert("RGB"),
        "b.bmp": image,
        "c.png": image.convert("RGBA"),
        "d.tif": image,
        "e.png": image.convert("P"),
        "f.png": image.resize((320, 320), Image.Resampling.NEAREST),
    }.items():
        other.save(folder / name)
    assert [row["label"] for row in rows(linclass("predict", "r", "more").out)] == [expected[3]] * 6


def test_what_cannot_be_read_is_told_and_the_rest_is_done(linclass, photos, expected):
    whole = Path("photos/00.png").read_bytes()
    Path("photos/01.png").write_bytes(whole[: len(whole) // 2])
    Path("photos/02.png").write_bytes(b"no picture")
    Path("photos/03.png").write_bytes(b"")
    paths = ["photos", "gone.png", "gone/*.png", "/dev/null", "cache/runs"]
    result = linclass("predict", "r", *paths, "--json")
    assert result.code == 3
    assert result.error == "error: 7 of 44 paths without a prediction, as said above"
    found = objects(result.out)
    bad = [one for one in found if "error" in one]
    assert [list(one) for one in bad] == [["path", "error"]] * 7
    assert [one["path"] for one in bad] == [*(f"photos/0{i}.png" for i in (1, 2, 3)), *paths[1:]]
    assert [one["label"] for one in found if "label" in one] == expected[:1] + expected[4:]
    for one in bad:
        assert f"{one['path']}: {one['error']}" in result.err.splitlines()
    as_csv = linclass("predict", "r", *paths)
    assert as_csv.code == 3
    empty = [(row["label"], row["probability"]) for row in rows(as_csv.out)]
    assert [i for i, cells in enumerate(empty) if cells == ("", "")] == [1, 2, 3, 40, 41, 42, 43]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["r", "gone.png"], 4, "1 of 1 paths"),
        (["nobody", "photos"], 4, "no run nobody"),
        (["r"], 2, "PATH"),
        (["r", "photos", "--format", "xml"], 3, "--format xml: allowed is csv, jsonl"),
        (["r", "photos", "--json", "--format", "csv"], 2, "one of them"),
        (["r", "photos", "--top", "0"], 3, "--top 0"),
    ],
)
def test_mistakes(linclass, photos, arguments, code, words):
    result = linclass("predict", *arguments)
    assert (result.code, words in result.error) == (code, True)


def test_losses_without_probabilities(linclass, photos):
    linclass("train", *FAST, "--loss", "ridge", "--name", "s")
    (first, *_) = objects(linclass("predict", "s", "photos", "--json").out)
    assert first["probability"] is None
    scores = [entry["score"] for entry in first["top"]]
    assert scores == sorted(scores, reverse=True)
    (row, *_) = rows(linclass("predict", "s", "photos").out)
    assert (row["label"], row["probability"]) == (first["label"], "")
    linclass("train", *FAST, "--loss", "ridge", "--name", "t", "--calibrate")
    (row, *_) = rows(linclass("predict", "t", "photos").out)
    assert 1 / 6 < float(row["probability"]) <= 1


def test_a_pipe_is_answered_at_once_and_may_be_closed(linclass, photos, tmp_path):
    with spawn("predict", "r", "-", "--quiet", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        for i in range(3):
            process.stdin.write(f"photos/{i:02}.png\n")
            process.stdin.flush()
            if i == 0:
                assert process.stdout.readline() == "path,label,probability\n"
            assert process.stdout.readline().startswith(f"photos/{i:02}.png,")
        process.stdin.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (0, "")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "linclass_cli", "predict", "r", "--quiet", *["photos"] * 50]
    ended = subprocess.run(
        command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_interrupted_file_is_not_there(linclass, photos, monkeypatch):
    def stop(*_):
        raise Stopped(signal.SIGINT)

    monkeypatch.setattr("linclass_cli.predicting.stream.read_pictures", stop)
    with pytest.raises(Stopped):
        linclass("predict", "r", "photos", "--out", "labels.csv")
    assert not list(Path().glob("*labels*"))
