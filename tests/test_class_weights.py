"""Files of class weights: what is read, and what is refused; and the option."""

from __future__ import annotations

import json

import numpy as np
import pytest

from linclass_cli.class_weights import load_weighting
from linclass_cli.errors import InputError, MissingError

CLASSES = ("cat", "dog", "fish, dried")


def written(tmp_path, name, text):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "want"),
    [
        ("w.json", '{"dog": 2, "cat": 0.5}', [0.5, 2, 1]),
        ("w.json", "{}", [1, 1, 1]),
        ("w.csv", 'class,weight\ncat,3\n\n"fish, dried",0.25\n', [3, 1, 0.25]),
        ("w.csv", "\ufeffdog, 1e2\n", [1, 100, 1]),
    ],
)
def test_a_weight_for_each_class(tmp_path, name, text, want):
    weighting = load_weighting(written(tmp_path, name, text), CLASSES)
    assert weighting.of(np.array([0, 1]), 3).tolist() == want


def test_balanced_is_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    y = np.array([0, 0, 0, 1, 2, 2])
    want = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(load_weighting("balanced", CLASSES).of(y, 3), want)
    assert load_weighting("", CLASSES) is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("w.json", '{"cta": 2}', "did you mean cat"),
        ("w.json", '{"cat": 2, "cat": 3}', "twice"),
        ("w.json", '{"cat": 0}', "numbers from 1e-6"),
        ("w.json", '{"cat": -1}', "numbers from 1e-6"),
        ("w.json", '{"cat": NaN}', "numbers from 1e-6"),
        ("w.json", '{"cat": true}', "numbers from 1e-6"),
        ("w.json", '{"cat": "much"}', "numbers from 1e-6"),
        ("w.json", '{"cat": [1]}', "numbers from 1e-6"),
        ("w.json", '{"cat": 1e400}', "numbers from 1e-6"),
        ("w.json", "[1, 2, 3]", "no JSON object"),
        ("w.json", '[["cat", 2]]', "no JSON object"),
        ("w.json", "2", "no JSON object"),
        ("w.json", "[" * 100_000, "not valid JSON"),
        ("w.json", b"\xff\xff", "UTF-8"),
        ("w.csv", "cat,1,2\n", "two columns"),
        ("w.csv", "cat\n", "two columns"),
        ("w.csv", '"cat\n', "no CSV"),
        ("w.csv", "cat,\n", "numbers from 1e-6"),
    ],
)
def test_what_is_no_list_of_weights_is_an_error(tmp_path, name, text, words):
    with pytest.raises(InputError, match=words):
        load_weighting(written(tmp_path, name, text), CLASSES)


def test_what_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingError, match="balanced"):
        load_weighting(str(tmp_path / "w.json"), CLASSES)
    with pytest.raises(MissingError, match=r"did you mean balanced\?"):
        load_weighting("balancd", CLASSES)


def test_json_weights_go_through_json(tmp_path):
    path = written(tmp_path, "w.json", json.dumps(dict.fromkeys(CLASSES, 2.0)))
    assert load_weighting(path, CLASSES).given.tolist() == [2, 2, 2]
