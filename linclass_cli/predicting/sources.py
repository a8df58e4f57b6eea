"""Paths, folders, globs and lists on stdin become a stream of files, in a fixed order.

The stream holds paths, :class:`Failed` for what leads nowhere, and ``None`` where a list on a pipe has no
more to say for now: whoever collects files into batches works on what there is.
"""

# Paths stay the text that was typed, byte for byte, and there may be a million of them.
# ruff: noqa: PTH112, PTH119, PTH207

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".tga", ".ico"),
)
VECTORS = (".npy", ".npz")
_BLOCK = 1 << 16
# A list whose first bytes hold no NUL is one of lines: a path that is terminated by NUL is shorter than this.
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class Failed:
    """A path without a prediction, and why, in words. ``missing``: there is nothing of that name."""

    path: str
    error: str
    missing: bool = False


Stream = Iterator[str | Failed | None]


def find_files(
    paths: Sequence[str], stdin: BinaryIO | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> Stream:
    """The files that paths stand for: a file is itself, a folder all files in and below it with one of the
    suffixes, sorted by name, a glob (``**`` goes into folders) what it matches, sorted, and ``-`` each of the
    paths on stdin, ended by newlines or by NUL bytes.
    """
    for path in paths:
        if path == "-" and stdin is not None:
            yield from _listed(stdin, suffixes)
        else:
            yield from _files(path, suffixes)


def _files(path: str, suffixes: tuple[str, ...]) -> Stream:
    if os.path.isdir(path):
        found = False
        for file in _below(path, suffixes):
            found = True
            yield file
        if not found:
            yield Failed(path, f"the folder holds no file that ends in {', '.join(suffixes)}")
    elif os.path.lexists(path) or not glob.has_magic(path):
        yield path  # that it is missing shows when it is opened
    else:
        yield from _matching(path, suffixes)


def _matching(pattern: str, suffixes: tuple[str, ...]) -> Stream:
    matches = sorted(glob.iglob(pattern, recursive=True))
    if not matches:
        yield Failed(pattern, "nothing matches this pattern", missing=True)
    last = os.path.basename(pattern)
    for match in matches:
        if os.path.isdir(match):
            if last != "**":  # which matches the files in the folder as well
                yield from _below(match, suffixes)
        elif last not in ("*", "**") or match.lower().endswith(suffixes):
            yield match


def _below(folder: str, suffixes: tuple[str, ...]) -> Stream:
    """The files of a folder, then those of its folders; hidden ones and links to folders are passed over."""
    waiting = [folder]  # not by calls: folders may be deeper than Python calls functions
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield Failed(folder, f"the folder cannot be read: {(error.strerror or str(error)).lower()}")
            continue
        shown = [entry for entry in inside if not entry.name.startswith(".")]
        folders = [entry.path for entry in shown if entry.is_dir(follow_symlinks=False)]
        waiting += reversed(folders)
        for entry in shown:
            if not entry.is_dir(follow_symlinks=False) and entry.name.lower().endswith(suffixes):
                yield entry.path


def _listed(stdin: BinaryIO, suffixes: tuple[str, ...]) -> Stream:
    """Each path of a list as it comes in; None whenever reading on may have to wait."""
    end, rest = b"", b""
    read = getattr(stdin, "read1", stdin.read)
    while True:
        block = read(_BLOCK)
        rest += block
        if not end:
            if b"\0" in rest:
                end = b"\0"
            elif b"\n" in rest or len(rest) > _LONGEST_PATH or not block:
                end = b"\n"
        if not block:
            break
        if end and end in block:
            *whole, rest = rest.split(end)
            for one in whole:
                yield from _one(one, end, suffixes)
            yield None
        elif len(rest) > 16 * _LONGEST_PATH:
            yield Failed(os.fsdecode(rest[:80]) + "…", "no path is as long as this; the list ends here")
            return
    if rest:
        yield from _one(rest, end, suffixes)


def _one(name: bytes, end: bytes, suffixes: tuple[str, ...]) -> Stream:
    if end == b"\n":
        name = name.rstrip(b"\r")
    if name:
        yield from _files(os.fsdecode(name), suffixes)
