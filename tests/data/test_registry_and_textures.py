"""The registry's own arithmetic, and the facts of the embedded dataset."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from linclass_cli.data import embedded
from linclass_cli.data.manifest import describe_dataset
from linclass_cli.data.readers import load_dataset
from linclass_cli.data.registry import DATASETS, dataset_digest
from linclass_cli.errors import IntegrityError, MissingError


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"textures"}))
def test_every_entry_adds_up(name):
    spec = DATASETS[name]
    h, w, c = spec.image_shape
    sizes = {member.name: member.size for member in spec.members}
    assert set(spec.train + spec.test) == set(sizes)
    for part, n in ((spec.train, spec.n_train), (spec.test, spec.n_test)):
        if spec.form == "cifar":
            assert sum(sizes[m] for m in part) == n * (spec.label_bytes + h * w * c)
        else:
            assert [sizes[m] for m in part] == [16 + n * h * w, 8 + n]
    hashes = [thing.sha256 for thing in (*spec.archives, *spec.members)]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in hashes)
    assert len(set(hashes)) == len(hashes)
    assert len(set(spec.classes)) == len(spec.classes)
    for archive in spec.archives:
        assert all(re.fullmatch(r"https?://\S+/" + re.escape(archive.name), a) for a in archive.addresses)
        assert archive.addresses


def test_numbers_of_classes():
    counts = {name: len(spec.classes) for name, spec in DATASETS.items()}
    assert counts == {"cifar10": 10, "cifar100": 100, "mnist": 10, "fashion-mnist": 10, "textures": 6}
    assert list(DATASETS["cifar100"].classes) == sorted(DATASETS["cifar100"].classes)


def test_the_digest_is_that_of_the_members():
    import hashlib

    spec = DATASETS["mnist"]
    inside = ",".join(f'"{m.name}":"{m.sha256}"' for m in sorted(spec.members, key=lambda m: m.name))
    assert dataset_digest(spec) == hashlib.sha256(f"{{{inside}}}".encode()).hexdigest()


@pytest.fixture(scope="module")
def textures(tmp_path_factory):
    return load_dataset("textures", tmp_path_factory.mktemp("none"))


def test_textures_are_enough_and_balanced(textures):
    spec = DATASETS["textures"]
    assert textures.train.images.shape == (spec.n_train, 32, 32, 1)
    assert textures.test.images.shape == (spec.n_test, 32, 32, 1)
    assert spec.n_train >= 1000
    assert spec.n_test >= 300
    assert textures.train.images.dtype == np.uint8
    assert textures.train.images.flags.c_contiguous
    assert np.bincount(textures.train.labels).tolist() == [300] * 6
    assert np.bincount(textures.test.labels, minlength=6).min() >= 25
    assert textures.classes == spec.classes


def test_no_pixel_of_a_picture_is_in_both_parts():
    for name in DATASETS["textures"].classes:
        picture = embedded.read_picture(name)
        train_rows, test_rows = embedded.bands(picture.shape[0], embedded._TRAIN_ROWS[name])
        seen = np.zeros((2, *picture.shape), dtype=int)
        for part, (rows, stride) in enumerate(((train_rows, embedded.STRIDE), (test_rows, embedded.SIDE))):
            for y, x in embedded.corners(rows, picture.shape[1], stride):
                patch = seen[part, y : y + 32, x : x + 32]
                assert patch.shape == (32, 32)
                patch += 1
        assert not ((seen[0] > 0) & (seen[1] > 0)).any()
        assert seen[1].max() == 1
        assert seen[0].max() > 1


def test_patches_are_where_the_bands_say(textures):
    picture = embedded.read_picture("brick")
    np.testing.assert_array_equal(textures.train.images[0, :, :, 0], picture[:32, :32])
    np.testing.assert_array_equal(textures.test.images[0, :, :, 0], picture[96:128, :32])


def test_the_digest_notices_other_pictures(monkeypatch, textures):
    assert describe_dataset("textures", None).digest == textures.digest
    parts = [(split.images.copy(), split.labels.copy()) for split in (textures.train, textures.test)]
    assert embedded.patches_digest(*parts) == textures.digest
    parts[1][0][5, 3, 3, 0] ^= 1
    assert embedded.patches_digest(*parts) != textures.digest
    parts[1][0][5, 3, 3, 0] ^= 1
    parts[0][1][0] = 1
    assert embedded.patches_digest(*parts) != textures.digest

    read = embedded.read_picture
    monkeypatch.setattr(embedded, "read_picture", lambda name: read(name)[::-1])
    with pytest.raises(IntegrityError, match="other pictures than expected"):
        embedded.cut_textures()


def test_pictures_that_are_missing_or_damaged(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "pictures_folder", lambda: tmp_path)
    with pytest.raises(MissingError, match=r"brick\.png"):
        embedded.read_picture("brick")
    (tmp_path / "brick.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(IntegrityError, match=r"brick\.png is damaged"):
        embedded.read_picture("brick")


def test_a_linear_model_on_hog_is_neither_perfect_nor_lost(textures):
    hog = pytest.importorskip("skimage.feature").hog
    linear_model = pytest.importorskip("sklearn.linear_model")
    train = np.array([hog(image[..., 0]) for image in textures.train.images[::3]])
    test = np.array([hog(image[..., 0]) for image in textures.test.images])
    mean, std = train.mean(axis=0), train.std(axis=0)
    model = linear_model.RidgeClassifier(alpha=100).fit((train - mean) / std, textures.train.labels[::3])
    accuracy = model.score((test - mean) / std, textures.test.labels)
    assert 0.65 < accuracy < 0.95


def test_textures_do_not_import_scikit_image():
    import subprocess

    code = (
        "import sys\nfrom pathlib import Path\nfrom linclass_cli.data.readers import load_dataset\n"
        "load_dataset('textures', Path('x'))\nassert not {'skimage', 'pooch', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
