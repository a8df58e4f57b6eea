"""A folder of pictures by class, with or without ``train/`` and ``test/``: which files, which labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from linclass_cli.data.labels import class_name, shown
from linclass_cli.errors import InputError

SUFFIXES = {
    *(".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
    # Pictures that cannot be read here: not to be passed over as if they were none.
    *(".arw", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".nef", ".psd"),
}
# What the parts of a dataset are called; a validation part is one more for training, or stands for the test.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
}
_NOISE = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True, slots=True)  # there may be a million
class Item:
    """A picture file and its label; ``part`` is train, test, val, or empty where nothing says it.

    ``name``: what the user calls the file, from ``folder`` on. ``sure``: it says that it is a picture.
    """

    folder: str
    name: str
    label: str
    part: str
    sure: bool = True

    @property
    def path(self) -> Path:
        return Path(self.folder, self.name)

    @property
    def origin(self) -> str:
        """The name, as it may be shown."""
        return shown(self.name)


@dataclass
class Listing:
    """What was found: pictures, what cannot be read (origin, reason), files that are no pictures, classes."""

    items: list[Item] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def list_folder(root: Path, leave_out: Path | None = None) -> Listing:
    """The pictures below ``root``: ``[PART/]CLASS/…/file``, in the order of their paths.

    The folder ``leave_out`` (the cache may stand in there) is no class. Links are followed to files within
    ``root`` only. Raises InputError where there are no folders of classes, or one of them has no picture.
    """
    listing = Listing()
    places = _parts(root, leave_out)
    if not places:
        _no_classes(root, root)
    for part, folder in places:
        classes = _folders(folder, leave_out)
        _pass_over(folder, root, listing)
        if not classes:
            _no_classes(folder, root)
        _list_classes(part, classes, root, listing)
    return listing


def _folders(folder: Path, leave_out: Path | None) -> list[Path]:
    out = leave_out and leave_out.resolve()
    found = [path for path, kind in _entries(folder) if kind == "folder"]
    return [path for path in found if path.resolve() != out]


def _parts(root: Path, leave_out: Path | None) -> list[tuple[str, Path]]:
    """The parts and their folders: those that are called so and hold folders, or the root itself."""
    folders = _folders(root, leave_out)
    named = {path.name.lower(): path for path in folders if path.name.lower() in PARTS}
    parts = [(PARTS[name], path) for name, path in named.items()]
    holding = [place for place in parts if any(kind and path.is_dir() for path, kind in _entries(place[1]))]
    # A class may be called "train": then there are pictures in it, and no folders of classes.
    if not any(part == "train" for part, _ in holding):
        return [("", root)] if folders else []
    if len({part for part, _ in parts}) < len(parts):
        raise InputError(f"{root}: {', '.join(sorted(named))} are folders for one part; put them together")
    return sorted(parts)


def _list_classes(part: str, classes: list[Path], root: Path, listing: Listing) -> None:
    seen: dict[str, str] = {}
    folder = str(root)  # one for all
    for path in classes:
        where = _origin(path, root)
        label = class_name(path.name, where)
        if label in seen:
            raise InputError(f"{root}: two folders, {seen[label]} and {where}, give one class; rename one")
        seen[label] = where
        listing.classes.add(label)
        before = len(listing.items), len(listing.bad)
        for file in _files(path, root, listing):
            if _is_picture(file, root, listing):
                name = str(file.relative_to(root))
                listing.items.append(Item(folder, name, label, part, sure=bool(file.suffix)))
        if (len(listing.items), len(listing.bad)) == before:
            raise InputError(f"{root}: class {where} has no pictures; put some in, or remove the folder")


def _files(folder: Path, root: Path, listing: Listing) -> Iterator[Path]:
    """Every file below a folder, in order; what cannot be entered, links to folders too, is listed as bad."""
    # A stack of its own: folders may be deeper than Python calls functions.
    inside = [_entries(folder)]
    while inside:
        path, kind = next(inside[-1], (None, ""))
        if path is None:
            inside.pop()
        elif kind == "link" and path.is_dir():
            listing.bad.append((_origin(path, root), "it is a link to a folder, which is not followed"))
        elif kind == "folder":
            try:
                inside.append(_entries(path))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                listing.bad.append((_origin(path, root), f"the folder cannot be read: {reason}"))
        else:
            yield path


def _is_picture(path: Path, root: Path, listing: Listing) -> bool:
    """Whether a file is, by its name, and may be read; else it is noted."""
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        listing.ignored.append(_origin(path, root))
        return False
    if path.is_symlink() and path.exists() and not path.resolve().is_relative_to(root.resolve()):
        listing.bad.append((_origin(path, root), "it is a link that leads out of the folder"))
        return False
    return True


def _pass_over(folder: Path, root: Path, listing: Listing) -> None:
    """Note what stands beside the folders of classes."""
    for path, kind in _entries(folder):
        if kind == "link" and path.is_dir():
            listing.bad.append((_origin(path, root), "it is a link to a folder, which is not followed"))
        elif kind != "folder":
            listing.ignored.append(_origin(path, root))


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    """What is in a folder, by name, and if it is a "folder" or a "link"; not what systems leave everywhere.

    Of a million files their names are all that is held.
    """
    names: list[str] = []
    kinds: dict[str, str] = {}
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in _NOISE:
                continue
            names.append(entry.name)
            if entry.is_symlink():
                kinds[entry.name] = "link"
            elif entry.is_dir(follow_symlinks=False):
                kinds[entry.name] = "folder"
    names.sort()
    return ((folder / name, kinds.get(name, "")) for name in names)


def _origin(path: Path, root: Path) -> str:
    return shown(str(path.relative_to(root)))


def _no_classes(folder: Path, root: Path) -> None:
    raise InputError(
        f"{folder}: expected a folder for each class with its pictures in it, found none"
        + ("" if folder == root else f" (the parts are {root}/train and {root}/test)")
        + "; make them, or import a CSV list of path and label"
    )
