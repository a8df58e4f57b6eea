"""From what the user has to a dataset in the cache: stage the rows, deal them out, write, rename.

The files are gathered under a temporary name and take their place together, so an import that breaks leaves
what was there before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.atomic import remove
from linclass_cli.atomic_folders import place_folder, scratch_folder
from linclass_cli.data.dealing import Digests, check_parts, deal, describe_duplicates, row_digests
from linclass_cli.data.imported import load_sources, write_description, write_part
from linclass_cli.data.info import MANIFEST, Advance, DatasetInfo, dataset_folder
from linclass_cli.data.labels import number_classes
from linclass_cli.data.own import Description, check_dataset_name, damaged_files, read_description, read_own
from linclass_cli.data.sources import Keys, Source, find_source
from linclass_cli.data.staging import Staged, Wish
from linclass_cli.errors import InputError, IntegrityError, MissingError
from linclass_cli.locks import holding, lock_path
from linclass_cli.signals import NOTHING, at_work

Notice = Callable[[str], None]


def silent(_: str) -> None:
    """Hears of nothing."""


@dataclass(frozen=True)
class Imported:
    """An imported dataset. ``image_shape`` is (h, w, c) in pixels, None for vectors, which have ``d`` values.

    ``skipped``: ``path`` and ``reason`` of what could not be read; ``ignored``: files that are no pictures;
    ``duplicates``: ``train`` and ``test`` list what holds the same content in both parts (the names of files
    where there are files, else the numbers of rows), with the ``classes`` it is labelled as.
    """

    dataset: str
    path: Path
    kind: str
    n_train: int
    n_test: int
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int] | None
    d: int | None
    cached: bool
    seconds: float
    skipped: list[dict[str, str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    duplicates: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Order:
    """How to import: what pictures become, the test's share where nothing says what it is, ``force``.

    ``typed``: the flags, for a message that names the command again.
    """

    wish: Wish = field(default_factory=Wish)
    keys: Keys = field(default_factory=Keys)
    test_fraction: float = 0.2
    force: bool = False
    typed: str = ""


def import_dataset(
    path: Path, name: str, cache_dir: Path, order: Order, advance: Advance, notice: Notice
) -> Imported:
    """Make a dataset of the user's own, of pictures or vectors; the same content again changes nothing.

    While another process imports one of the same name, this one waits, and says so to ``notice``.

    Raises:
        MissingError: there is no such path, or a file that a list names.
        InputError: what is there cannot be a dataset, or the name has other content already (not ``force``).
        ResourceError: no space, no permission.
    """
    began = time.perf_counter()
    check_dataset_name(name)
    source = find_source(path, order.keys, cache_dir)
    mark = source.fingerprint([order.test_fraction, asdict(order.wish)])
    folder = dataset_folder(name, cache_dir)

    def found() -> Imported | None:
        held = _held(name, cache_dir, silent)
        if held is None or order.force or held.fingerprint != mark:
            return None
        return _report(held.info, cache_dir, load_sources(name, cache_dir), True, began)

    done = found()
    if done is None:
        with holding(lock_path(folder), lambda who: notice(f"{who} is at {name}, too: waiting for it")):
            done = found()
            if done is None:
                about = {"source": str(path.absolute()), "typed": order.typed, "fingerprint": mark}
                info, sources, same = _make(folder, source, order, about, cache_dir, advance, notice)
                done = _report(info, cache_dir, sources, same, began)
    return done


def _make(
    folder: Path,
    source: Source,
    order: Order,
    about: dict[str, Any],
    cache_dir: Path,
    advance: Advance,
    notice: Notice,
) -> tuple[DatasetInfo, dict[str, Any], bool]:
    """Make the dataset's folder; what is in it, and whether the same was there and has been left."""
    name = folder.name
    held = _held(name, cache_dir, notice)
    if not held and folder.exists() and not (folder / MANIFEST).exists():
        raise InputError(f"{folder} is there, and is no dataset: move it away, or choose another --name")
    with at_work(NOTHING), scratch_folder(folder) as fresh:
        sources = _fill(fresh, source, order, about, advance, notice)
        made = read_description(fresh, name, cache_dir)
        same = held is not None and held.info.digest == made.info.digest
        if held and not same and not order.force:
            raise _taken(held, made)
        if not same or order.force:
            place_folder(fresh, folder, over=True)
    return made.info, sources, same and not order.force


def _held(name: str, cache_dir: Path, notice: Notice) -> Description | None:
    """The dataset that has the name already, intact; None where there is none, or a damaged one."""
    try:
        found = read_own(name, cache_dir)
        damaged = damaged_files(found, dataset_folder(name, cache_dir))
    except MissingError:
        return None
    except IntegrityError:
        damaged = ["dataset.json"]
    if damaged:
        notice(f"{name} is there already, but {', '.join(damaged)} is damaged: importing it anew")
        return None
    return found


def _taken(held: Description, made: Description) -> InputError:
    def size(info: DatasetInfo) -> str:
        return f"{info.n_train:,} + {info.n_test:,} rows, {len(info.classes)} classes"

    return InputError(
        f"{held.info.name} is there already, with other content: {size(held.info)}, imported from "
        f"{held.source}; this has {size(made.info)}: choose another --name, or replace it with --force"
    )


def _fill(
    folder: Path, source: Source, order: Order, about: dict[str, Any], advance: Advance, notice: Notice
) -> dict[str, Any]:
    """Write a whole dataset into an empty folder; what ``sources.json`` holds."""
    scratch = folder / "staged"
    staged = source.stage(scratch, order.wish, advance)
    what = about["source"]
    classes, codes = number_classes(staged.labels)
    digests = row_digests(staged.rows)
    test = _test_rows(staged, codes, digests, order.test_fraction, notice)
    untested = check_parts(codes, test, classes, what)
    if untested:
        notice(f"note: no test row of {', '.join(untested[:5])}{' …' if len(untested) > 5 else ''}")
    chosen = {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}
    for part, rows in chosen.items():
        write_part(folder, part, staged.rows, codes, rows)
    sources = _sources(staged, chosen, digests)
    vectors = staged.rows.ndim == 2
    shape = staged.rows.shape[1:]
    description = {
        "kind": "vectors" if vectors else "images",
        "classes": list(classes),
        "image_shape": [1, 1, *shape] if vectors else list(shape),
        "fit": staged.fit,
        "n_train": len(chosen["train"]),
        "n_test": len(chosen["test"]),
        **about,
    }
    remove(scratch)
    write_description(folder, description, sources)
    return sources


def _test_rows(
    staged: Staged, codes: NDArray[np.int64], digests: Digests, fraction: float, notice: Notice
) -> NDArray[np.bool_]:
    """Which rows are for the test: what the parts say, or a share of each class."""
    parts = np.array(staged.parts)
    found = set(staged.parts)
    if found <= {""} or found == {"train"}:
        return deal(codes, digests, fraction)
    if "" in found:
        row = staged.parts.index("")
        name = staged.origins[row] if staged.origins else f"row {row}"
        raise InputError(f"{name} is in no part, and others are: say train or test for all, or for none")
    if "val" in found:
        use = "are added to the training part" if "test" in found else "are the test part"
        notice(f"note: the {int((parts == 'val').sum()):,} rows of the validation part {use}")
    test: NDArray[np.bool_] = parts == ("test" if "test" in found else "val")
    return test


def _sources(staged: Staged, chosen: dict[str, NDArray[np.int64]], digests: Digests) -> dict[str, Any]:
    """What the rows were called, what was left out, and what stands in both parts."""

    def names(part: str) -> list[str]:
        return [staged.origins[row] for row in chosen[part]]

    files = {part: names(part) for part in chosen} if staged.origins else {}
    labels = {part: [staged.labels[row] for row in rows] for part, rows in chosen.items()}
    hashes = {part: digests[rows] for part, rows in chosen.items()}
    duplicates = describe_duplicates(hashes, labels, files)
    skipped = [{"path": origin, "reason": reason} for origin, reason in staged.skipped]
    return {"files": files, "skipped": skipped, "ignored": staged.ignored, "duplicates": duplicates}


def _report(
    info: DatasetInfo, cache_dir: Path, sources: dict[str, Any], cached: bool, began: float
) -> Imported:
    return Imported(
        dataset=info.name,
        path=dataset_folder(info.name, cache_dir),
        kind=info.kind,
        n_train=info.n_train,
        n_test=info.n_test,
        classes=info.classes,
        image_shape=None if info.d else info.image_shape,
        d=info.d,
        cached=cached,
        seconds=time.perf_counter() - began,
        skipped=sources["skipped"],
        ignored=sources["ignored"],
        duplicates=sources["duplicates"],
    )
