"""Repair of what is damaged in the cache folder: what can be made again is, and what cannot is left as it is.

One thing after the other, datasets first, since features are made of them, and runs of features: said what
will be done, then done. Nothing takes a damaged file's place that a checksum, or the key in its name, does
not prove to be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linclass_cli.data.registry import DATASETS
from linclass_cli.errors import LinclassError, MissingError, ResourceError, UsageError, did_you_mean
from linclass_cli.inventory import list_cache, problem_of
from linclass_cli.mending import datasets, features, runs
from linclass_cli.mending.plan import Act, Wish

__all__ = ["Wish", "repair_cache"]


def repair_cache(cache: Path, names: list[str], wish: Wish) -> Iterator[dict[str, Any]]:
    """Mend what is damaged, of what has one of the names (of all, without names), one thing at a time.

    Yields kind, name, path, problem, ``will`` (what will be done), ``done`` (what was done, or why not; None
    before), ``mended``: of each thing twice, before and after; once with ``wish.dry``.

    Raises MissingError for a name that nothing has, UsageError for a source where several datasets are
    damaged, and at the end the first ResourceError that hindered a repair.
    """
    entries = list_cache(cache)
    known = {entry["name"] for entry in entries}
    for name in names:
        if name not in known:
            raise MissingError(
                f"nothing called {name} in {cache}{did_you_mean(name, sorted(known))}; `linclass cache list` "
                "shows what is there"
            )
    chosen = [entry for entry in entries if not names or entry["name"] in names]
    damaged = [(entry, problem) for entry in chosen if (problem := problem_of(entry, cache))]
    fetched = [entry["name"] for entry, _ in damaged if entry["name"] in DATASETS]
    if wish.source and len(fetched) > 1:
        raise UsageError(f"--from is for one damaged dataset: name {' or '.join(fetched)} as well")
    hindered: list[ResourceError] = []
    for entry, problem in damaged:
        will, act = _plan(entry, cache, wish)
        found = {key: entry[key] for key in ("kind", "name", "path")}
        found |= {"problem": problem, "will": will, "done": None, "mended": False}
        yield found
        if not wish.dry:
            yield found | _result(act, will, hindered)
    if hindered:
        raise hindered[0]


def _plan(entry: dict[str, Any], cache: Path, wish: Wish) -> tuple[str, Act | None]:
    if entry["kind"] == "dataset":
        return datasets.plan(entry["name"], cache, wish)
    if entry["kind"] == "features":
        return features.plan(entry["path"], cache, wish)
    return runs.plan(entry["name"], cache, wish)


def _result(act: Act | None, will: str, hindered: list[ResourceError]) -> dict[str, Any]:
    if act is None:
        return {"done": will, "mended": False}
    try:
        return {"done": act(), "mended": True}
    except ResourceError as error:
        hindered.append(error)
        return {"done": str(error), "mended": False}
    except LinclassError as error:
        return {"done": str(error), "mended": False}
    except OSError as error:
        hindered.append(ResourceError(f"cannot read {error.filename}: {error.strerror}"))
        return {"done": str(hindered[-1]), "mended": False}
