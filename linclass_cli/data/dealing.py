"""Which rows are for training and which for the test, and which content stands in both."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.errors import InputError
from linclass_cli.threads import Spans, in_chunks

Codes = NDArray[np.int64]
_CHUNK = 512  # rows that a thread hashes at a time


def row_digests(rows: NDArray[Any]) -> list[bytes]:
    """16 bytes for each row of an array (n, ...): equal for equal content, and in practice only then."""
    digests = [b""] * len(rows)

    def work(spans: Spans) -> None:
        for start, stop in spans:
            for row in range(start, stop):
                content = np.ascontiguousarray(rows[row])
                digests[row] = hashlib.blake2b(content.data.cast("B"), digest_size=16).digest()

    in_chunks(work, len(rows), _CHUNK)
    return digests


def deal(codes: Codes, digests: list[bytes], fraction: float) -> NDArray[np.bool_]:
    """Which rows are for the test, bool (n,): of each class the share ``fraction``, by content alone.

    Of a class of m rows, round(fraction * m) are wanted, at least one and at most m - 1. They are those whose
    digests come first, so that neither names nor the order of the rows decide; rows of equal content stay
    together, even where that leaves a few rows less for the test.
    """
    test = np.zeros(len(codes), np.bool_)
    for code in range(int(codes.max()) + 1 if len(codes) else 0):
        members = np.flatnonzero(codes == code)
        groups: dict[bytes, list[int]] = defaultdict(list)
        for row in members.tolist():
            groups[digests[row]].append(row)
        wanted = max(1, min(math.floor(fraction * len(members) + 0.5), len(members) - 1))
        if len(groups) < 2:
            continue  # it cannot be divided
        for key in sorted(groups):
            if len(groups[key]) <= wanted:
                test[groups[key]] = True
                wanted -= len(groups[key])
    return test


def check_parts(codes: Codes, test: NDArray[np.bool_], classes: tuple[str, ...], what: str) -> list[str]:
    """Raise InputError unless the parts can be learned from and tested on; the classes without a test row."""
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise InputError(f"{what}: expected two classes or more, found {found}")
    train = np.bincount(codes[~test], minlength=len(classes))
    tested = np.bincount(codes[test], minlength=len(classes))
    unknown = [classes[i] for i in np.flatnonzero(train == 0)]
    if unknown:
        raise InputError(
            f"{what}: {_few(unknown)} in the test part and not in the training part; add training rows of "
            f"{'it' if len(unknown) == 1 else 'them'}, or take {'it' if len(unknown) == 1 else 'them'} out"
        )
    if not test.any():
        raise InputError(f"{what}: no row is left for the test part; every class has too few different rows")
    return [classes[i] for i in np.flatnonzero(tested == 0)]


def _few(names: list[str]) -> str:
    kind = "class" if len(names) == 1 else "classes"
    rest = f" and {len(names) - 5} more are" if len(names) > 5 else " is" if len(names) == 1 else " are"
    return f"{kind} {', '.join(repr(name) for name in names[:5])}{rest}"


def describe_duplicates(
    digests: dict[str, list[bytes]], labels: dict[str, list[str]], names: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """What stands in both parts, group after group: ``train`` and ``test`` list its names, where there are
    names, else the numbers of its rows (from 0), ``classes`` what it is labelled as. All by part, row by row.
    """
    groups = find_duplicates(digests["train"], digests["test"])
    return [
        {
            "train": [names["train"][row] for row in train] if names else train,
            "test": [names["test"][row] for row in test] if names else test,
            "classes": sorted({labels["train"][r] for r in train} | {labels["test"][r] for r in test}),
        }
        for train, test in groups
    ]


def find_duplicates(train: list[bytes], test: list[bytes]) -> list[tuple[list[int], list[int]]]:
    """The rows of the training and of the test part that hold the same content, group after group."""
    shared = set(train) & set(test)
    groups: dict[bytes, tuple[list[int], list[int]]] = {key: ([], []) for key in shared}
    for part, digests in enumerate((train, test)):
        for row, key in enumerate(digests):
            if key in shared:
                groups[key][part].append(row)
    return sorted(groups.values())
