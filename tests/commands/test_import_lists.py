"""Lists of pictures: CSV, TSV and JSONL, their columns, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_import import photos, picture, save

ROWS = [(f"{label}/{number}.png", label) for label in ("cat", "dog") for number in range(6)]


@pytest.fixture
def _photos(linclass):
    photos(n=6)


def run(linclass, text: str | bytes, name: str = "list.csv", *options: str):
    path = Path("photos") / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return linclass("import", str(path), "--name", "pets", *options, "--json")


def lines(*rows, head: str = "path,label") -> str:
    return "\n".join([head, *(",".join(row) for row in rows)]) + "\n"


@pytest.mark.usefixtures("_photos")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", lines(*ROWS)),
        ("b.csv", lines(*ROWS).replace("path,label\n", "")),
        ("c.csv", "\ufeff" + lines(*(("7", *row[::-1]) for row in ROWS), head="id,Class,FileName")),
        ("d.csv", lines(*ROWS).replace(",", ";").replace("\n", "\r\n")),
        ("e.tsv", lines(*ROWS).replace(",", "\t")),
        ("f.csv", lines(*((f'"{a}"', f'" {b} "') for a, b in ROWS)) + "\n\n"),
        ("g.jsonl", "".join(json.dumps({"path": a, "label": b, "more": [1]}) + "\n" for a, b in ROWS)),
        ("h.jsonl", "".join(json.dumps({"file_name": a, "target": b}) + "\n\n" for a, b in ROWS)),
    ],
)
def test_kinds_of_lists(linclass, name, text):
    made = run(linclass, text, name).json
    assert (made["n_train"], made["n_test"], made["classes"]) == (10, 2, ["cat", "dog"])


@pytest.mark.usefixtures("_photos")
def test_a_column_of_parts_and_names_of_columns(linclass):
    rows = [(*row, "test" if number % 3 == 0 else "Train") for number, row in enumerate(ROWS)]
    made = run(linclass, lines(*rows, head="path,label,split"))
    assert (made.json["n_train"], made.json["n_test"]) == (8, 4)
    files = json.loads(Path("cache/datasets/pets/sources.json").read_text())["files"]
    assert files["test"] == [row[0] for row in rows if row[2] == "test"]
    keys = ("--rows-key", "where", "--labels-key", "what", "--force")
    assert run(linclass, lines(*ROWS, head="where,what"), "k.csv", *keys).json["n_train"] == 10


def test_paths_elsewhere_and_labels_that_are_numbers(linclass, tmp_path):
    for number in range(4):
        save(f"deep/x y,{number}.png", picture(number))
    rows = [
        {"path": str(tmp_path / f"deep/x y,{n}.png") if n % 2 else f"../deep/x y,{n}.png", "label": n // 2}
        for n in range(4)
    ]
    Path("photos").mkdir()
    made = run(linclass, "".join(json.dumps(row) + "\n" for row in rows), "a.jsonl").json
    assert (made["n_train"], made["n_test"], made["classes"]) == (2, 2, ["0", "1"])


@pytest.mark.usefixtures("_photos")
@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("a.csv", "", 3, "found none"),
        ("a.csv", "path,label\n", 3, "found none"),
        ("a.csv", "a,b\n1,2\n", 3, "expected a first line with the columns path and label"),
        ("a.csv", "path,kind\ncat/0.png,cat\n", 3, "line 2: expected a column label"),
        ("a.csv", lines(*ROWS, ("cat/0.png",)), 3, "line 14: expected 2 columns"),
        ("a.csv", lines(*ROWS, ("./cat/../cat/0.png", "dog")), 3, "stands on line 2 already"),
        ("a.csv", lines(*ROWS, ("cat/9.png", "")), 3, "line 14: the label is empty"),
        ("a.csv", lines(*ROWS, ("cat/9.png", "cat")), 4, "cat/9.png (there is no such file)"),
        ("a.csv", lines(*ROWS, ("cat/\x009.png", "cat")), 3, "cat/\\x009.png"),
        ("a.csv", lines(*ROWS, ("cat", "cat")), 3, "no regular file"),
        ("a.csv", lines(*((*row, "both") for row in ROWS), head="path,label,split"), 3, "train, test or val"),
        (
            "a.csv",
            lines(*((a, b, "test" * (b == "cat")) for a, b in ROWS), head="path,label,set"),
            3,
            "in no part",
        ),
        ("a.csv", b"path,label\n\xff\xfe,a\n", 3, "UTF-8"),
        ("a.csv", 'path,label\n"cat/0.png,cat\n', 3, "it is no CSV"),
        ("a.jsonl", "{}\n", 3, "expected a column path"),
        ("a.jsonl", "[1]\n", 3, "line 1: expected an object"),
        ("a.jsonl", "{\n", 3, "line 1: it is no JSON"),
        ("a.jsonl", "[" * 100_000 + "\n", 3, "line 1: it is no JSON"),
        ("a.jsonl", '{"path": 3, "label": "a"}\n', 3, "expected the path of a picture"),
        ("a.jsonl", '{"path": "a.png", "label": [1]}\n', 3, "a label is a text or a whole number"),
        ("a.txt", "a\n", 3, "of no kind that can be imported"),
    ],
)
def test_what_is_wrong_with_a_list(linclass, name, text, code, words):
    result = run(linclass, text, name)
    assert words in result.error
    assert result.code == code
    assert not list(Path("cache").rglob("*pets*"))
