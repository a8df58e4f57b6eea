"""Vectors and images in arrays: .npz, .npy, HDF5, Parquet and idx become datasets; hostile ones do not."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from linclass_cli.data.imported import load_imported
from linclass_cli.data.readers import load_dataset

RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = RNG.normal(size=(60, 5)) + np.eye(3, 5)[Y] * 6


def vectors() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return load_imported("emb", Path("cache"))[1]


def check_all_rows(rows: np.ndarray = X, labels: np.ndarray = Y) -> None:
    """Every row is there once, as float32, with its label."""
    parts = vectors()
    found = {row.tobytes(): label for X, y in parts.values() for row, label in zip(X, y, strict=True)}
    wanted = {row.tobytes(): label for row, label in zip(rows.astype(np.float32), labels, strict=True)}
    assert found == wanted


def run(linclass, path: str, *options: str):
    return linclass("import", path, "--name", "emb", "--json", *options)


def write_hdf5(path: str, **arrays) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name.replace("__", "/")] = values


def write_idx(path: str, array: np.ndarray) -> None:
    kind = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    head = bytes((0, 0, kind, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    content = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    Path(path).write_bytes(gzip.compress(content) if path.endswith(".gz") else content)


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", ">f8", "i8", "u1", "bool"])
def test_every_kind_of_number(linclass, kind):
    rows = X > 1 if kind == "bool" else (abs(X) * 10).astype(kind)
    rows = np.unique(rows, axis=0)
    np.savez("a.npz", X=rows, y=Y[: len(rows)])
    made = run(linclass, "a.npz").json
    assert (made["kind"], made["image_shape"], made["d"]) == ("vectors", None, 5)
    assert made["n_train"] + made["n_test"] == len(rows)
    check_all_rows(rows, Y[: len(rows)])


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ä", "b", "c"])[Y],
        np.array([b"x", b"y", b"z"])[Y],
        Y.astype("u1")[:, None],
        Y.astype("f8"),
        Y - 1,
        np.array([10, 9, 8])[Y],
    ],
)
def test_every_kind_of_label(linclass, labels):
    np.savez("a.npz", embeddings=X, labels=labels)
    names = run(linclass, "a.npz").json["classes"]
    texts = [str(one.decode() if isinstance(one, bytes) else one) for one in np.unique(labels).tolist()]
    assert names == [text.replace(".0", "") for text in texts]


def test_train_and_cv_on_vectors(linclass):
    np.savez_compressed("a.npz", x_train=X[:40], y_train=Y[:40], x_test=X[40:], y_test=Y[40:])
    made = run(linclass, "a.npz").json
    assert (made["n_train"], made["n_test"]) == (40, 20)
    assert np.array_equal(vectors()["test"][0], X[40:].astype(np.float32))
    extracted = linclass("extract", "--data", "emb", "--json").json
    assert (extracted["feature"], extracted["d"], extracted["n_test"]) == ("vectors", 5, 20)
    assert linclass("train", "--data", "emb", "--feature", "vectors", "--json").json["test_accuracy"] > 0.9
    assert (
        linclass("cv", "--data", "emb", "--folds", "2", "--l2", "0.1", "--json").json["test_accuracy"] > 0.9
    )
    record = json.loads(Path("cache/runs/run1/run.json").read_text())
    assert record["config"]["feature"] == {"name": "vectors", "store_dtype": "float32"}
    for command in (["train", "--data", "emb"], ["evaluate", "run1"], ["evaluate", "run1", "run2"]):
        shown = linclass(*command).out
        assert ("20 vectors)" in shown or "20 test vectors of emb" in shown, "images" in shown) == (
            True,
            False,
        )
    for feature in ("hog", "hog+hue"):
        refused = linclass("train", "--data", "emb", "--feature", feature)
        assert (refused.code, "--feature vectors" in refused.error) == (3, True)
    for option in (("--augment", "flip"), ("--orientations", "12")):
        refused = linclass("train", "--data", "emb", *option)
        assert f"{option[0]}: emb holds vectors, and vectors has no" in refused.error
        assert refused.code == 3
    assert linclass("extract", "--data", "emb", "--store-dtype", "float16").code == 0
    refused = linclass("train", "--data", "textures", "--feature", "vectors")
    assert (refused.code, "textures holds images" in refused.error) == (3, True)
    np.save("v.npy", X[40:])
    lines = linclass("predict", "run1", "v.npy", "--json").out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == [f"v.npy[{i}]" for i in range(20)]
    classes = made["classes"]
    right = [json.loads(line)["label"] == classes[y] for line, y in zip(lines, Y[40:], strict=True)]
    assert np.mean(right) > 0.9
    refused = linclass("predict", "run1", "a.npz")
    assert (refused.code, "call the vectors X" in refused.err) == (3, True)
    exported = linclass("export", "run1", "--json")
    assert (exported.json["files"], exported.err) == (["run1.onnx"], "")
    shown = linclass("config", "show", "--json").json
    assert shown["feature.name"]["value"] == "hog"


def test_npy_with_labels_and_a_folder_of_npy(linclass):
    np.save("X.npy", np.asfortranarray(X))
    np.save("y.npy", Y)
    assert run(linclass, "X.npy", "--labels", "y.npy").json["n_train"] == 48
    check_all_rows()
    Path("y.txt").write_text("label\n" + "".join(f"class {label}\n" for label in Y))
    made = run(linclass, "X.npy", "--labels", "y.txt", "--force").json
    assert made["classes"] == ["class 0", "class 1", "class 2"]
    Path("arrays").mkdir()
    for name, array in {"X_train": X[:40], "y_train": Y[:40], "Xtest": X[40:], "ytest": Y[40:]}.items():
        np.save(f"arrays/{name}.npy", array)
    assert run(linclass, "arrays", "--force").json["n_test"] == 20
    refused = run(linclass, "X.npy")
    assert (refused.code, "--labels FILE" in refused.error) == (3, True)


def test_npz_of_all_orders_and_with_names(linclass):
    split = np.where(np.arange(60) < 45, "train", "test")
    np.savez("a.npz", data=np.asfortranarray(X), target=Y, class_names=["x", "y", "z"], split=split, other=3)
    made = run(linclass, "a.npz").json
    assert (made["classes"], made["n_test"]) == (["x", "y", "z"], 15)
    assert np.array_equal(vectors()["train"][0], X[:45].astype(np.float32))
    np.savez("b.npz", one=X, two=Y)
    assert run(linclass, "b.npz", "--force").code == 0
    np.savez("c.npz", one=X, two=Y, three=X[:, :2], four=Y * 2)
    refused = run(linclass, "c.npz", "--force")
    assert (refused.code, "--rows-key" in refused.error) == (3, True)
    keyed = run(linclass, "c.npz", "--rows-key", "three", "--labels-key", "four", "--force").json
    assert (keyed["d"], keyed["classes"]) == (2, ["0", "2", "4"])


def test_hdf5(linclass):
    write_hdf5(
        "a.h5", train__features=X[:40], train__labels=Y[:40], test__features=X[40:], test__labels=Y[40:]
    )
    assert run(linclass, "a.h5").json["n_test"] == 20
    write_hdf5("b.hdf5", embeddings=X, labels=[f"Ä{label}" for label in Y])
    assert run(linclass, "b.hdf5", "--force").json["classes"] == ["Ä0", "Ä1", "Ä2"]
    linclass("extract", "--data", "textures", "--feature", "pixels")
    (own,) = Path("cache/features").glob("textures*")
    assert run(linclass, str(own), "--force").json["d"] == 1024  # the store's own files are read, too


def test_parquet(linclass):
    import pyarrow as pa
    from pyarrow import parquet

    text = [f"c{label}" for label in Y]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 5)
    for name, columns in {
        "list.parquet": {"embedding": X.tolist(), "label": text},
        "fixed.parquet": {"id": Y, "emb": flat, "label": pa.array(text).dictionary_encode()},
        "wide.parquet": {**{f"f{i}": X[:, i] for i in range(5)}, "id": np.arange(60), "class": Y},
    }.items():
        parquet.write_table(pa.table(columns), name, row_group_size=17)
        assert run(linclass, name, "--force").json["d"] == 5
        check_all_rows()
    short = [*X.tolist()[:-1], [1.0]]
    for rows, words in ((short, "row 59 has no list of 5"), ([*X.tolist()[:-1], None], "row 59 has no list")):
        parquet.write_table(pa.table({"x": rows, "label": text}), "bad.parquet")
        refused = run(linclass, "bad.parquet", "--force")
        assert (refused.code, words in refused.error) == (3, True), refused.error


def test_parquet_is_read_as_it_is_wanted(tmp_path):
    """Neither what has been read, nor a row group, which may be the file, is held in memory."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from linclass_cli.data.parquet import parquet_table

    n, d = 60_000, 256  # 61 MB in one row group
    rows = pa.FixedSizeListArray.from_arrays(np.random.default_rng(0).normal(size=n * d).astype("f4"), d)
    table = pa.table({"x": rows, "label": np.arange(n) % 3})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=n, use_dictionary=False)
    del rows, table
    before, held, done = pa.total_allocated_bytes(), [], 0
    for block in parquet_table(tmp_path / "a.parquet", None, None).rows.blocks():
        held.append(pa.total_allocated_bytes() - before)
        done += len(block)
    assert done == n
    assert max(held) < 30e6


def test_parquet_without_pyarrow(linclass, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    Path("a.parquet").write_bytes(b"PAR1")
    refused = run(linclass, "a.parquet")
    assert (refused.code, "pip install 'linclass[parquet]'" in refused.error) == (4, True)


def test_idx(linclass):
    images = RNG.integers(0, 256, (60, 7, 6), np.uint8)
    Path("idx").mkdir()
    write_idx("idx/train-images-idx3-ubyte.gz", images[:40])
    write_idx("idx/train-labels-idx1-ubyte", Y[:40].astype(np.uint8))
    write_idx("idx/t10k-images.idx3-ubyte", images[40:])
    write_idx("idx/t10k-labels-idx1-ubyte.gz", Y[40:].astype(np.uint8))
    made = run(linclass, "idx").json
    assert (made["image_shape"], made["n_train"], made["n_test"]) == ([7, 6, 1], 40, 20)
    assert np.array_equal(load_dataset("emb", Path("cache")).test.images[..., 0], images[40:])
    options = ("--labels", "idx/train-labels-idx1-ubyte", "--force")
    assert run(linclass, "idx/train-images-idx3-ubyte.gz", *options).json["n_train"] == 31
    write_idx("v.idx2-ubyte", X.astype("f4"))
    write_idx("y.idx1-ubyte", Y.astype("i4"))
    assert run(linclass, "v.idx2-ubyte", "--labels", "y.idx1-ubyte", "--force").json["d"] == 5


def test_images_in_arrays(linclass):
    images = RNG.integers(0, 256, (60, 8, 10, 3), np.uint8)
    np.savez(
        "a.npz",
        train_images=images[:40],
        train_labels=Y[:40, None],
        test_images=images[40:],
        test_labels=Y[40:],
    )
    assert run(linclass, "a.npz").json["image_shape"] == [8, 10, 3]
    assert np.array_equal(load_dataset("emb", Path("cache")).train.images, images[:40])
    np.savez("b.npz", x=np.moveaxis(images, 3, 1), y=Y)
    assert run(linclass, "b.npz", "--force").json["image_shape"] == [8, 10, 3]
    assert run(linclass, "b.npz", "--size", "5", "--color", "grey", "--force").json["image_shape"] == [
        5,
        5,
        1,
    ]
    np.savez("c.npz", x=images.astype(np.float32), y=Y)
    refused = run(linclass, "c.npz", "--force")
    assert (refused.code, "expected vectors" in refused.error) == (3, True)


def test_vectors_that_stand_in_both_parts(linclass):
    np.savez(
        "a.npz", x_train=X[:40], y_train=Y[:40], x_test=np.vstack([X[40:], X[7]]), y_test=np.append(Y[40:], 0)
    )
    assert run(linclass, "a.npz").json["duplicates"] == [{"train": [7], "test": [20], "classes": ["0", "1"]}]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_no_numbers_for_a_model(linclass, value):
    rows = X.copy()
    rows[17, 3] = value
    np.savez("a.npz", X=rows, y=Y)
    refused = run(linclass, "a.npz")
    assert refused.code == 3
    assert f"row 17, column 3 is {value}" in refused.error
    assert not list(Path("cache").rglob("*emb*"))


def npz(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def npy(array: np.ndarray, claim: tuple[int, ...] | None = None, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    content = out.getvalue()
    if claim is None:
        return content
    start = content.index(b"\n") + 1
    head = io.BytesIO()
    about = {"descr": array.dtype.str, "fortran_order": False, "shape": claim}
    np.lib.format.write_array_header_1_0(head, about)
    return head.getvalue() + content[start:]


HUGE = (10**12, 5)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npz", b"PK hello", "cannot be read as .npz"),
        ("a.npz", npz(X=npy(X, HUGE), y=npy(Y)), "it claims to be float64 (1000000000000, 5)"),
        ("a.npz", npz(X=npy(X, (10**12, 5)), y=npy(Y, (10**12,))), "it claims to be"),
        ("a.npz", npz(X=npy(X, (60, 10**12)), y=npy(Y)), "it claims to be"),
        ("a.npz", npz(X=npy(X, (60, 4)), y=npy(Y)), "it goes on behind"),
        ("a.npz", npz(X=npy(X, (60, 6)), y=npy(Y)), "it claims to be"),
        ("a.npz", npz(X=npy(np.array([{}, 2]), pickled=True), y=npy(Y)), "Python objects"),
        ("a.npz", npz(X=npy(X), y=npy(Y[:50])), "50 labels for 60 rows"),
        ("a.npz", npz(X=npy(X), y=npy(Y + 0.5)), "row 0 has 0.5"),
        ("a.npz", npz(X=npy(X), y=npy(np.eye(3)[Y])), "one label a row"),
        ("a.npz", npz(X=npy(X), y=npy(np.zeros(60, int))), "two classes or more"),
        ("a.npz", npz(X=npy(X[:0]), y=npy(Y[:0])), "found no rows"),
        ("a.npz", npz(X=npy(X.astype(complex)), y=npy(Y)), "expected vectors"),
        ("a.npz", npz(X=npy(X), x=npy(X), y=npy(Y)), "both X and x may be the rows"),
        ("a.npz", npz(x_train=npy(X), y_train=npy(Y), x_test=npy(X[:, :4]), y_test=npy(Y)), "another shape"),
        (
            "a.npz",
            npz(x_train=npy(X), y_train=npy(Y), x_test=npy(X), y_test=npy(Y + 7)),
            "in the test part and not",
        ),
        ("a.npy", b"\x93NUMPY", "cannot be read as .npy"),
        ("a.npy", npy(np.array([{}, 2]), pickled=True), "Python objects"),
        ("a.npy", npy(X, HUGE), "it claims to be"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "cannot be read as HDF5"),
        ("a-idx3-ubyte", b"\0\0\x08\x03\0\0", "ends early"),
        ("a-idx3-ubyte", b"hello", "expected an idx file"),
        ("a-idx3-ubyte.gz", gzip.compress(b"\0\0\x08\x01", mtime=0)[:15], "cannot be read as an idx file"),
        ("a.bin", b"hello", "of no kind that can be imported"),
    ],
)
def test_hostile_arrays(linclass, name, content, words):
    Path(name).write_bytes(content)
    refused = run(linclass, name)
    assert words in refused.error
    assert refused.code == 3
    assert not list(Path("cache").rglob("*emb*"))


def test_hdf5_that_points_elsewhere(linclass):
    write_hdf5("other.h5", X=X, y=Y)
    with h5py.File("a.h5", "w") as file:
        file["X"] = h5py.ExternalLink("other.h5", "X")
        file["y"] = Y
    assert "expected rows and labels" in run(linclass, "a.h5").error
    layout = h5py.VirtualLayout(X.shape, X.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "X", X.shape)
    with h5py.File("b.h5", "w") as file:
        file.create_virtual_dataset("X", layout)
        file["y"] = Y
    assert "other files" in run(linclass, "b.h5").error
    with h5py.File("c.h5", "w") as file:
        file.create_dataset("X", X.shape, X.dtype, external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
        file["y"] = Y
    assert "other files" in run(linclass, "c.h5").error
