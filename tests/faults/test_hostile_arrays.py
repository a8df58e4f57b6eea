"""Arrays that unpickle, point elsewhere, claim everything or fill the memory: one reason, nothing is left."""

from __future__ import annotations

import bz2
import io
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from linclass_cli.data import parquet as reader

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = RNG.normal(size=(60, 5)) + np.eye(3, 5)[Y] * 6
SECONDS = 60.0
SENTINEL = "unpickled"


class Evil:
    """Whoever unpickles it makes a file in the working folder."""

    def __reduce__(self):
        return os.mkdir, (SENTINEL,)


def test_the_sentinel_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil()))
    assert Path(SENTINEL).exists()


def npy(header: dict | str, body: bytes = b"", version: int = 1) -> bytes:
    """An .npy file with any text for a header."""
    text = (header if isinstance(header, str) else repr(header)).encode("latin-1") + b"\n"
    return (
        b"\x93NUMPY"
        + bytes((version, 0))
        + struct.pack("<H" if version == 1 else "<I", len(text))
        + text
        + body
    )


def about(shape: tuple[int, ...], descr: object = "<f8", fortran: bool = False) -> dict:
    return {"descr": descr, "fortran_order": fortran, "shape": shape}


ROWS = npy(about((60, 5)), X.tobytes())
LABELS = npy(about((60,), "<i8"), Y.tobytes())


def npz(members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def refuse(linclass, path: str, *options: str, words: str = "", code: int = 3) -> None:
    began = time.monotonic()
    result = linclass("import", path, "--name", "emb", *options)
    assert words in result.error
    assert result.code == code, result.error
    assert result.error.isprintable()
    assert len(result.error) < 1700
    assert time.monotonic() - began < SECONDS
    assert not Path(SENTINEL).exists()
    assert not list(Path("cache").rglob("*emb*"))


HEADERS = {
    "brackets": "(" * 4900 + ")" * 4900,
    "signs": "-" * 9000 + "1",
    "sums": "1+" * 4000 + "1",
    "lists": "[" * 90 + "]" * 90,
    "a call": "__import__('os').mkdir('unpickled')",
    "open": "{",
    "nothing": "",
    "digits": about((int("9" * 4000),)),
    "negative": about((-60, -5)),
    "fractions": "{'descr': '<f8', 'fortran_order': False, 'shape': (60.0, 5.0)}",
    "dimensions": about((1,) * 1500),
    "overflow": about((2**32, 2**32, 2**32)),
    "none of huge": about((0, 10**30)),
    "huge items": about((60,), "|V2147483647"),
    "empty items": about((10**13,), "|S0"),
    "arrays in arrays": about((60,), ("<f8", (1000, 1000))),
    "dates": about((60, 5), "<M8[s]"),
    "complex": about((60, 5), "<c8"),
    "objects": about((60, 5), "|O"),
    "objects within": about((60,), [("a", [("b", "|O")])]),
    "too long": " " * 20_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(linclass, name):
    content = npy(HEADERS[name], pickle.dumps(Evil()) + bytes(2400))
    Path("a.npz").write_bytes(npz({"X": content, "y": LABELS}))
    refuse(linclass, "a.npz")
    Path("a.npz").write_bytes(npz({"X": ROWS, "y": content}))
    refuse(linclass, "a.npz")
    Path("a.npy").write_bytes(content)
    Path("y.npy").write_bytes(LABELS)
    refuse(linclass, "a.npy", "--labels", "y.npy")
    Path("X.npy").write_bytes(ROWS)
    refuse(linclass, "X.npy", "--labels", "a.npy")


def test_numbers_of_python_2_give_no_warning(linclass):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (60L, 5L), }"
    Path("a.npy").write_bytes(npy(header, X.tobytes()))
    Path("y.npy").write_bytes(LABELS)
    result = linclass("import", "a.npy", "--labels", "y.npy", "--name", "emb")
    assert result.code == 0, result.err
    assert "arning" not in result.err


def zeros(size: int, header: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An .npz whose X is ``header`` and so many zeros, and whose y is in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        with archive.open("X.npy", "w") as file:
            file.write(header)
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
        archive.writestr("y.npy", LABELS)
    return out.getvalue()


BIG = 8 << 20
ZIPS = {
    "rows without labels": (zeros(BIG, npy(about((BIG // 40, 5)))), "60 labels for"),
    "an endless header": (zeros(BIG, b"\x93NUMPY\2\0" + struct.pack("<I", BIG)), "its header is longer"),
    "bzip2": (zeros(BIG, npy(about((60, BIG // 480))), zipfile.ZIP_BZIP2), "packed in a way"),
    "lzma": (zeros(1 << 20, npy(about((60, 2000))), zipfile.ZIP_LZMA), "packed in a way"),
    "texts": (npz({"X": ROWS, "y": npy(about((60,), "|S100000"), bytes(6_000_000))}), "are no labels"),
    "pickles": (npz({"X": npy(about((60,), "|O"), pickle.dumps(Evil())), "y": LABELS}), "Python objects"),
    "labels": (npz({"X": ROWS, "y": npy(about((60,), "|O"), pickle.dumps(Evil()))}), "Python objects"),
    "a pickle": (pickle.dumps(Evil()), "cannot be read as .npz"),
    "no rows": (npz({"X": npy(about((0, 5))), "y": npy(about((0,), "<i8"))}), "found no rows"),
    "dates for labels": (npz({"X": ROWS, "y": npy(about((60,), "<M8[s]"), Y.tobytes())}), "not datetime64"),
    "a million classes": (
        npz({"X": npy(about((1_000_000, 1), "|i1"), bytes(1_000_000)),
             "y": npy(about((1_000_000,), "<i4"), np.arange(1_000_000, dtype="<i4").tobytes())}),
        "1,000,000 different labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
def test_zips(linclass, name):
    content, words = ZIPS[name]
    Path("a.npz").write_bytes(content)
    refuse(linclass, "a.npz", words=words)


def test_a_zip_that_lies_about_sizes(linclass):
    content = bytearray(npz({"X": ROWS[:-400], "y": LABELS}))
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<I", 1 << 30)  # unpacked, in the directory
    Path("a.npz").write_bytes(content)
    refuse(linclass, "a.npz", words="ends within row 50")
    content = bytearray(npz({"X": ROWS, "y": LABELS}))
    content[6], content[content.index(b"PK\1\2") + 8] = 1, 1  # encrypted
    Path("a.npz").write_bytes(content)
    refuse(linclass, "a.npz", words="encrypted")


def test_members_that_are_there_twice_or_called_anything(linclass):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../../escaped.npy", ROWS)
        archive.writestr("\x1b[2J/y.npy", LABELS)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("\x1b[2J/y.npy", LABELS)
    Path("a.npz").write_bytes(out.getvalue())
    assert linclass("import", "a.npz", "--name", "emb").code == 0
    assert not list(Path().resolve().parent.glob("escaped*"))


def test_npy_files_that_are_none(linclass):
    Path("y.npy").write_bytes(LABELS)
    for content in (pickle.dumps(Evil()), npz({"X": ROWS}), bz2.compress(ROWS)):
        Path("a.npy").write_bytes(content)
        refuse(linclass, "a.npy", "--labels", "y.npy", words="cannot be read as .npy")


def hdf5(**more) -> h5py.File:
    return h5py.File("a.h5", "w", **more)


def never_written(file):
    file.create_dataset("X", (10**9, 30), "f4", chunks=(1000, 30), compression="gzip")
    file.create_dataset("y", (10**9,), "i8", chunks=(100_000,), compression="gzip")


def labels_never_written(file):
    file["X"] = X
    file.create_dataset("y", (10**10,), "i1", chunks=(1000,))


def a_huge_chunk(file):
    rows = file.create_dataset("X", (60, 1 << 23), "f4", chunks=(60, 1 << 23), compression="gzip")
    rows.id.write_direct_chunk((0, 0), b"x" * (4 << 20))
    file["y"] = Y


def groups_in_themselves(file):
    group = file.create_group("g")
    for number in range(300):
        group[f"to itself {number}"] = group


def long_texts(file):
    file["X"] = X
    file["y"] = np.array(["x" * 100_000] * 60, object)


def bytes_of_another_file(file):
    file.create_dataset("X", (10, 5), "u1", external=[("/etc/passwd", 0, 50)])
    file["y"] = Y[:10]


def labels_of_another_file(file):
    file["X"] = X[:10]
    file.create_dataset("y", (10,), "S5", external=[("/etc/passwd", 0, 50)])


def links_that_lead_away(file):
    file["X"] = h5py.SoftLink("/nowhere")
    file["y"] = h5py.SoftLink("/y")
    file["z"] = h5py.ExternalLink("/etc/passwd", "/")
    file["w"] = h5py.ExternalLink("a.h5", "/X")


def references(file):
    file["X"] = X
    file.create_dataset("y", (60,), h5py.ref_dtype)


def arrays_of_all_lengths(file):
    file["X"] = X
    file.create_dataset("y", (60,), h5py.vlen_dtype(np.int32))[0] = [1, 2]


def records(file):
    file["X"] = X
    file["y"] = np.zeros(60, [("a", "f4"), ("b", "i4")])


def pickled_bytes(file):
    file["X"] = X
    file["y"] = np.array([np.void(pickle.dumps(Evil()))] * 60)


def nothing(file):
    file["X"] = h5py.Empty("f4")
    file["y"] = Y


def a_filter_that_is_not_there(file):
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((60, 5))
    how.set_filter(32004, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple((60, 5))
    rows = h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F64LE, space, how)
    rows.write_direct_chunk((0, 0), b"a" * 100, 0)
    file["y"] = Y


HDF5 = {
    never_written: "most of it was never written",
    labels_never_written: "most of it was never written",
    a_huge_chunk: "chunks of 2,013,265,920 bytes",
    groups_in_themselves: "expected rows and labels",
    long_texts: "over 4,096 characters",
    bytes_of_another_file: "lie in other files",
    labels_of_another_file: "lie in other files",
    links_that_lead_away: "expected rows and labels",
    references: "neither numbers nor texts",
    arrays_of_all_lengths: "neither numbers nor texts",
    records: "labels are whole numbers or texts",
    pickled_bytes: "labels are whole numbers or texts",
    nothing: "60 labels for 0 rows",
    a_filter_that_is_not_there: "cannot be read as HDF5",
}


@pytest.mark.parametrize("make", HDF5, ids=lambda make: make.__name__)
def test_hdf5(linclass, make):
    with hdf5() as file:
        make(file)
    refuse(linclass, "a.h5", words=HDF5[make])


def test_hdf5_in_a_few_chunks_is_read(linclass):
    with hdf5() as file:
        file.create_dataset("X", data=X, chunks=(7, 2), compression="gzip")
        file.create_dataset("y", data=[f"class {label}" for label in Y], chunks=(11,))
    assert linclass("import", "a.h5", "--name", "emb", "--json").json["classes"] == [
        "class 0",
        "class 1",
        "class 2",
    ]


EXTENSION = {
    b"ARROW:extension:name": b"arrow.py_extension_type",
    b"ARROW:extension:metadata": pickle.dumps(Evil()),
}
LISTS = pa.list_(pa.float64())
PARQUET = {
    "long texts": (pa.array(X.tolist()), pa.array(["x" * 10_000] * 60), "over 4,096 characters"),
    "empty lists": (pa.array([[]] * 60, LISTS), pa.array(Y), "expected vectors"),
    "no rows": (pa.array([], LISTS), pa.array([], pa.int64()), "found no rows"),
    "no label": (pa.array(X.tolist()), pa.array([None, *Y[1:].tolist()]), "row 0 has no label"),
    "structs": (pa.array(X.tolist()), pa.array([{"a": 1}] * 60), "labels are whole numbers or texts"),
    "fractions": (pa.array(X.tolist()), pa.array(X[:, 0]), "labels are whole numbers or texts"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_parquet(linclass, name):
    rows, labels, words = PARQUET[name]
    parquet.write_table(pa.table({"emb": rows, "label": labels}), "a.parquet")
    refuse(linclass, "a.parquet", words=words)


def test_parquet_with_more_numbers_in_a_row_than_a_vector_may_have(linclass, monkeypatch):
    monkeypatch.setattr(reader, "MOST_VALUES", 4)
    parquet.write_table(pa.table({"emb": X.tolist(), "label": Y}), "a.parquet")
    refuse(linclass, "a.parquet", words="more than 4 numbers in a row")


def test_parquet_with_pickled_types_is_not_unpickled(linclass):
    fields = [pa.field("emb", LISTS, metadata=EXTENSION), pa.field("label", pa.int64(), metadata=EXTENSION)]
    table = pa.Table.from_arrays([pa.array(X.tolist()), pa.array(Y)], schema=pa.schema(fields))
    parquet.write_table(table, "a.parquet")
    result = linclass("import", "a.parquet", "--name", "emb")
    # Newer versions of pyarrow read what is in it without its type, older ones refuse it.
    assert result.code == 0 or (result.code == 3 and "pickle-based deserialization" in result.error)
    assert not Path(SENTINEL).exists()


@pytest.mark.parametrize("cut", [1, 4, 8, 50, 300])
def test_parquet_cut_off(linclass, cut):
    parquet.write_table(pa.table({"emb": X.tolist(), "label": Y}), "a.parquet")
    Path("a.parquet").write_bytes(Path("a.parquet").read_bytes()[:-cut])
    refuse(linclass, "a.parquet", words="cannot be read as Parquet")


def test_idx_files_that_claim_too_much(linclass):
    for name, content in {
        "a-idx3-ubyte": b"\0\0\x08\3" + b"\xff" * 12,
        "a-idx2-ubyte": b"\0\0\x0e\2" + b"\x7f\xff\xff\xff\x01\0\0\0",
    }.items():
        Path(name).write_bytes(content)
        refuse(linclass, name, words="it claims to be")


def test_what_is_no_file_is_not_waited_for(linclass):
    Path("X.npy").write_bytes(ROWS)
    Path("arrays").mkdir()
    for fifo in ("arrays/X.npy", "y.npy", "y.txt", "y-idx1-ubyte", "a.csv", "a.npz", "a.h5", "a.parquet"):
        os.mkfifo(fifo)
    for path in ("arrays", "y.npy", "a.csv", "a.npz", "a.h5", "a.parquet", "/dev/zero"):
        refuse(linclass, path, words="no regular file")
    for labels in ("y.npy", "y.txt", "y-idx1-ubyte", "/dev/zero"):
        refuse(linclass, "X.npy", "--labels", labels, words="no regular file")


@pytest.fixture
def run(linclass):
    np.savez("a.npz", X=X, y=Y)
    linclass("import", "a.npz", "--name", "emb")
    linclass("train", "--data", "emb", "--name", "run")
    return linclass


def test_predictions_of_hostile_vectors(run):
    os.mkfifo("fifo.npy")
    Path("pickle.npy").write_bytes(pickle.dumps(Evil()))
    Path("objects.npy").write_bytes(npy(about((60, 5), "|O"), pickle.dumps(Evil())))
    Path("signs.npy").write_bytes(npy(HEADERS["signs"]))
    Path("bomb.npz").write_bytes(zeros(1 << 20, npy(about((10**9, 5)))))
    Path("bz.npz").write_bytes(npz({"X": ROWS}, zipfile.ZIP_BZIP2))
    Path("huge.npy").write_bytes(npy(about((10**12, 5))))
    np.save("complex.npy", X + 0j)
    names = [
        "fifo.npy",
        "pickle.npy",
        "objects.npy",
        "signs.npy",
        "bomb.npz",
        "bz.npz",
        "huge.npy",
        "complex.npy",
    ]
    result = run("predict", "run", *names, "/dev/zero", "--json")
    assert result.code == 3
    told = [json.loads(line) for line in result.out.splitlines()]
    assert [one["path"] for one in told] == [*names, "/dev/zero"]
    assert all(set(one) == {"path", "error"} for one in told)
    assert not Path(SENTINEL).exists()


def test_rows_that_are_not_finite_are_told_one_by_one(run):
    rows = np.stack([X[0], np.full(5, np.nan), X[1], np.full(5, 1e300), np.full(5, -np.inf)])
    np.save("v.npy", rows)
    result = run("predict", "run", "v.npy", "--json")
    told = [json.loads(line) for line in result.out.splitlines()]
    assert [one["path"] for one in told] == [f"v.npy[{i}]" for i in range(5)]
    assert ["error" in one for one in told] == [False, True, False, True, True]
    assert result.code == 3


@pytest.mark.parametrize("labels", [["--5", "-", "3"], [2**63 - 1, -(2**63), 0], [1e15, -1e15, 0.0]])
def test_labels_at_the_edge(linclass, labels):
    np.savez("a.npz", X=X, y=np.array(labels)[Y])
    assert len(linclass("import", "a.npz", "--name", "emb", "--json").json["classes"]) == 3
    assert linclass("train", "--data", "emb", "--loss", "ridge").code == 0


@pytest.mark.parametrize("kind", ["<f2", ">f4", ">f8", "longdouble", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_kinds_and_orders(linclass, kind, order):
    rows = np.asarray(np.round(X), kind, order=order)
    np.savez("a.npz", X=rows, y=Y.astype(">u2"))
    assert linclass("import", "a.npz", "--name", "emb", "--json").json["d"] == 5


@pytest.mark.parametrize("scale", [1e-40, 1e-44, 1e37])
def test_vectors_that_float32_hardly_holds(linclass, scale):
    np.savez("a.npz", X=np.column_stack([X * scale, X[:, 0]]), y=Y)
    linclass("import", "a.npz", "--name", "emb")
    trained = linclass("train", "--data", "emb", "--json").json
    assert 0 <= trained["test_accuracy"] <= 1
    assert trained["objective"] < 2
