"""What is fuzzed: good inputs, how they are changed, and what must hold of each that comes of it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from linclass_cli import feature_header, feature_pages
from linclass_cli.data import arrays, own, quick_png
from linclass_cli.data.own import FORMAT, content_digest
from linclass_cli.data.pictures import Frame, pillow_checked, read_picture
from linclass_cli.data.readers import check_labels, cifar_records, read_idx, take_cifar
from linclass_cli.data.registry import MemberSpec
from linclass_cli.data.unpack import unpack_tar
from linclass_cli.errors import InputError, IntegrityError, LinclassError
from linclass_cli.model import Model, dump_model, parse_model
from linclass_cli.run_table import facts, row
from linclass_cli.runs import parse_history, parse_record, run_of
from linclass_cli.safetensors import dump, parse
from linclass_cli.seal import seal
from tests.faults.fuzz.mutate import mutate_bytes, mutate_json

# What read_description, load_run and others take for damage.
NONSENSE = ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, IndexError
Change = Callable[[random.Random, bytes, list[bytes]], bytes]


@dataclass(frozen=True)
class Target:
    """``check``: a word for what became of an input, or an error for users; all else is a bug."""

    seeds: list[bytes]
    check: Callable[[bytes], str]
    change: Change = mutate_bytes


def idx_file(kind: int, shape: tuple[int, ...], body: bytes) -> bytes:
    return bytes((0, 0, kind, len(shape))) + b"".join(side.to_bytes(4, "big") for side in shape) + body


def _member_of_idx(content: bytes) -> str:
    """The reader of known datasets, whose shape is known."""
    found = read_idx(content, (3, 2, 2))
    assert found.shape == (3, 2, 2)
    assert found.tobytes() == content[16:]
    return "read"


def _idx(content: bytes) -> str:
    """The reader of files of users: whatever shape, as many bytes as there are."""
    file = io.BytesIO(content)
    with arrays.readable(Path("x"), "an idx file"):
        shape, kind = arrays._idx_header(file, Path("x"))
        start = file.tell()
        arrays.check_claim("x", shape, kind, len(content))
        found = b"".join(block.tobytes() for block in arrays._streamed(file, shape, kind, "x"))
    assert len(found) == math.prod(shape) * kind.itemsize
    assert found == content[start:]
    return f"{kind} {len(shape)}"


def _cifar(content: bytes) -> str:
    """Two label bytes, 2 x 2 pixels, 5 classes; against a slow twin."""
    records = cifar_records(content, 14, "x")
    images, labels = np.empty((len(records), 2, 2, 3), np.uint8), np.empty(len(records), np.int64)
    take_cifar(records, images, labels)
    for i in range(len(records)):
        one = content[14 * i : 14 * i + 14]
        assert labels[i] == one[1]
        assert images[i].tobytes() == bytes(one[2 + 4 * c + p] for p in range(4) for c in range(3))
    check_labels(labels, 5, "x")
    return str(len(records))


def _safetensors(content: bytes) -> str:
    tensors, metadata = parse(content, "x")
    again, known = parse(dump(tensors, metadata), "x")
    assert known == metadata
    assert {name: (t.shape, t.dtype, t.tobytes()) for name, t in again.items()} == {
        name: (t.shape, t.dtype, t.tobytes()) for name, t in tensors.items()
    }
    return f"{len(tensors)} tensors"


def _model(content: bytes) -> str:
    model = parse_model(content, "x")
    k, d = model.weight.shape
    assert len(model.classes) == k == len(model.bias)
    assert all(np.isfinite(array).all() for array in (model.weight, model.bias, model.mean, model.factor))
    again = parse_model(dump_model(model), "x")
    assert again.weight.tobytes() == model.weight.tobytes()
    assert (again.classes, again.temperature) == (model.classes, model.temperature)
    return f"{k} x {d}"


def _history(content: bytes) -> str:
    run = run_of(_RECORD, Path("runs/x"), _parsed(content, _RECORD))
    kept = next(step for step in run.history if step["iteration"] == run.metrics["best_step"])
    assert 0 <= kept["train_accuracy"] <= 1
    json.dumps(facts(run), allow_nan=False)
    return f"{len(run.history)} steps"


def _parsed(content: bytes, record: dict) -> list[dict]:
    try:
        return parse_history(content, record)
    except (ValueError, RecursionError) as error:  # what load_run takes for damage
        raise IntegrityError(str(error)) from error


def _record(content: bytes) -> str:
    """run.json, sealed again: who forges one does that."""
    found = _json(content)
    try:
        record = parse_record(seal(found) if isinstance(found, dict) and found else content)
    except NONSENSE as error:
        raise IntegrityError(str(error)) from error
    run = run_of(record, Path("runs/x"), _parsed(_HISTORY, record))
    json.dumps([row(run), facts(run)], allow_nan=False)
    return run.kind


def _features(content: bytes) -> str:
    """The header of a feature file, with its digest made to match."""
    body = content.ljust(_HEADER - _LINE, b"\0")
    if len(body) > _HEADER - _LINE:
        raise InputError("longer than a header")
    content = _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    header = feature_header.parse_header(Path("x"), content, _HEADER + 2048)
    for name, place in header["places"].items():
        item = 8 if name.endswith("labels") else 4
        assert 0 <= place["offset"] <= place["offset"] + math.prod(place["shape"]) * item <= _HEADER + 2048
        assert feature_pages.view_place(_PAGES, place).shape == tuple(place["shape"])
    return header["meta"]["feature"]["name"]


def _description(content: bytes) -> str:
    """dataset.json of an import, sealed again, with its digest made to match."""
    found = _json(content)
    if isinstance(found, dict):
        try:
            found["digest"] = content_digest(found)
            content = seal(found)
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
    try:
        about = own._description(own.parse_description(content), "x", Path("cache"))
    except NONSENSE as error:
        raise IntegrityError(str(error)) from error
    assert about.info.n_train > 0
    assert 2 <= len(about.info.classes) <= 100_000
    return about.info.kind


def _npy(content: bytes) -> str:
    file = io.BytesIO(content)
    with arrays.readable(Path("x"), ".npy"):
        shape, fortran, kind = arrays._npy_header(file, "x")
        start = file.tell()
        arrays.check_claim("x", shape, kind, len(content) - start)
        found = b"".join(block.tobytes() for block in arrays._streamed(file, shape, kind, "x"))
    assert found == content[start:]
    return f"{kind.kind} {len(shape)} {fortran}"


def _png(content: bytes) -> str:
    """The quick reader: what it reads, Pillow reads as the same pixels, where it reads it at all."""
    size = 9 * (1 + 3 * 7)
    packed = quick_png.packed_rows(content, _PNG_HEADER, size)
    rows = packed and quick_png.unpack_rows(packed, size)
    if not rows:
        return "left to Pillow"
    out, good = np.empty((1, 9, 21), np.uint8), np.empty(1, np.uint8)
    quick_png.unfilter(np.frombuffer(rows, np.uint8).reshape(1, 9, 22), 3, out, good)
    if not good[0]:
        return "another filter"
    with _scratch() as path, pillow_checked():
        path.write_bytes(content)
        try:
            slow = read_picture(path, Frame(9, 7, 3))
        except InputError:
            return "Pillow would not"
    assert slow.tobytes() == out.tobytes()
    return "read"


def _tar(content: bytes) -> str:
    with _scratch() as path:
        path.write_bytes(content)
        target = path.with_name("member")
        target.unlink(missing_ok=True)
        unpack_tar(path, [_MEMBER], {"a.bin": target}, "try again", lambda *_: None)
        assert target.read_bytes() == bytes(range(100))
    return "unpacked"


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


class _Scratch:
    """One file, written over and over."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # where there is one: a million files would wear a disk
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        self.path = Path(self._folder.name) / "x"

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        pass


_scratch = cache(_Scratch)
_MAGIC, _HEADER = b"linclass features 1 sha256 ", 8192
_PAGES = np.zeros(_HEADER + 2048, np.uint8)
_LINE = len(_MAGIC) + 65
_PNG_HEADER = quick_png.quick_header((9, 7, 3)) or b""
_MEMBER = MemberSpec("a.bin", 100, hashlib.sha256(bytes(range(100))).hexdigest())
_STEP = {
    "iteration": 1,
    "seconds": 0.5,
    "train_loss": 1.5,
    "train_accuracy": 0.75,
    "val_loss": None,
    "val_accuracy": 1,
}
_HISTORY = json.dumps(_STEP).encode() + b"\n"
_RECORD = {
    "format": 2,
    "run": "x",
    "kind": "train",
    "created": "2026-01-01T00:00:00+00:00",
    "config": {"seed": 0, "data": {"name": "x"}, "feature": {"name": "hog"}, "cv": {"l2": [0.1]}},
    "environment": {"threads": 2, "cpu": "x"},
    "feature_key": "f" * 64,
    "metrics": {
        "loss": "softmax", "solver": "newton", "l2": 0.1, "n_train": 8, "n_val": 2, "n_test": 4,
        "train_accuracy": 0.5, "val_accuracy": None, "test_accuracy": 0.5, "best_step": 1, "seconds": 0.1,
    },
    "files": {"history.jsonl": "0" * 64, "model.safetensors": "0" * 64},
}  # fmt: skip
_FEATURE_HEADER = {
    "meta": {
        "format": 1,
        "dataset": {"name": "tiny", "digest": "0" * 64},
        "feature": {"name": "hog", "version": 1, "params": {"orientations": 9, "block_norm": "L1"}},
    },
    "places": {
        "train/features": {"offset": _HEADER, "shape": [3, 4]},
        "train/labels": {"offset": _HEADER + 64, "shape": [3]},
        "test/features": {"offset": _HEADER + 128, "shape": [2, 4]},
        "test/labels": {"offset": _HEADER + 192, "shape": [2]},
    },
    "size": _HEADER + 2048,
    "digest": "0" * 64,
}
_ABOUT = {
    "format": FORMAT,
    "kind": "images",
    "classes": ["a", "b"],
    "image_shape": [4, 5, 3],
    "fit": "crop",
    "n_train": 8,
    "n_test": 2,
    "source": "/home/x",
    "typed": " --size 4",
    "fingerprint": "f",
    "members": [
        {"name": name, "size": 999, "sha256": "0" * 64}
        for name in ("train-rows.npy", "train-labels.npy", "test-rows.npy", "test-labels.npy", "sources.json")
    ],
}


def _a_model() -> bytes:
    weight, bias = np.ones((2, 3), np.float32), np.zeros(2, np.float32)
    return dump_model(
        Model(weight, bias, np.zeros(3), np.ones(3), ("a", "b"), "softmax", "f" * 64, 2.0, True)
    )


def _a_png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(189, dtype=np.uint8).reshape(9, 7, 3)).save(out, "PNG")
    return out.getvalue()


def _another_png() -> bytes:
    """Every filter, and a text."""
    rows = b"".join(bytes((kind % 5,)) + bytes(range(kind, kind + 21)) for kind in range(9))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return _PNG_HEADER + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _tars() -> list[bytes]:
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for name, content in ((f"{'long' * 20}/{'long' * 20}", b"x"), ("d/a.bin", bytes(range(100)))):
                entry = tarfile.TarInfo(name)
                entry.size, entry.pax_headers = len(content), {"comment": "ü"}
                archive.addfile(entry, io.BytesIO(content))
        found.append(out.getvalue())
    return found


def _an_npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _json_of(value: object) -> bytes:
    return json.dumps(value).encode()


TARGETS: dict[str, Callable[[], Target]] = {
    "idx-member": lambda: Target([idx_file(8, (3, 2, 2), bytes(12))], _member_of_idx),
    "idx": lambda: Target(
        [idx_file(8, (3, 2, 2), bytes(12)), idx_file(13, (2,), bytes(8)), idx_file(14, (1, 0, 2, 2), b"")],
        _idx,
    ),
    "cifar": lambda: Target([bytes(range(14)) * 3, bytes(14)], _cifar),
    "safetensors": lambda: Target(
        [dump({"a": np.ones((2, 2), np.float32), "b": np.empty((0, 3)), "c": np.arange(2)}, {"x": "y"})],
        _safetensors,
        _in_the_header,
    ),
    "model": lambda: Target([_a_model()], _model, _in_the_header),
    "history": lambda: Target([_HISTORY, _HISTORY * 3], _history, mutate_json),
    "record": lambda: Target([_json_of(_RECORD)], _record, mutate_json),
    "features": lambda: Target([_json_of(_FEATURE_HEADER)], _features, mutate_json),
    "description": lambda: Target([_json_of(_ABOUT)], _description, mutate_json),
    "npy": lambda: Target(
        [
            _an_npy(np.ones((3, 2))),
            _an_npy(np.arange(3)),
            _an_npy(np.array(["a"])),
            _an_npy(np.zeros(2, "f4,i2")),
        ],
        _npy,
    ),
    "png": lambda: Target([_a_png(), _another_png()], _png, _with_checksums),
    "tar": lambda: Target(_tars(), _tar),
}


def _in_the_header(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Changes of the JSON in a safetensors file, its length made to match; now and then of any byte."""
    if rng.random() < 0.3 or len(content) < 8:
        return mutate_bytes(rng, content, others)
    (length,) = struct.unpack_from("<Q", content)
    header = mutate_json(rng, content[8 : 8 + length], others)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def _with_checksums(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Changes of a PNG's rows, packed again; now and then of any byte."""
    if rng.random() < 0.5:
        return mutate_bytes(rng, content, others)
    at, found = 8, content[:8]
    while at + 12 <= len(content):
        (length,), kind = struct.unpack_from(">I", content, at), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            try:
                body = zlib.compress(mutate_bytes(rng, zlib.decompress(body), others), 1)
            except zlib.error:
                body = mutate_bytes(rng, body, others)
        found += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        at += 12 + length
    return found


__all__ = ["TARGETS", "LinclassError", "Target"]
