"""Bit rot: every flipped bit, every length, whatever follows is found before a number is used.

Where the bytes are many, the whole of it is behind the marker slow_faults; without it, every bit of headers
and of HDF5's own data is flipped, and one bit of some of the bytes between.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from linclass_cli import kernel_cache
from linclass_cli.data.fetch import download
from linclass_cli.data.imported import load_imported, load_sources, write_description, write_part
from linclass_cli.data.manifest import describe_dataset, expected_info
from linclass_cli.data.own import parse_description, read_own
from linclass_cli.data.readers import load_dataset
from linclass_cli.data.registry import DATASETS, ArchiveSpec, DatasetSpec, MemberSpec
from linclass_cli.digest import digest
from linclass_cli.errors import IntegrityError
from linclass_cli.partial import Partial
from linclass_cli.runs import load_model, load_run, parse_record
from linclass_cli.seal import seal, unseal
from linclass_cli.store import feature_path, load_features, open_features, write_features
from tests.data.conftest import cifar_content, register_digits, sha256
from tests.faults.rot import additions, cuts, flips, undetected
from tests.faults.tally import tried
from tests.test_runs import METRICS, record
from tests.test_store import META, SIZES, D, fill
from tests.tiers import slow

HEADER = 8192


@pytest.fixture
def features(tmp_path):
    path = feature_path(tmp_path, META)
    write_features(path, META, SIZES, D, fill)
    return path


def missed(faults, path):
    return undetected(faults, lambda: load_features(path, META), str(path), "linclass extract --force")


@slow
def test_features_every_bit_that_says_something(features):
    content = features.read_bytes()
    telling = [place for place, byte in enumerate(content) if byte]
    assert {place < HEADER for place in telling} == {True, False}
    assert missed(flips(features, telling), features) == []


def test_features_padding(features):
    content = features.read_bytes()
    empty = [place for place, byte in enumerate(content) if not byte][::16]
    assert {place < HEADER for place in empty} == {True, False}
    assert missed(flips(features, empty, [3]), features) == []


def test_features_lengths_and_what_follows(features):
    size = features.stat().st_size
    lengths = [*range(0, HEADER, 64), *range(HEADER, size, 37), size - 1]
    assert missed(cuts(features, lengths), features) == []
    assert missed(additions(features), features) == []


@pytest.mark.slow_faults
def test_features_every_bit_and_every_length(features):
    size = features.stat().st_size
    assert missed(flips(features, range(size)), features) == []
    assert missed(cuts(features, range(size)), features) == []


def test_a_damaged_header_is_found_where_nothing_else_is_known_of_the_file(features):
    faults, load = flips(features, range(0, 900, 3)), lambda: open_features(features)
    assert undetected(faults, load, str(features), f"linclass cache repair {features.name}") == []


@pytest.mark.parametrize("file", ["run.json", "history.jsonl", "model.safetensors"])
def test_runs_every_bit_and_every_length(tmp_path, file):
    name = record(tmp_path)
    path = tmp_path / "runs" / name / file
    load = load_model if file == "model.safetensors" else load_run
    for faults in (
        flips(path, range(path.stat().st_size)),
        cuts(path, range(path.stat().st_size)),
        additions(path),
    ):
        assert (
            undetected(faults, lambda: load(tmp_path, name), str(path), f"linclass cache repair {name}") == []
        )


SAME_VALUES = {
    "other blanks": lambda text: text.replace(b"\n  ", b"\n\t"),
    "no blanks": lambda text: json.dumps(json.loads(text)).encode(),
    "another order": lambda text: json.dumps(dict(reversed(json.loads(text).items())), indent=2).encode(),
    "an escape": lambda text: text.replace(b'"kind"', rb'"\u006bind"'),
    "the case of an exponent": lambda text: text.replace(b"1e-05", b"1E-05"),
    "a digit that no float holds": lambda text: text.replace(b"1e-05", b"1.00000000000000000001e-05"),
    "a key twice": lambda text: text.replace(b'  "kind"', b'  "kind": "cv",\n  "kind"'),
    "no last line feed": lambda text: text[:-1],
    "the seal in capitals": lambda text: text[:-70] + text[-70:].upper(),
}


@pytest.mark.parametrize("change", SAME_VALUES.values(), ids=SAME_VALUES)
def test_a_sealed_text_that_means_the_same_is_not_the_same(change):
    value = {"kind": "train", "l2": 1e-05, "files": {}, "n": 1}
    text = seal(value)
    assert unseal(text) == value
    changed = change(text)
    assert changed != text
    with pytest.raises(ValueError, match="sha256"):
        unseal(changed)


def test_records_of_the_format_before_are_read_and_checked(tmp_path):
    name = record(tmp_path)
    path = tmp_path / "runs" / name / "run.json"
    new = unseal(path.read_bytes())
    old = {**new, "format": 1}
    old["digest"] = digest(old)
    path.write_text(json.dumps(old, indent=2) + "\n")
    assert load_run(tmp_path, name).metrics == METRICS
    for fault in flips(path, range(path.stat().st_size)):
        try:
            found = parse_record(path.read_bytes())
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        assert {**found, "format": 2} == new, fault  # a blank became another: every value stands
    path.write_bytes(seal({**new, "format": 1}))
    with pytest.raises(IntegrityError):
        load_run(tmp_path, name)


def write_own(cache, rows):
    """An imported dataset ``own``, as the import writes it."""
    folder = cache / "datasets" / "own"
    folder.mkdir(parents=True)
    images = rows.ndim == 4
    about = {
        "kind": "images" if images else "vectors",
        "classes": ["cät", "dog"],
        "image_shape": list(rows.shape[1:]) if images else [1, 1, rows.shape[1]],
        "fit": "crop",
        "n_train": 4,
        "n_test": 2,
        "source": "/where/it/was",
        "typed": "",
        "fingerprint": "f" * 64,
    }
    labels = np.array([0, 1, 0, 1, 0, 1])
    write_part(folder, "train", rows, labels, np.arange(4))
    write_part(folder, "test", rows, labels, np.arange(4, 6))
    write_description(folder, about, {"files": {}, "skipped": [], "ignored": [], "duplicates": []})
    return folder


def loader_of(path, cache):
    """What reads the file, and nothing that takes longer."""
    read = {"dataset.json": read_own, "sources.json": load_sources}.get(path.name, load_imported)
    return lambda: read("own", cache)


IMAGES = np.arange(6 * 12, dtype=np.uint8).reshape(6, 2, 2, 3)
VECTORS = np.linspace(-1, 1, 6 * 5, dtype=np.float32).reshape(6, 5)


@slow
def test_imported_datasets_every_bit_and_every_length(tmp_path):
    folder = write_own(tmp_path, IMAGES)
    for path in folder.iterdir():
        for faults in (flips(path, range(path.stat().st_size)), additions(path)):
            assert undetected(faults, loader_of(path, tmp_path), str(path), "linclass import ") == []
        faults = cuts(path, range(0, path.stat().st_size, 3))
        assert undetected(faults, loader_of(path, tmp_path), str(path), "linclass import ") == []


@pytest.mark.slow_faults
def test_imported_vectors_every_bit_and_every_length(tmp_path):
    folder = write_own(tmp_path, VECTORS)
    for path in folder.iterdir():
        size = path.stat().st_size
        for faults in (flips(path, range(size)), cuts(path, range(size)), additions(path)):
            assert undetected(faults, loader_of(path, tmp_path), str(path), "linclass import ") == []


def test_descriptions_of_the_format_before_are_read_and_name_the_same_content(tmp_path):
    folder = write_own(tmp_path, IMAGES)
    path = folder / "dataset.json"
    new = unseal(path.read_bytes())
    path.write_text(json.dumps({**new, "format": 1}, indent=2, ensure_ascii=False) + "\n")
    info, _ = load_imported("own", tmp_path)
    assert info.digest == new["digest"] == parse_description(path.read_bytes())["digest"]
    path.write_text(json.dumps(new))
    with pytest.raises(IntegrityError):
        load_imported("own", tmp_path)


def known(kind, cache, monkeypatch):
    """A known dataset of a few bytes, in the cache."""
    source = cache / "source"
    source.mkdir(exist_ok=True)
    if kind == "idx":
        from tests.data.conftest import IDX_MEMBERS as members

        spec = register_digits(monkeypatch, "http://127.0.0.1:9")
    else:
        members = {"a.bin": cifar_content(5, 0), "t.bin": cifar_content(3, 9)}
        files = tuple(MemberSpec(name, len(c), sha256(c)) for name, c in members.items())
        spec = DatasetSpec(
            name="small",
            form="cifar",
            classes=("x", "y", "z"),
            image_shape=(2, 2, 3),
            n_train=5,
            n_test=3,
            train=("a.bin",),
            test=("t.bin",),
            archives=(ArchiveSpec("small.tar", "tar", 1, "0" * 64, ("http://127.0.0.1:9/small",), files),),
        )
        monkeypatch.setitem(DATASETS, "small", spec)
    for name, content in members.items():
        (source / name).write_bytes(content)
    download(spec.name, cache, str(source))
    return spec, cache / "datasets" / spec.name


@pytest.mark.parametrize("kind", ["cifar", "idx"])
def test_known_datasets_every_bit_and_every_length(tmp_path, monkeypatch, kind):
    spec, folder = known(kind, tmp_path, monkeypatch)
    mend = f"linclass download {spec.name}"
    for name in (*spec.train, *spec.test):
        path = folder / name
        size = path.stat().st_size
        for faults in (flips(path, range(size)), cuts(path, range(size)), additions(path)):
            assert undetected(faults, lambda: load_dataset(spec.name, tmp_path), str(path), mend) == []


def test_a_known_description_is_damaged_or_says_what_the_registry_says(tmp_path, monkeypatch):
    spec, folder = known("cifar", tmp_path, monkeypatch)
    path = folder / "dataset.json"
    size, said = path.stat().st_size, []
    for faults in (flips(path, range(size)), cuts(path, range(size)), additions(path)):
        for _ in faults:
            try:
                said.append(describe_dataset(spec.name, tmp_path))
            except IntegrityError as error:
                said.append(str(error))
    found = [one for one in said if isinstance(one, str)]
    harmless = [one for one in said if not isinstance(one, str)]
    assert len(found) > len(harmless) > 0
    assert all(f"{path} " in one and f"`linclass download {spec.name} " in one for one in found)
    assert all(one == expected_info(spec) for one in harmless)
    tried("bit rot", len(said))


def test_kept_rows_of_an_extraction(tmp_path):
    path = tmp_path / ".x.partial" / f"train-{0:012}-{3:012}"
    X = np.arange(15, dtype=np.float32).reshape(3, 5)
    partial = Partial(path.parent, lambda: "key")
    partial._write([("train", X, 0, 3)])
    assert partial.take("train", np.empty_like(X)) == []
    size = path.stat().st_size
    for faults in (flips(path, range(size)), cuts(path, range(size)), additions(path)):
        found = [partial.take("train", np.empty_like(X)) for _ in faults]
        assert found == [[(0, 3)]] * len(found)
        tried("bit rot", len(found))
    again = np.empty_like(X)
    assert partial.take("train", again) == []
    np.testing.assert_array_equal(again, X)


def test_compiled_kernels(tmp_path, monkeypatch):
    read: list[bytes] = []
    monkeypatch.setattr(kernel_cache, "kernel_folder", lambda: tmp_path)
    monkeypatch.setattr(kernel_cache.MachineCode, "from_bytes", read.append)
    content = bytes(range(256))
    path = tmp_path / "x.kernel"
    path.write_bytes(content + bytes.fromhex(sha256(content)))
    size = path.stat().st_size
    for faults in (flips(path, range(size)), cuts(path, range(size)), additions(path)):
        said = [kernel_cache.find("x.kernel") for _ in faults]
        assert said == [None] * len(said)
        assert read == []
        tried("bit rot", len(said))
    kernel_cache.find("x.kernel")
    assert read == [content]
