"""The example that each command's help ends in, run as it stands.

The folder is that of a person who has worked a while: two runs, photos, an archive among the downloads. What
is called cifar10 here is the pictures of `textures` in CIFAR's format, so that nothing needs a network.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from linclass_cli.data.embedded import cut_textures
from linclass_cli.data.fetch import download
from linclass_cli.data.registry import DATASETS, ArchiveSpec, DatasetSpec, MemberSpec
from tests.commands.every import COMMANDS, examples
from tests.data.conftest import make_tar, sha256

EXAMPLES = dict(examples())
N_TRAIN, N_TEST = 400, 120


def records() -> dict[str, bytes]:
    """Textures as records of CIFAR: a label, then red, green and blue."""
    rng = np.random.default_rng(0)
    files = {}
    for name, (images, labels), n in zip(("a.bin", "t.bin"), cut_textures(), (N_TRAIN, N_TEST), strict=True):
        chosen = rng.permutation(len(labels))[:n]
        pixels = np.repeat(images[chosen].reshape(n, 1, 1024), 3, axis=1).reshape(n, 3072)
        files[name] = np.hstack([labels[chosen, None].astype(np.uint8), pixels]).tobytes()
    return files


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory):
    """The folder as it is before an example, and the dataset's description."""
    home = tmp_path_factory.mktemp("home")
    members = records()
    tar = make_tar([(f"cifar-10-batches-bin/{name}", content) for name, content in members.items()])
    archive = home / "Downloads/cifar-10-binary.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(tar)
    files = tuple(MemberSpec(name, len(content), sha256(content)) for name, content in members.items())
    spec = DatasetSpec(
        name="cifar10",
        form="cifar",
        classes=DATASETS["textures"].classes,
        image_shape=(32, 32, 3),
        n_train=N_TRAIN,
        n_test=N_TEST,
        train=("a.bin",),
        test=("t.bin",),
        inner="cifar-10-batches-bin",
        archives=(ArchiveSpec(archive.name, "tar", len(tar), sha256(tar), (), files),),
    )
    (images, labels), _ = cut_textures()
    for number, label in enumerate(labels[::20]):
        place = home / "photos" / spec.classes[label] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[20 * number, :, :, 0]).save(place)
    (home / "more/from the phone").mkdir(parents=True)
    Image.fromarray(images[0, :, :, 0]).convert("RGB").save(home / "more/from the phone/1.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "cifar10", spec)
        patch.chdir(home)
        download("cifar10", home / "cache", str(archive))
        from linclass_cli.cli import app

        for loss in ("softmax", "ridge"):
            with pytest.raises(SystemExit) as end:
                app(["train", "--loss", loss, "--quiet"], prog_name="linclass")
            assert not end.value.code
    return home, spec


@pytest.fixture
def shell(linclass, lived_in, tmp_path, monkeypatch):
    """``shell("linclass plot run1 && …")``: what a shell would do, the program in this process."""
    home, spec = lived_in
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.setitem(DATASETS, "cifar10", spec)
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(line: str) -> str:
        said = ""
        for part in line.split(" && "):
            for stage in part.split(" | "):
                words = [os.path.expanduser(word) for word in shlex.split(stage)]  # noqa: PTH111
                if words[0] == "linclass":
                    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said.encode())))
                    result = linclass(*words[1:])
                    assert result.code == 0, f"{stage}: {result.err}"
                    said = result.out
                else:
                    said = subprocess.run(
                        ["bash", "-c", stage], input=said, capture_output=True, text=True, check=True
                    ).stdout
        return said

    return run


# test_line.py runs the demo, which takes longer than all the others.
@pytest.mark.parametrize("command", sorted(set(EXAMPLES) - {"linclass demo"}))
def test_the_example_runs_as_it_stands(shell, command):
    example = EXAMPLES[command]
    assert example, f"the help of {command} ends in no example"
    assert f"{command} " in f"{example} ", f"the example of {command} is of something else: {example}"
    shell(example)


SLOW = {"linclass", "linclass demo", "linclass train", "linclass cv", "linclass warmup"}  # tested elsewhere


@pytest.mark.parametrize("command", sorted(set(EXAMPLES) - SLOW))
def test_the_example_as_json_has_json_on_stdout_and_nothing_else(shell, command):
    example = EXAMPLES[command].removesuffix(" --json")
    for line in shell(f"{example} --json").splitlines():
        json.loads(line)


def test_every_command_is_among_them():
    assert {"linclass", "linclass train", "linclass runs", "linclass runs list", "linclass doctor"} <= set(
        EXAMPLES
    )
    assert len(EXAMPLES) == len(COMMANDS) > 17


def test_the_shell_of_these_tests_fails_where_a_command_does(shell):
    with pytest.raises(AssertionError, match="no run nothing"):
        shell("linclass plot nothing")
    assert shell("echo two words | tr a-z A-Z") == "TWO WORDS\n"
    assert Path("photos/brick").is_dir()
