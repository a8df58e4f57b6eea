"""The header of a feature file (docs/store.md), and what a file and its mending are called for people.

It stands in HDF5's user block, which is left to applications: where each dataset lies, and a digest of every
byte behind the header; its first line holds a digest of the header itself.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

from linclass_cli.digest import canonical_json
from linclass_cli.errors import InputError, IntegrityError, at_cache
from linclass_cli.features import make_extractor

HEADER = 8192  # bytes: a power of two, as HDF5 wants
PARTS = ("train", "test")
FEATURES = tuple(f"{part}/features" for part in PARTS)
_MAGIC = b"linclass features 1 sha256 "
_LINE = len(_MAGIC) + 64 + 1
DTYPES = {"float32": 4, "float16": 2}  # what features are stored as, and its bytes
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # a name of a dataset, a feature or a parameter


def dump_header(meta: dict[str, Any], places: dict[str, Any], size: int, digest: str) -> bytes:
    """The header's HEADER bytes. ``size``: of the file; ``digest``: of what is behind the header.

    Raises InputError where the parameters are too long for it.
    """
    header = {"meta": meta, "places": places, "size": size, "digest": digest}
    body = canonical_json(header).encode().ljust(HEADER - _LINE, b"\0")
    if len(body) > HEADER - _LINE:
        raise InputError("the feature's parameters are too long to be stored")
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def parse_header(path: Path, header: bytes, size: int, meta: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a header says: meta, places, size, digest; ``size``: of the file; ``meta``: for advice, if known.

    Raises IntegrityError where it is damaged, or says what cannot be.
    """
    if len(header) < HEADER or not header.startswith(_MAGIC):
        raise damaged(path, "it does not begin as a feature file of linclass", meta)
    body = header[_LINE:]
    if header[len(_MAGIC) : _LINE] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise damaged(path, "its header does not match its digest", meta)
    # Whoever made a file with matching digests may still lie in it: nothing may reach outside its bytes.
    try:
        parsed: dict[str, Any] = json.loads(body.rstrip(b"\0"))
        if parsed["size"] != size:
            raise damaged(path, f"{parsed['size']} bytes expected, {size} found", meta)
        _check_meta(parsed["meta"])
        widths = {parsed["places"][f"{part}/features"]["shape"][1] for part in PARTS}
        stored = stored_dtype(parsed["meta"])
        for name, place in parsed["places"].items():
            numbers = [*place["shape"], place["offset"]]
            item, dims = (8, 1) if name.endswith("/labels") else (DTYPES[place_dtype(place)], 2)
            if place_dtype(place) != (stored if name in FEATURES else "float32"):
                raise ValueError
            sound = all(type(x) is int and 0 <= x <= size for x in numbers) and len(place["shape"]) == dims
            if not sound:
                raise ValueError
            end = place["offset"] + math.prod(place["shape"]) * item
            if place["offset"] % item or end > size:
                raise ValueError
        for part in PARTS:
            X, y = parsed["places"][f"{part}/features"], parsed["places"][f"{part}/labels"]
            if X["shape"][0] != y["shape"][0]:
                raise ValueError
        if len(widths) != 1 or not isinstance(parsed["digest"], str):
            raise ValueError
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise damaged(path, "its header makes no sense", meta) from None
    return parsed


def stored_dtype(meta: dict[str, Any]) -> str:
    """What the features that ``meta`` describes are stored as: float32, unless it says something else."""
    return str(meta.get("dtype", "float32"))


def place_dtype(place: dict[str, Any]) -> str:
    """The same of the numbers at a place that are no labels."""
    return str(place.get("dtype", "float32"))


def _check_meta(meta: dict[str, Any]) -> None:
    """Raise ValueError, or what else nonsense gives, unless it names a dataset and a feature."""
    dataset, feature, params = meta["dataset"], meta["feature"], dict(meta["feature"]["params"])
    names = (dataset["name"], feature["name"], *params)
    if not all(_WORD.fullmatch(name) for name in names) or not isinstance(dataset["digest"], str):
        raise ValueError
    if not all(isinstance(value, bool | int | float | str) for value in params.values()):
        raise ValueError
    if stored_dtype(meta) not in DTYPES:
        raise ValueError
    canonical_json(meta)  # its key can be made: every number is finite


def describe_feature(meta: dict[str, Any]) -> str:
    """The feature with those of its parameters that are not the default: ``hog (block_norm L1)``."""
    changed = ", ".join(f"{name} {value}" for name, value in _changed(meta).items())
    if "dtype" in meta:
        changed = ", ".join(filter(None, (changed, stored_dtype(meta))))
    return str(meta["feature"]["name"]) + (f" ({changed})" if changed else "")


def _changed(meta: dict[str, Any]) -> dict[str, Any]:
    feature = meta["feature"]
    try:
        defaults = make_extractor(feature["name"]).params
    except InputError:
        return dict(feature["params"])
    return {name: value for name, value in feature["params"].items() if defaults.get(name) != value}


def _mend(path: Path, meta: dict[str, Any] | None) -> str:
    """The command that computes a file again; without its meta, the one that looks for that."""
    there = at_cache(path.parent.parent)
    if meta is None:
        return f"`linclass cache repair {path.name}{there}` says whether it can be computed again"
    command = f"linclass extract --force --data {meta['dataset']['name']} --feature {meta['feature']['name']}"
    for name, value in _changed(meta).items():
        flag = f"--{name.replace('_', '-')}"
        command += f" {flag}" if value is True else f" {flag} {shlex.quote(str(value))}"
    if "dtype" in meta:
        command += f" --store-dtype {shlex.quote(stored_dtype(meta))}"
    return f"`{command}{there}` computes it again"


def damaged(path: Path, why: str, meta: dict[str, Any] | None = None) -> IntegrityError:
    return IntegrityError(f"{path} is damaged: {why}; {_mend(path, meta)}")
