"""Runs, models, features and datasets that somebody forged, with digests that match: refused, or harmless."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from linclass_cli.data.imported import load_imported, load_sources
from linclass_cli.data.own import content_digest
from linclass_cli.errors import InputError, IntegrityError, LinclassError
from linclass_cli.evidence import Evidence
from linclass_cli.model import parse_model
from linclass_cli.run_table import differences, facts, row
from linclass_cli.runs import load_model, load_run
from linclass_cli.safetensors import dump, parse
from linclass_cli.scoring import run_config
from linclass_cli.seal import seal, unseal
from linclass_cli.show.figures.canvas import themed
from linclass_cli.show.plots import plan_drawings
from linclass_cli.show.report import make_report
from linclass_cli.store import open_features
from tests.commands.conftest import Result
from tests.faults.children import run as process
from tests.tiers import slow

FAST = ("--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2")
RUNS = {"train": "run1", "cv": "run2"}
INJECTED = "; touch injected"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A cache folder with a training run and a cross-validation."""
    folder = tmp_path_factory.mktemp("made")
    for arguments in (
        ("train", *FAST, "--max-iterations", "5"),
        ("cv", *FAST, "--folds", "2", "--l2", "0.1,1"),
    ):
        code, _, err = process(folder, *arguments)
        assert code == 0, err
    return folder / "cache"


@pytest.fixture
def cache(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "cache"))


def write_record(folder: Path, record: dict[str, Any], **files: bytes) -> None:
    """Replace a run's files, and make all digests match."""
    names = {"history": "history.jsonl", "model": "model.safetensors"}
    for name, content in files.items():
        (folder / names[name]).write_bytes(content)
        record["files"][names[name]] = hashlib.sha256(content).hexdigest()
    (folder / "run.json").write_bytes(seal(record))


def paths_of(value: Any, before: tuple = ()) -> Iterator[tuple]:
    """The place of every value in dictionaries and lists; of a long list the first alone."""
    if before:
        yield before
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, (*before, key))
    elif isinstance(value, list) and value:
        yield from paths_of(value[0], (*before, 0))


def put(value: Any, path: tuple, new: Any) -> Any:
    """A copy with another value at a place; without it, for ``...``."""
    changed = copy.deepcopy(value)
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    if new is ...:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return changed


EVIL = (..., None, True, -1, 2.5, 10**30, "", "\x1b[2J\n", "x" * 5000, [], {}, [[1]], {"a": {"b": 1}})


def error_of(function: Any, *arguments: Any) -> str | None:
    """The text of a LinclassError; None without one. Everything else is a bug."""
    try:
        function(*arguments)
    except LinclassError as error:
        return str(error)
    return None


def no_scores(run: Any) -> Any:
    raise InputError("there are none here")


def show(cache: Path, name: str, figures: bool = True) -> None:
    """What shows a record without its dataset; raises a LinclassError, or nothing."""
    run = load_run(cache, name)
    json.dumps([row(run), facts(run), asdict(run)], default=str, allow_nan=False)
    differences([run, load_run(cache, next(other for other in RUNS.values() if other != name))])
    run_config(run, str(cache))
    evidence = Evidence(run, no_scores)
    with themed("light"):
        for drawing in plan_drawings([evidence], "auto"):
            if figures and drawing.name != "loss":
                drawing.draw()


@slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_record_with_any_value_in_any_place(cache, kind):
    name = RUNS[kind]
    folder = cache / "runs" / name
    record = unseal((folder / "run.json").read_bytes())
    held = tried = 0
    for path in paths_of(record):
        for new in EVIL:
            write_record(folder, put(record, path, new))
            tried += 1
            held += error_of(show, cache, name, path[0] == "metrics") is None
    assert held < tried
    write_record(folder, record)
    show(cache, name)


@slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_history_with_any_value_in_any_place(cache, kind):
    name = RUNS[kind]
    folder = cache / "runs" / name
    record = unseal((folder / "run.json").read_bytes())
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    texts = [
        b"",
        b"[]\n",
        b"1\n",
        b"{\n",
        b"\xff\n",
        b"null\n",
        b'{"iteration": 1e999}\n',
        b"[" * 5000 + b"\n",
    ]
    for path in paths_of(lines):
        texts += [json.dumps(put(lines, path, new)).encode() for new in EVIL if len(path) > 1]
    for text in texts:
        changed = json.loads(text) if text.startswith(b"[{") else None
        content = b"".join(json.dumps(one).encode() + b"\n" for one in changed) if changed else text
        write_record(folder, record, history=content)
        error_of(show, cache, name)


COMMANDS = (
    ("runs", "list"),
    ("runs", "show", "run1"),
    ("runs", "compare", "run1", "run2"),
    ("plot", "run1"),
    ("report", "run1"),
    ("evaluate", "run1"),
    ("predict", "run1", "nothing.png"),
    ("export", "run1", "--format", "npz"),
    ("cache", "verify"),
    ("cache", "repair", "--dry-run"),
)


def clean(result: Result, codes: tuple[int, ...] = (0, 3, 4, 5)) -> None:
    assert result.code in codes, result.err
    assert "Traceback" not in result.err
    assert (result.out + result.err).replace("\n", "").isprintable()
    assert result.err.count("error: ") <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "theft"},
        {"metrics": {}},
        {"config": {"seed": 0}},
        {"files": {"history.jsonl": 1, "model.safetensors": None}},
        {"environment": {"cpu": "\x1b[2J"}},
        {"config": {"seed": 0, "data": {"name": f"x{INJECTED}"}, "feature": {"name": "hog"}}},
    ],
)
def test_commands_on_a_forged_record(cache, linclass, change):
    folder = cache / "runs" / "run1"
    write_record(folder, unseal((folder / "run.json").read_bytes()) | change)
    for command in COMMANDS:
        clean(linclass(*command))
    assert linclass("runs", "remove", "run1", "--yes").code == 0
    assert not Path("injected").exists()


def forged(made: Path, **change: Any) -> bytes:
    """A model file with other tensors or metadata; None takes one away."""
    content = (made / "runs" / "run1" / "model.safetensors").read_bytes()
    tensors, metadata = parse(content, "it")
    for name, value in change.items():
        target = tensors if name in tensors else metadata
        target.pop(name, None)
        if value is not None:
            target[name] = value
    return dump(tensors, metadata)


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed.flat[-1] = value
    return changed


def models(made: Path) -> dict[str, bytes]:
    model = load_model(made, "run1")
    k, d = model.weight.shape
    names = [f"class {i}" for i in range(k)]
    return {
        "nothing": b"",
        "a long header": struct.pack("<Q", 2**63) + b"{}",
        "no weight": forged(made, weight=None),
        "flat weights": forged(made, weight=model.weight.ravel()),
        "one class": forged(made, weight=model.weight[:1], bias=model.bias[:1], classes='["a"]'),
        "no values": forged(made, weight=np.empty((k, 0), np.float32)),
        "NaN": forged(made, weight=spoilt(model.weight, np.nan)),
        "infinity": forged(made, mean=spoilt(model.mean, np.inf)),
        "another kind": forged(made, weight=model.weight.astype(np.float64)),
        "whole numbers": forged(made, bias=np.zeros(k, np.int64)),
        "fewer biases": forged(made, bias=model.bias[:-1]),
        "more means": forged(made, mean=np.zeros(d + 1)),
        "no classes": forged(made, classes=None),
        "fewer classes": forged(made, classes=json.dumps(names[:-1])),
        "classes in a text": forged(made, classes='"abcdef"'),
        "classes that are numbers": forged(made, classes=json.dumps(list(range(k)))),
        "classes twice": forged(made, classes=json.dumps(["a"] * k)),
        "classes of escapes": forged(made, classes=json.dumps(["\x1b[2J", *names[1:]])),
        "classes of lines": forged(made, classes=json.dumps(["a\r\nb", *names[1:]])),
        "a long class": forged(made, classes=json.dumps(["x" * 300, *names[1:]])),
        "classes in each other": forged(made, classes="[" * 9000),
        "no loss": forged(made, loss=None),
        "another loss": forged(made, loss="perceptron"),
        "no key": forged(made, feature_key=None),
        "a temperature of nothing": forged(made, temperature="0"),
        "a temperature below": forged(made, temperature="-1"),
        "no temperature": forged(made, temperature="nan"),
        "a hot one": forged(made, temperature="inf"),
        "a cold one": forged(made, temperature="5e-324"),
        "a word": forged(made, temperature="warm"),
    }


def test_models(made):
    for name, content in models(made).items():
        with pytest.raises(IntegrityError, match="model.x") as caught:
            parse_model(content, "model.x")
        assert "\n" not in str(caught.value), name


def test_a_model_that_fits_is_taken(made):
    assert parse_model(forged(made), "it").classes == load_model(made, "run1").classes


@pytest.mark.parametrize("name", ["NaN", "fewer classes", "no weight", "classes of escapes"])
def test_commands_on_a_forged_model(made, cache, linclass, name):
    folder = cache / "runs" / "run1"
    write_record(folder, unseal((folder / "run.json").read_bytes()), model=models(made)[name])
    for command in (
        ("predict", "run1", "x.png"),
        ("evaluate", "run1"),
        ("export", "run1", "--format", "npz"),
    ):
        result = linclass(*command)
        clean(result, (5,))
        assert "model.safetensors" in result.error


@pytest.mark.parametrize(
    "change", [{"weight": 3e38, "mean": -1e3}, {"mean": -1e308, "factor": 1e308}], ids=["weights", "scaling"]
)
def test_a_model_whose_scores_are_not_finite(made, cache, linclass, change):
    folder, model = cache / "runs" / "run1", load_model(made, "run1")
    content = forged(made, **{name: np.full_like(getattr(model, name), x) for name, x in change.items()})
    write_record(folder, unseal((folder / "run.json").read_bytes()), model=content)
    Image.new("RGB", (64, 64), (200, 3, 9)).save("x.png")
    for command in (("predict", "run1", "x.png", "--json"), ("evaluate", "run1")):
        result = linclass(*command)
        clean(result, (3,))
        assert "not finite" in result.error
    clean(linclass("report", "run1"), (0,))


def test_a_model_of_other_features(made, cache, linclass):
    folder, model = cache / "runs" / "run1", load_model(made, "run1")
    content = forged(made, weight=model.weight[:, :-1], mean=model.mean[:-1], factor=model.factor[:-1])
    write_record(folder, unseal((folder / "run.json").read_bytes()), model=content)
    for command in (("predict", "run1", "x.png"), ("evaluate", "run1")):
        clean(linclass(*command), (3,))


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "header",
    [
        {"a": {**ONE, "shape": [0, 2**70], "data_offsets": [0, 0]}},
        {"a": {**ONE, "shape": [0] * 70, "data_offsets": [0, 0]}},
        {"a": {**ONE, "shape": "1"}},
        {"a": {**ONE, "shape": [1.0]}},
        {"a": {**ONE, "dtype": ["F32"]}},
        {"a": {**ONE, "data_offsets": [0]}},
        {"a": {**ONE, "data_offsets": [-4, 0]}},
        {"a": {**ONE, "data_offsets": [0, 2**70]}},
        {"a": {**ONE, "data_offsets": {}}},
        {"a": None},
        {"a": ONE, "b": {**ONE, "data_offsets": [2, 6]}},
        {"__metadata__": None},
        {"__metadata__": ["x"]},
        {"__metadata__": {"x": None}},
        None,
        "x",
        1,
    ],
)
def test_headers_of_safetensors(header):
    text = json.dumps(header).encode()
    with pytest.raises(IntegrityError, match="model.x"):
        parse(struct.pack("<Q", len(text)) + text + bytes(4), "model.x")


MAGIC = b"linclass features 1 sha256 "
HEADER = 8192


def header_of(content: bytes) -> dict[str, Any]:
    return json.loads(content[len(MAGIC) + 65 : HEADER].rstrip(b"\0"))


def write_features(path: Path, header: dict[str, Any] | bytes, body: bytes) -> None:
    """A feature file whose digests match."""
    if isinstance(header, dict):
        chunks = [body[i : i + (8 << 20)] for i in range(0, len(body), 8 << 20)]
        whole = hashlib.sha256(b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)).hexdigest()
        header = json.dumps(header | {"digest": whole, "size": HEADER + len(body)}).encode()
    text = header.ljust(HEADER - len(MAGIC) - 65, b"\0")
    path.write_bytes(MAGIC + hashlib.sha256(text).hexdigest().encode() + b"\n" + text + body)


@pytest.fixture
def features(cache) -> Path:
    (path,) = (cache / "features").glob("*.h5")
    return path


@slow
def test_a_feature_file_with_any_value_in_any_place(features):
    content = features.read_bytes()
    header = header_of(content)
    texts = [b"", b"[]", b"{}", b"null", b"[" * 5000, b'{"meta": 1e999}', b"\xff"]
    halves = json.loads(json.dumps(header))
    for holder in (halves["meta"], *(halves["places"][f"{part}/features"] for part in ("train", "test"))):
        holder["dtype"] = "float16"
    for one in (header, halves):
        for path in paths_of(one):
            for new in (*EVIL, -8, 2**62, [2**40, 2**40], "a b", INJECTED):
                changed = put(one, path, new)
                texts += [changed] if path[0] not in ("digest", "size") else []
    write_features(features, halves, content[HEADER:])
    assert open_features(features).train.X.dtype == np.float16
    for text in texts:
        write_features(features, text, content[HEADER:])
        error = error_of(open_features, features)
        if error is not None:
            commands = re.findall("`[^`]*`", error)
            assert all(INJECTED not in one.replace(f"'{INJECTED}'", "") for one in commands)
            continue
        found = open_features(features)
        for block in (found.train, found.test):  # every byte can be read
            assert len(block.X.tobytes()) == block.X.nbytes
            assert block.y.sum() is not None


@pytest.mark.parametrize(
    "lie",
    [
        "a label too large",
        "a label below 0",
        "the largest label",
        "fewer rows",
        "fewer values",
        "other learned",
    ],
)
def test_features_that_lie_about_the_dataset(features, linclass, lie):
    content = bytearray(features.read_bytes())
    header = header_of(content)
    places = header["places"]
    if "label" in lie:
        label = {"a label too large": 6, "a label below 0": -1, "the largest label": 2**63 - 1}[lie]
        struct.pack_into("<q", content, places["train/labels"]["offset"], label)
    for part in ("train", "test") if lie == "fewer values" else ("train",):
        X, y = places[f"{part}/features"]["shape"], places[f"{part}/labels"]["shape"]
        X[0], y[0] = X[0] - (lie == "fewer rows"), y[0] - (lie == "fewer rows")
        X[1] -= lie == "fewer values"
    write_features(features, header, bytes(content[HEADER:]))
    before = features.read_bytes()
    commands = [("train", *FAST, "--loss", "ridge"), ("cv", *FAST, "--folds", "2"), ("extract", *FAST)]
    for command in [*commands, ("evaluate", "run1")] if lie != "other learned" else []:
        result = linclass(*command)
        clean(result, (5,))
        assert "linclass extract --force" in result.error
    assert features.read_bytes() == before
    assert linclass("extract", *FAST, "--force").code == 0
    assert linclass(*commands[0]).code == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("part", ["train", "test"])
def test_features_that_are_not_finite(features, linclass, value, part):
    content = bytearray(features.read_bytes())
    header = header_of(content)
    struct.pack_into("<f", content, header["places"][f"{part}/features"]["offset"] + 40, value)
    write_features(features, header, bytes(content[HEADER:]))
    result = linclass("train", *FAST, "--scale", "none", "--loss", "ridge")
    clean(result, (0, 3) if value == 3e38 else (5,))


def test_meta_that_would_have_somebody_run_something(features, linclass):
    content = features.read_bytes()
    header = header_of(content)
    for change in (
        {"name": f"textures{INJECTED}"},
        {"name": "$(touch injected)"},
        {"name": "`touch injected`"},
    ):
        header["meta"]["dataset"] |= change
        write_features(features, header, content[HEADER:])
        for command in (
            ("cache", "list"),
            ("cache", "verify"),
            ("cache", "clean"),
            ("cache", "repair", "--dry-run"),
        ):
            result = linclass(*command)
            clean(result)
            assert "touch" not in result.out + result.err


@pytest.fixture
def own(linclass) -> Path:
    rng = np.random.default_rng(0)
    np.savez("a.npz", X=rng.normal(size=(60, 5)), y=np.arange(60) % 3)
    linclass("import", "a.npz", "--name", "emb")
    return Path("cache/datasets/emb/dataset.json")


def test_a_description_with_any_value_in_any_place(own, linclass):
    found, tried = unseal(own.read_bytes()), 0
    for path in paths_of(found):
        for new in (*EVIL, INJECTED, 10**9, 2**70):
            changed = put(found, path, new)
            try:
                changed["digest"] = content_digest(changed)
                own.write_bytes(seal(changed))
            except (LookupError, TypeError, ValueError):
                continue
            tried += 1
            commands = re.findall("`[^`]*`", error_of(load_imported, "emb", Path("cache")) or "")
            assert all(INJECTED not in one.replace(f"'{INJECTED}'", "") for one in commands)
            if new is None:
                clean(linclass("extract", "--data", "emb"))
    assert tried > 100
    own.write_bytes(seal(found))
    assert linclass("extract", "--data", "emb").code == 0


def test_a_description_that_claims_huge_images(own, linclass):
    found = unseal(own.read_bytes())
    found |= {"kind": "images", "image_shape": [10**9, 10**9, 3]}
    own.write_bytes(seal(found | {"digest": content_digest(found)}))
    clean(linclass("extract", "--data", "emb", "--feature", "hog"), (5,))


def test_sources_with_any_value_in_any_place(own, linclass):
    path = own.with_name("sources.json")
    found, sources = unseal(own.read_bytes()), json.loads(path.read_text())
    sources |= {"skipped": [{"path": "a", "reason": "b"}], "ignored": ["c"]}
    sources["duplicates"] = [{"train": [1], "test": [2], "classes": ["0"]}]
    texts = [b"", b"[]", b"{}", b"[" * 5000]
    texts += [json.dumps(put(sources, place, new)).encode() for place in paths_of(sources) for new in EVIL]
    for text in texts:
        path.write_bytes(text)
        for member in found["members"]:
            if member["name"] == "sources.json":
                member |= {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        own.write_bytes(seal(found | {"digest": content_digest(found)}))
        if error_of(load_sources, "emb", Path("cache")) is None:
            clean(linclass("import", "a.npz", "--name", "emb"), (0,))


@pytest.mark.parametrize(
    "place", ["runs/run1/run.json", "runs/run1/history.jsonl", "runs/run1/model.safetensors"]
)
def test_what_is_no_file_is_not_waited_for(cache, linclass, place):
    (cache / place).unlink()
    os.mkfifo(cache / place)
    for command in COMMANDS:
        clean(linclass(*command), (0, 3, 4, 5, 6))
    (cache / place).unlink()
    (cache / place).symlink_to("/dev/zero")
    for command in COMMANDS:
        clean(linclass(*command), (0, 3, 4, 5, 6))


def test_what_is_no_file_in_the_store_is_not_waited_for(cache, features, linclass, own):
    for path in (features, own, own.with_name("train-rows.npy")):
        kept = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        commands = [("cache", "list"), ("cache", "verify"), ("cache", "clean"), ("train", "--data", "emb")]
        for command in [*commands, ("train", *FAST), ("import", "a.npz", "--name", "emb")]:
            clean(linclass(*command), (0, 3, 4, 5, 6))
        path.unlink(missing_ok=True)
        path.write_bytes(kept)


def test_names_of_classes_do_nothing_in_a_report(cache, linclass, made):
    """Neither in HTML, nor in the SVG inside it, nor in matplotlib's formulas."""
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{$", "&lt;", "]]>", "a"]
    model = load_model(made, "run1")
    evidence = Evidence(load_run(cache, "run1"), no_scores)
    evidence.run.metrics["solver"] = evidence.run.config["feature"]["name"] = names[0]
    page = make_report([evidence], lambda text: None)
    assert "<script>" not in page
    from linclass_cli.scoring import Scored

    y = np.arange(60) % 6
    scored = Scored(
        evidence.run,
        model.__class__(**{**model.__dict__, "classes": tuple(names)}),
        None,
        np.eye(6)[(y + 1) % 6],
        y,
    )
    evidence = Evidence(load_run(cache, "run1"), lambda run: scored)
    from linclass_cli.show.figures.canvas import render

    with themed("light"):
        for drawing in plan_drawings([evidence], "confusion"):
            svg = render(drawing.draw(), "svg").decode()
            assert "<script>" not in svg
            assert "<img" not in svg
