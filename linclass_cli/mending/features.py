"""Damaged features are computed again: what they are stands in the file twice, and their name proves it."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linclass_cli.config import Config, config_of
from linclass_cli.errors import InputError, IntegrityError, LinclassError
from linclass_cli.extract import extract
from linclass_cli.feature_header import describe_feature, stored_dtype
from linclass_cli.feature_plan import Plan, plan_features
from linclass_cli.mending.plan import Act, Wish
from linclass_cli.store import feature_path, open_features, read_header
from linclass_cli.threads import use_threads

_META = b'{"dataset":{"digest":"'  # how canonical JSON of a file's meta begins
_LONGEST = 8192


def plan(path: Path, cache: Path, wish: Wish) -> tuple[str, Act | None]:
    """What will be done, and what does it; None where it cannot be known what the file held."""
    meta = find_meta(path)
    if meta is None:
        return (
            "nothing: which parameters they were computed with is not to be read in it any more; "
            "`linclass extract` makes features again, and `linclass cache clean` removes the file"
        ), None
    what = f"compute {describe_feature(meta)} of {meta['dataset']['name']} again"
    try:
        _plan_again(meta, path, cache, wish)
    except IntegrityError:
        what += ", if its dataset can be mended"
    except LinclassError as error:
        return f"nothing: they cannot be computed again: {error}", None
    return what, lambda: _compute(meta, path, cache, wish)


def _compute(meta: dict[str, Any], path: Path, cache: Path, wish: Wish) -> str:
    config, again = _plan_again(meta, path, cache, wish)
    before = read_header(path)
    with use_threads(config.threads), wish.bar(f"extract {config.feature.name}", "images") as advance:
        extract(again, config, advance, force=True, notice=wish.notice)
    open_features(path, meta)
    if before is None:
        return "computed again"
    same = read_header(path) == before
    return f"computed again, {'bit for bit as they were' if same else 'with other last digits'}"


def find_meta(path: Path) -> dict[str, Any] | None:
    """The meta whose key is in the file's name; one copy stands in the header, one in HDF5's own data."""
    for text in _candidates(path):
        try:
            meta, _ = json.JSONDecoder().raw_decode(text.decode("ascii", "replace"))
            if feature_path(path.parent.parent, meta).name == path.name:
                return dict(meta)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def _candidates(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            place = content.find(_META)
            while place >= 0:
                yield content[place : place + _LONGEST]
                place = content.find(_META, place + 1)
    except (OSError, ValueError):  # ValueError: it is empty
        return


def _plan_again(meta: dict[str, Any], path: Path, cache: Path, wish: Wish) -> tuple[Config, Plan]:
    """Raises InputError where this version, or the dataset as it is, would give other features."""
    feature = meta["feature"]
    values = {f"feature.{key}": value for key, value in feature["params"].items()}
    try:
        config = config_of(
            {
                "cache_dir": str(cache),
                "threads": wish.threads,
                "data.name": meta["dataset"]["name"],
                "feature.name": feature["name"],
                "feature.store_dtype": stored_dtype(meta),
                **values,
            }
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"this version does not know their parameters ({error})") from error
    again = plan_features(config)
    if again.meta["dataset"] != meta["dataset"]:
        raise InputError(f"their dataset, {config.data.name}, is another one by now")
    if again.path != path:
        raise InputError("this version computes the feature in another way")
    return config, again
