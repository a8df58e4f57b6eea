"""Arrays out of members: shapes, orders, and headers that lie."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from linclass_cli.data.fetch import download
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.data.readers import check_labels, cifar_records, load_dataset, read_idx, take_cifar
from linclass_cli.data.registry import DATASETS, dataset_digest
from linclass_cli.errors import IntegrityError, MissingError

from .conftest import IDX_MEMBERS, MEMBERS, TEST, TRAIN, idx, make_tar, register_digits


@pytest.fixture
def tiny_cache(tmp_path, tiny):
    (tmp_path / "a.tar").write_bytes(make_tar(list(MEMBERS.items())))
    download("tiny", tmp_path, str(tmp_path / "a.tar"))
    return tmp_path


def naive_cifar(content: bytes, side: int, label_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    record = label_bytes + 3 * side * side
    n = len(content) // record
    images = np.zeros((n, side, side, 3), dtype=np.uint8)
    labels = np.zeros(n, dtype=np.int64)
    for i in range(n):
        labels[i] = content[i * record + label_bytes - 1]
        for c in range(3):
            for y in range(side):
                for x in range(side):
                    images[i, y, x, c] = content[i * record + label_bytes + (c * side + y) * side + x]
    return images, labels


def test_load_dataset(tiny_cache):
    data = load_dataset("tiny", tiny_cache)
    images, labels = naive_cifar(TRAIN[0] + TRAIN[1], 2, 1)
    np.testing.assert_array_equal(data.train.images, images)
    np.testing.assert_array_equal(data.train.labels, labels)
    np.testing.assert_array_equal(data.test.images, naive_cifar(TEST, 2, 1)[0])
    assert data.train.images.flags.c_contiguous
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64
    assert data.digest == dataset_digest(DATASETS["tiny"])
    assert data.classes == ("x", "y", "z")


def test_two_label_bytes_use_the_second():
    content = b"".join(bytes([9, k]) + bytes(range(12)) for k in (2, 0, 1))
    images, labels = np.empty((3, 2, 2, 3), np.uint8), np.empty(3, np.int64)
    take_cifar(cifar_records(content, 14, "CIFAR file"), images, labels)
    assert labels.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(images, naive_cifar(content, 2, 2)[0])
    assert images[0, 0, 0].tolist() == [0, 4, 8]


@pytest.mark.parametrize("content", [b"", bytes(12), bytes(14), bytes(13 * 2 - 1)])
def test_records_that_are_not_whole(content):
    with pytest.raises(
        IntegrityError, match=f"expected whole records of 13 bytes, found {len(content)} bytes"
    ):
        cifar_records(content, 13, "CIFAR file")


def test_a_label_that_is_no_class():
    with pytest.raises(IntegrityError, match="expected labels below 3, found 3"):
        check_labels(np.array([0, 3]), 3, "CIFAR file")


def test_idx_images_get_one_channel(tmp_path, monkeypatch):
    register_digits(monkeypatch, "http://127.0.0.1:9")
    for name, content in IDX_MEMBERS.items():
        (tmp_path / name).write_bytes(content)
    download("digits", tmp_path / "cache", str(tmp_path))
    data = load_dataset("digits", tmp_path / "cache")
    assert data.train.images.shape == (6, 2, 3, 1)
    assert data.train.images[1, 1, :, 0].tolist() == [9, 10, 11]
    assert data.test.labels.tolist() == [1, 0]
    assert data.train.images.flags.writeable
    assert data.train.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected magic number 00000803, found none"),
        (b"\0\0\x08", "expected magic number"),
        (b"\0\0\x08\x01" + bytes(20), "found 00000801"),
        (b"\0\0\x0d\x03" + bytes(20), "found 00000d03"),
        (b"\x1f\x8b\x08\x03" + bytes(20), "found 1f8b0803"),
        (idx((2, 2, 2), bytes(8))[:10], "expected dimensions"),
        (idx((2**32 - 1, 2**32 - 1, 2**32 - 1), bytes(8)), "found .4294967295, 4294967295"),
        (idx((2, 2, 3), bytes(12)), r"expected dimensions \(2, 2, 2\), found \(2, 2, 3\)"),
        (idx((2, 2, 2), bytes(7)), "expected 8 bytes after the header, found 7"),
        (idx((2, 2, 2), bytes(9)), "expected 8 bytes after the header, found 9"),
    ],
)
def test_idx_headers_that_lie(content, message):
    with pytest.raises(IntegrityError, match=message):
        read_idx(content, (2, 2, 2))


def test_a_dataset_that_is_not_there(tmp_path, tiny):
    for ask in (load_dataset, describe_dataset):
        with pytest.raises(MissingError, match="run `linclass download tiny "):
            ask("tiny", tmp_path)
        with pytest.raises(MissingError, match="known:"):
            ask("nonesuch", tmp_path)


@pytest.mark.parametrize("damage", ["flip", "short", "gone"])
def test_a_damaged_member_is_named(tiny_cache, damage):
    path = tiny_cache / "datasets" / "tiny" / "a_2.bin"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(content)
    elif damage == "short":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    with pytest.raises(IntegrityError, match=r"a_2.bin: expected .*, found .*; run `linclass download tiny "):
        load_dataset("tiny", tiny_cache)


def test_describe_reads_only_the_manifest(tiny_cache):
    folder = tiny_cache / "datasets" / "tiny"
    for name in MEMBERS:
        (folder / name).unlink()
    info = describe_dataset("tiny", tiny_cache)
    assert (info.name, info.n_train, info.n_test, info.image_shape) == ("tiny", 4000, 1000, (2, 2, 3))
    assert info.classes == ("x", "y", "z")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"name": 3}', '{"digest": "x"}', "\ufeff\0", "[" * 9999]
)
def test_a_damaged_manifest(tiny_cache, text):
    (tiny_cache / "datasets" / "tiny" / "dataset.json").write_text(text)
    for ask in (load_dataset, describe_dataset):
        with pytest.raises(IntegrityError, match="run `linclass download tiny "):
            ask("tiny", tiny_cache)


def test_another_datasets_manifest(tiny_cache):
    path = tiny_cache / "datasets" / "tiny" / "dataset.json"
    path.write_text(path.read_text().replace(dataset_digest(DATASETS["tiny"]), "0" * 64))
    with pytest.raises(IntegrityError, match=f"expected digest .*, found {'0' * 64}"):
        describe_dataset("tiny", tiny_cache)


def test_looking_at_datasets_imports_nothing_slow():
    import subprocess

    code = (
        "import sys, linclass_cli.data.registry, linclass_cli.data.fetch\n"
        "slow = {'numpy', 'PIL', 'skimage', 'urllib.request', 'pydantic'} & set(sys.modules)\n"
        "assert slow <= {'urllib.request'}, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
