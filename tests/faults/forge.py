"""The side of the tests: a folder that holds a little of everything, and commands run in copies of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from linclass_cli.inventory import verify_cache
from linclass_cli.kernel_cache import _read_whole
from linclass_cli.runs import list_runs, load_model, load_run
from linclass_cli.temporary import is_temporary
from tests.data.conftest import MEMBERS

PACKAGE = Path(__file__).parents[2]
Tree = dict[str, bytes | None]  # what stands under which name; None: a folder


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit code (negative: a signal), what it said, and its steps.

    A step is what, path, target and, where they are recorded, what was flushed or removed; ``changed``, then,
    are the paths that Python says it has written, renamed, made or removed.
    """

    code: int
    out: str
    err: str
    steps: list[list[Any]]
    changed: list[str] = field(default_factory=list)

    @property
    def error(self) -> str:
        """The one line of an error."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, (self.code, self.out, self.err)
        return lines[0]


class Forge:
    """Runs commands in forked children of a server (see `server`)."""

    def __init__(self, address: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.faults.server", address],
            cwd=PACKAGE,
            env={**os.environ, "PYTHONPATH": str(PACKAGE), "MPLBACKEND": "agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, question: dict[str, Any]) -> Any:
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        assert answer, "the server has died"
        return json.loads(answer)

    def warm(self, folder: Path, commands: list[list[str]]) -> None:
        """Run commands in the server itself: what they load is loaded for all that follow."""
        self._ask({"warm": commands, "folder": str(folder)})

    def run_all(self, requests: Iterable[dict[str, Any]]) -> list[Result]:
        """A result for each request: folder, arguments, and what `server.child` takes."""
        named = [{**request, "folder": str(request["folder"])} for request in requests]
        return [Result(**result) for result in self._ask({"requests": named})]

    def run(self, folder: Path, *arguments: str, **more: Any) -> Result:
        (result,) = self.run_all([{"folder": folder, "arguments": arguments, **more}])
        return result

    def close(self) -> None:
        self._server.communicate(timeout=10)


def make_sources(folder: Path) -> None:
    """Pictures and vectors to import, and the members of ``tiny``."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("cat", "dog")):
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(0, 128, (8, 8, 3), np.uint8) + 120 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "pictures" / name / f"{index}.png")
    shutil.copytree(folder / "pictures", folder / "other")
    (folder / "other" / "dog" / "0.png").unlink()
    y = np.arange(90) % 3
    X = (rng.normal(size=(90, 6)) + 3 * np.eye(3, 6)[y]).astype(np.float32)
    np.savez(folder / "vectors.npz", X=X, y=y)
    (folder / "members").mkdir()
    for name, content in MEMBERS.items():
        (folder / "members" / name).write_bytes(content)


SETTINGS = ("--data", "dots", "--feature", "vectors", "--loss", "ridge", "--quiet")


def make_template(forge: Forge, folder: Path, sources: Path) -> None:
    """A working folder with imported pictures and vectors, features, runs and files made of them."""
    folder.mkdir()
    commands = [
        ["import", str(sources / "pictures"), "--name", "pets", "--size", "8"],
        ["import", str(sources / "vectors.npz"), "--name", "dots"],
        ["train", *SETTINGS, "--name", "old"],
        ["train", "--data", "pets", "--feature", "pixels", "--loss", "ridge", "--name", "pets"],
        ["cv", *SETTINGS, "--folds", "2", "--l2", "0.1,1", "--name", "folds"],
        ["plot", "old", "--kind", "confusion", "--out", "figures"],
        ["report", "old", "--out", "report.html"],
        ["export", "old", "--format", "npz", "--out", "model"],
        ["predict", "pets", str(sources / "pictures" / "cat"), "--out", "labels.csv"],
        ["gradcheck", "--out", "check.npz"],
        ["keep-a-kernel"],
    ]
    forge.warm(folder, commands)


def tree(folder: Path) -> Tree:
    """Every file with its bytes, every folder with None; temporary ones and lock files are passed over."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not any(is_temporary(part) or part.endswith(".lock") for part in name.parts):
            found[str(name)] = path.read_bytes() if path.is_file() else None
    return found


def temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if is_temporary(path.name)]


def damaged(folder: Path) -> set[str]:
    """The datasets, feature files and runs in which linclass's own readers find fault."""
    cache = folder / "cache"
    begun = {path for path in (cache / "datasets").glob("*") if not (path / "dataset.json").exists()}
    return {e["name"] for e in verify_cache(cache) if not e["intact"] and e["path"] not in begun}


def verify(folder: Path, but: set[str] = frozenset()) -> None:
    """Read everything with linclass's own readers: what has a name is whole, ``but`` what never was."""
    cache = folder / "cache"
    assert damaged(folder) <= but
    for name in set(list_runs(cache)) - set(but):
        load_run(cache, name)
        load_model(cache, name)
    for path in (cache / "runs").glob("[!.]*"):
        assert (path / "run.json").is_file() or not any(path.iterdir()), path
    for path in (folder / "kernels").glob("[!.]*"):
        assert _read_whole(path) is not None, path
