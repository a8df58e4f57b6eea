"""``linclass warmup``: afterwards nothing is left to compile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import slow

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")

FAST = ["--data", "textures", "--pixels-per-cell", "16", "--cells-per-block", "2"]

# What people do, command after command, in one process; then what that process compiled, and the kernels of
# the package that it never saw.
AFTERWARDS = """
import importlib, json, pkgutil, sys
import numpy as np
import linclass_cli
from linclass_cli.cli import app
from linclass_cli.compilation import COMPILATION
from linclass_cli.jit import Kernel

def run(*arguments):
    try:
        app([*arguments, "--quiet", "--json"], prog_name="linclass")
    except SystemExit as end:
        assert end.code in (0, 3), arguments  # 3: this solver is not for this loss

for arguments in json.loads(sys.argv[1]):
    run(*arguments)
from linclass_cli.features import make_extractor
for name in ("hog", "hue", "gradients", "pairs", "colours", "hog+pixels+gradients+pairs+colours"):
    for augment in ("none", "flip"):
        one, images = make_extractor(name, augment=augment), np.zeros((3, 24, 24, 3), np.uint8)
        one(images, np.empty((3, one.dim((24, 24, 3))), np.float32))
compiled = COMPILATION.compiled
run("warmup")
unseen = []
for module in pkgutil.walk_packages(linclass_cli.__path__, "linclass_cli."):
    if not module.name.endswith("__main__"):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Kernel) and not value.inner and not value.compiled:
                unseen.append(name)
print(json.dumps({"compiled": compiled, "unseen": unseen}))
"""


def commands() -> list[list[str]]:
    """Every loss with every solver that takes it, by train and cv, and the features of grey pictures."""
    from linclass_cli.learn.losses import LOSSES
    from linclass_cli.learn.solvers import SOLVERS

    given = [["extract", *FAST], ["extract", "--data", "textures", "--feature", "pixels"]]
    for more in (
        ["--transform-sqrt"],
        ["--channels", "largest"],
        ["--orientations", "8", "--transform-sqrt"],
    ):
        given.append(["extract", *FAST, *more])
    patches = ["--filters", "5", "--patch-samples", "200", "--rounds", "1"]
    for name in ("gradients", "pairs", "colours", "patches"):
        chosen = ["extract", "--data", "textures", "--feature", name, *(patches if name == "patches" else [])]
        given += [chosen, [*chosen, "--augment", "flip"]]
    for more in (["--no-overlap"], ["--no-square-root"], ["--encoding", "triangle"]):
        given.append(["extract", "--data", "textures", "--feature", "patches", *patches, *more])
    for loss in LOSSES:
        given.append(["gradcheck", "--loss", loss])
        for solver in SOLVERS:
            limit = {"sgd": ["--epochs", "2"], "closed": []}.get(solver, ["--max-iterations", "3"])
            fit = ["--loss", loss, "--solver", solver, *limit]
            given.append(["train", *FAST, *fit, "--val-fraction", "0"])
            given.append(["train", *FAST, *fit, "--scale", "range"])
            given.append(["cv", *FAST, *fit, "--folds", "3", "--l2", "0.01,0.1", "--scale", "none"])
    return given


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LINCLASS_")}
    environment["XDG_CACHE_HOME"] = str(folder / "home")
    environment.pop("NUMBA_CACHE_DIR", None)
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A folder with warm kernels in it, and what the command said."""
    folder = tmp_path_factory.mktemp("warm")
    result = run(folder, "-m", "linclass_cli", "warmup", "--json")
    assert "compiling kernels" not in result.stderr
    return folder, json.loads(result.stdout)


@slow
def test_the_first_warmup_compiles_everything(warm):
    folder, answer = warm
    assert set(answer) == {"compiled", "cached", "seconds", "path"}
    assert (answer["compiled"] > 5, answer["cached"]) == (True, 0)
    path = Path(answer["path"])
    assert path.parent == folder / "home" / "linclass"
    assert len(list(path.iterdir())) == answer["compiled"]


@slow
def test_afterwards_no_command_compiles(warm):
    folder, _ = warm
    result = run(folder, "-c", AFTERWARDS, json.dumps(commands()))
    *_, again, last = map(json.loads, result.stdout.splitlines())
    assert last == {"compiled": 0, "unseen": ["_widen"]}  # of float16: left to whoever has such features
    assert again["compiled"] == 0


@slow
def test_the_second_warmup_finds_everything(warm):
    folder, answer = warm
    result = run(folder, "-m", "linclass_cli", "warmup", "--quiet")
    assert result.stderr == ""
    assert result.stdout.startswith(f"all {answer['compiled']} kernels were there already")
    assert answer["path"] in result.stdout


@slow
def test_a_cold_run_says_so_and_comes_to_the_same_result(warm, tmp_path):
    folder, _ = warm
    settings = ("--data", "textures", "--feature", "pixels", "--loss", "ridge", "--name", "same")
    arguments = ("-m", "linclass_cli", "train", *settings, "--json")
    cold, hot = run(tmp_path, *arguments), run(folder, *arguments)
    notices = [line for line in cold.stderr.splitlines() if "kernel" in line]
    assert len(notices) == 2
    assert "linclass warmup" in notices[0]
    assert notices[1].startswith("compiled ")
    assert "kernel" not in hot.stderr
    for result in (cold, hot):
        assert json.loads(result.stdout)["run"] == "same"
    models = [place / "cache" / "runs" / "same" / "model.safetensors" for place in (tmp_path, folder)]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_without_a_place_for_kernels(tmp_path):
    (tmp_path / "home").write_text("precious")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "home")}
    process = subprocess.run(
        [sys.executable, "-m", "linclass_cli", "warmup", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (process.returncode, process.stdout) == (6, "")
    assert "XDG_CACHE_HOME" in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
