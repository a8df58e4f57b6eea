"""The user's own pictures become a dataset: folders by class, and what people have in them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linclass_cli.data.readers import load_dataset
from tests.commands.test_errors import spawn

KEYS = {
    *("dataset", "path", "n_train", "n_test", "classes", "image_shape", "cached", "seconds", "skipped"),
    *("duplicates", "d", "kind"),
}
PETS = ("import", "photos", "--name", "pets")


def picture(number: int, side: int = 16, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, channels), np.uint8)
    return pixels if channels > 1 else pixels[..., 0]


def save(path: str, pixels: np.ndarray) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def photos(root: str = "photos", n: int = 10, classes: tuple[str, ...] = ("cat", "dog"), **options) -> None:
    for code, label in enumerate(classes):
        for number in range(n):
            save(f"{root}/{label}/{number}.png", picture(1000 * code + number, **options))


def pixels_of(name: str, part: str) -> list[bytes]:
    return [image.tobytes() for image in getattr(load_dataset(name, Path("cache")), part).images]


def test_a_folder_by_class(linclass):
    photos()
    made = linclass(*PETS, "--json").json
    assert set(made) >= KEYS
    assert (made["n_train"], made["n_test"], made["classes"]) == (16, 4, ["cat", "dog"])
    assert (made["image_shape"], made["cached"], made["path"]) == ([16, 16, 3], False, "cache/datasets/pets")
    data = load_dataset("pets", Path("cache"))
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    sources = json.loads(Path("cache/datasets/pets/sources.json").read_text())
    for part, split in (("train", data.train), ("test", data.test)):
        for origin, image, label in zip(sources["files"][part], split.images, split.labels, strict=True):
            assert np.array_equal(image, np.asarray(Image.open(Path("photos") / origin)))
            assert origin.startswith(data.classes[label])
    trained = linclass("train", "--data", "pets", "--pixels-per-cell", "4", "--json").json
    assert trained["n_test"] == 4
    listed, *_ = linclass("cache", "verify", "--json").json
    assert (listed["kind"], listed["name"], listed["intact"]) == ("dataset", "pets", True)


def test_the_split_follows_the_pixels_alone(linclass):
    photos()
    linclass(*PETS)
    for number in range(10):  # other names, another order, another format
        with Image.open(f"photos/cat/{number}.png") as image:
            Path("renamed/cat").mkdir(parents=True, exist_ok=True)
            image.save(f"renamed/cat/x{9 - number}.bmp")
    shutil.copytree("photos/dog", "renamed/dog")
    linclass("import", "renamed", "--name", "again")
    assert sorted(pixels_of("pets", "test")) == sorted(pixels_of("again", "test"))
    half = linclass(*PETS, "--test-fraction", "0.5", "--force", "--json").json
    assert (half["n_train"], half["n_test"]) == (10, 10)


def test_the_same_content_is_cached_and_other_content_is_not_overwritten(linclass):
    photos()
    first = Path(linclass(*PETS, "--json").json["path"]) / "dataset.json"
    before = first.read_bytes()
    assert linclass(*PETS, "--json").json["cached"] is True
    os.utime("photos/cat/0.png", (1, 1))  # looks new, and is not
    assert linclass(*PETS, "--json").json["cached"] is True
    save("photos/cat/0.png", picture(77))
    refused = linclass(*PETS)
    assert (refused.code, "--force" in refused.error) == (3, True)
    assert first.read_bytes() == before
    assert linclass(*PETS, "--force", "--json").json["cached"] is False
    assert first.read_bytes() != before
    assert [path.name for path in Path("cache/datasets").iterdir()] == ["pets"]


def test_train_and_test_folders(linclass):
    photos("photos/train", 6)
    photos("photos/test", 3)
    save("photos/test/dog/again.png", picture(2))  # a training picture of a cat
    made = linclass(*PETS, "--json").json
    assert (made["n_train"], made["n_test"]) == (12, 7)
    pairs = {(tuple(one["train"]), tuple(one["test"]), tuple(one["classes"])) for one in made["duplicates"]}
    assert (("train/cat/2.png",), ("test/cat/2.png", "test/dog/again.png"), ("cat", "dog")) in pairs
    assert len(pairs) == 6
    assert "in both train and test: 6" in linclass(*PETS).out


def test_a_validation_folder(linclass):
    photos("photos/train", 4)
    shutil.copytree("photos/train", "photos/val")
    made = linclass(*PETS, "--json")
    assert (made.json["n_train"], made.json["n_test"]) == (8, 8)
    assert "validation part are the test part" in made.err
    shutil.copytree("photos/train", "photos/test")
    assert linclass(*PETS, "--force", "--json").json["n_train"] == 16


def test_a_class_may_be_called_train(linclass):
    photos(classes=("test", "train"))
    assert linclass(*PETS, "--json").json["classes"] == ["test", "train"]


def test_sizes_and_colours(linclass):
    photos(channels=1)
    assert linclass(*PETS, "--json").json["image_shape"] == [16, 16, 1]
    save("photos/cat/wide.png", np.zeros((20, 30, 3), np.uint8))
    for options, shape in (
        ((), [64, 64, 3]),
        (("--size", "20"), [20, 20, 3]),
        (("--size", "30x20", "--color", "grey", "--fit", "pad"), [20, 30, 1]),
    ):
        assert linclass(*PETS, *options, "--force", "--json").json["image_shape"] == shape
    assert pixels_of("pets", "train")[0] != b""


def test_unreadable_files(linclass):
    photos()
    Path("photos/cat/bad.jpg").write_bytes(b"no picture")
    Path("photos/dog/empty.png").write_bytes(b"")
    whole = Path("photos/dog/0.png").read_bytes()
    Path("photos/dog/torn.png").write_bytes(whole[: len(whole) * 2 // 3])  # only reading its pixels tells
    Path("photos/dog/note.txt").write_text("hello")
    Path("photos/dog/away.png").symlink_to("/etc/hostname")
    Path("photos/dog/lost.png").symlink_to("nowhere")
    Path("photos/dog/README").write_text("no picture, and does not say it is one")
    refused = linclass(*PETS)
    assert refused.code == 4
    assert "5 of 25 pictures cannot be read: cat/bad.jpg (" in refused.error
    assert not Path("cache/datasets/pets").exists()
    made = linclass(*PETS, "--on-bad-image", "skip", "--json").json
    reasons = {one["path"]: one["reason"] for one in made["skipped"]}
    assert set(reasons) == {"cat/bad.jpg", "dog/empty.png", "dog/away.png", "dog/lost.png", "dog/torn.png"}
    assert "leads out" in reasons["dog/away.png"]
    assert made["ignored"] == ["dog/README", "dog/note.txt"]
    assert made["n_train"] + made["n_test"] == 20
    assert linclass(*PETS, "--on-bad-image", "skip", "--json").json["skipped"] == made["skipped"]


def test_a_class_of_which_nothing_can_be_read(linclass):
    photos(classes=("cat", "dog", "emu"), n=3)
    for path in Path("photos/emu").iterdir():
        path.write_bytes(b"bad")
    refused = linclass(*PETS, "--on-bad-image", "skip")
    assert (refused.code, "no picture of class 'emu'" in refused.error) == (3, True)


def test_links_that_lead_round(linclass):
    photos("photos/train")
    Path("photos/train/cat/round").symlink_to("../../..")
    Path("photos/train/self").symlink_to("self")
    Path("photos/train/cat/self.png").symlink_to("self.png")
    Path("photos/up").symlink_to("..")
    made = linclass(*PETS, "--on-bad-image", "skip", "--json").json
    assert made["n_train"] + made["n_test"] == 20
    reasons = {one["path"]: one["reason"] for one in made["skipped"]}
    assert "not followed" in reasons["train/cat/round"]
    assert "symbolic links" in reasons["train/cat/self.png"]


def test_a_folder_that_is_no_dataset_is_left_alone(linclass):
    photos()
    Path("cache/datasets/pets").mkdir(parents=True)
    Path("cache/datasets/pets/thesis.txt").write_text("precious")
    for options in ((), ("--force",)):
        refused = linclass(*PETS, *options)
        assert (refused.code, "is no dataset" in refused.error) == (3, True)
    assert Path("cache/datasets/pets/thesis.txt").read_text() == "precious"


def test_names_of_all_kinds(linclass):
    photos(classes=("größe", "猫 und\thund", "e\u0301"))
    save("photos/größe/a\nb'\".png", picture(9))
    weird = os.fsdecode(b"photos/caf\xe9")
    Path(weird).mkdir()
    for number in range(3):
        shutil.copy("photos/größe/a\nb'\".png", f"{weird}/{number}.png")
        save("photos/new.png", picture(50 + number))
        shutil.move("photos/new.png", Path(weird) / f"x{number}.png")
    made = linclass(*PETS, "--json").json
    assert made["classes"] == ["caf\\xe9", "größe", "é", "猫 und\\thund"]
    assert linclass("train", "--data", "pets", "--feature", "pixels").code == 0


def test_the_folder_that_one_stands_in(linclass, monkeypatch):
    photos()
    monkeypatch.chdir("photos")
    for cached in (False, True):
        made = linclass("import", ".", "--name", "pets", "--json").json
        assert (made["classes"], made["cached"]) == (["cat", "dog"], cached)


def test_an_interrupt_ends_an_import_at_once(tmp_path):
    save(str(tmp_path / "photos/cat/0.png"), np.tile(picture(0, 500), (4, 4, 1)))
    for link in range(1, 2000):
        os.link(tmp_path / "photos/cat/0.png", tmp_path / f"photos/cat/{link}.png")
    shutil.copytree(tmp_path / "photos/cat", tmp_path / "photos/dog", copy_function=os.link)
    process = spawn(*PETS, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/datasets/.pets*/staged")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert time.monotonic() - began < 45  # all of it takes minutes
    assert list((tmp_path / "cache/datasets").iterdir()) == []


def test_numbers_are_ordered_as_numbers(linclass):
    photos(classes=("10", "9", "2"), n=3)
    assert linclass(*PETS, "--json").json["classes"] == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (lambda: None, 4, "no file or folder photos"),
        (lambda: Path("photos").mkdir(), 3, "expected a folder for each class"),
        (lambda: save("photos/a.png", picture(0)), 3, "expected a folder for each class"),
        (lambda: photos(classes=("cat",)), 3, "two classes or more, found only 'cat'"),
        (lambda: (photos(), Path("photos/emu").mkdir()), 3, "class emu has no pictures"),
        (
            lambda: (photos("photos/train"), photos("photos/test", classes=("emu",))),
            3,
            "'emu' is in the test part",
        ),
        (lambda: (photos("photos/train"), Path("photos/test").mkdir()), 3, "photos/test: expected a folder"),
        (lambda: photos(classes=("e\u0301", "é")), 3, "give one class"),
        (lambda: photos(n=1), 3, "no row is left for the test part"),
    ],
)
def test_folders_that_cannot_be_a_dataset(linclass, make, code, words):
    make()
    result = linclass(*PETS)
    assert words in result.error
    assert result.code == code
    assert not list(Path("cache").rglob("*pets*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--size", "big"), "--size big: allowed is N or WIDTHxHEIGHT"),
        (("--size", "9999"), "1 to 1024"),
        (("--fit", "zoom"), "crop, pad, stretch"),
        (("--test-fraction", "1"), "between 0 and 1"),
        (("--on-bad-image", "cry"), "error, skip"),
        (("--name", "cifar10"), "known dataset"),
        (("--name", "../x"), "no name for a dataset"),
    ],
)
def test_flags_that_cannot_be(linclass, options, words):
    photos()
    result = linclass(*PETS, *options)
    assert (result.code, words in result.error) == (3, True), result.error


def test_damage_is_found_and_an_import_mends_it(linclass):
    photos()
    linclass(*PETS)
    path = Path("cache/datasets/pets/test-rows.npy")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    for arguments in (("cache", "verify"), ("extract", "--data", "pets", "--feature", "pixels")):
        result = linclass(*arguments)
        assert (result.code, "linclass import" in result.error) == (5, True)
    again = linclass(*PETS, "--json")
    assert again.json["cached"] is False
    assert "test-rows.npy is damaged" in again.err
    assert linclass("cache", "verify").code == 0
    manifest = Path("cache/datasets/pets/dataset.json")
    manifest.write_text(manifest.read_text().replace('"n_test": 4', '"n_test": 5'))
    assert linclass("train", "--data", "pets").code == 5
    assert linclass(*PETS).code == 0


def test_names_of_datasets_are_suggested(linclass):
    photos()
    linclass(*PETS)
    result = linclass("train", "--data", "pest")
    assert (result.code, "did you mean pets" in result.error, "imported: pets" in result.error) == (
        4,
        True,
        True,
    )
    assert "was imported" in linclass("download", "pets").error


def test_threads_change_nothing(linclass):
    photos(n=30, side=20)
    made = []
    for threads in ("1", "5"):
        linclass(*PETS, "--threads", threads, "--size", "7", "--force")
        made.append(json.loads(Path("cache/datasets/pets/dataset.json").read_text())["members"])
    assert made[0] == made[1]
