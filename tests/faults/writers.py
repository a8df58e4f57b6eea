"""Every command that writes, with what it may leave when it is stopped at any step."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.forge import SETTINGS, Tree, tree

DOTS = ("--data", "dots", "--feature", "vectors")


@dataclass(frozen=True)
class Writer:
    """A command in a copy of the template. {sources} and {address} in its arguments are filled in.

    prepare: changes the copy first. again: exit codes of the same command once it has done its work.
    differs: names below which files hold times and so differ from one execution to the next.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], object] = lambda folder: None
    again: tuple[int, ...] = (0,)
    differs: tuple[str, ...] = ()

    def request(self, folder: Path, sources: Path, address: str, **more: object) -> dict[str, object]:
        filled = [one.format(sources=sources, address=address) for one in self.arguments]
        return {"folder": folder, "arguments": filled, **more}


def _remove(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            for path in folder.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def _spoil_features(folder: Path) -> None:
    for path in (folder / "cache" / "features").glob("*.h5"):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


def _spoil_everything(folder: Path) -> None:
    """Features and a model that are made again, and a bit each of what nothing else holds."""
    _spoil_features(folder)
    for name, places in (
        ("runs/folds/model.safetensors", (60, 61, -1)),
        ("runs/old/run.json", (40,)),
        ("datasets/dots/test-labels.npy", (-8,)),
    ):
        path = folder / "cache" / name
        content = bytearray(path.read_bytes())
        for place in places:
            content[place] ^= 1
        path.write_bytes(content)


def _write_over(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("old")


IMPORT = ("--name", "pets", "--size", "8", "--quiet")
NOTHING = _remove("cache", "figures", "model", "kernels", "*.*")

WRITERS = [
    Writer("import", ("import", "{sources}/pictures", *IMPORT), NOTHING),
    Writer("import over", ("import", "{sources}/other", *IMPORT, "--force")),
    Writer("download --from", ("download", "tiny", "--from", "{sources}/members")),
    Writer("download", ("download", "tiny", "--from", "{address}"), NOTHING),
    Writer("extract", ("extract", *DOTS), _remove("cache/features")),
    Writer("extract --force", ("extract", *DOTS, "--force"), _spoil_features),
    Writer("train", ("train", *SETTINGS), differs=("cache/runs/run/",)),
    Writer("train --name", ("train", *SETTINGS, "--name", "new"), again=(0, 3), differs=("cache/runs/new/",)),
    Writer("cv", (*("cv", *SETTINGS), "--folds", "2", "--l2", "0.1,1"), differs=("cache/runs/run/",)),
    Writer("plot", ("plot", "old", "--kind", "confusion"), _write_over("cache/runs/old/confusion.png")),
    Writer("report", ("report", "old", "--out", "new.html")),
    Writer("export", ("export", "old", "--format", "npz", "--out", "model"), _write_over("model/old.npz")),
    Writer("export new", ("export", "old", "--format", "safetensors", "--out", "a/b")),
    Writer("predict --out", ("predict", "pets", "{sources}/pictures", "--out", "labels.csv")),
    Writer("config init", ("config", "init"), again=(0, 3)),
    Writer("gradcheck --out", ("gradcheck", "--out", "check.npz")),
    Writer("kernel", ("keep-a-kernel",), _remove("kernels")),
    Writer("runs remove", ("runs", "remove", "old", "--yes"), again=(0, 4)),
    Writer("cache clean", ("cache", "clean", "--yes"), _spoil_features),
    Writer("cache repair", ("cache", "repair", "--retrain"), _spoil_everything),
]


# One for each way to write: a folder, members, features, a run, a file, several kinds at once.
EVERY_WAY = (
    *("import over", "download --from", "extract", "train", "export new", "predict --out", "kernel"),
    "cache repair",
)
DISPENSABLE = {"cache/datasets/tiny/duplicates.json"}  # what is found out again when it is not there


def snapshot(writer: Writer, folder: Path) -> Tree:
    """What stands under which name, but for files that differ every time.

    Runs without a name of their own count as one, and names that are only claimed are none.
    """
    found = tree(folder)
    names = {name: re.sub(r"runs/run\d+", "runs/run", name) for name in found}
    return {
        names[name]: None if names[name].startswith(writer.differs or "\0") else content
        for name, content in found.items()
        if not re.fullmatch(r"cache/runs/[^/]+", name)
    }


def check_state(before: Tree, after: Tree, folder: Path, writer: Writer) -> set[str]:
    """Each file is as it was, or as it is to be; those that are not as they are to be."""
    found = snapshot(writer, folder)
    partial = {name for name in found if name.startswith("cache/datasets/.downloads")}
    for name in {*before, *after, *found} - partial:
        absent = "absent"
        allowed = (before.get(name, absent), after.get(name, absent))
        assert found.get(name, absent) in allowed, name
    return {name for name in after if found.get(name, "") != after[name]}
