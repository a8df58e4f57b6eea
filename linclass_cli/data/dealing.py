"""Which rows are for training and which for the test, and which content stands in both."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linclass_cli.errors import InputError
from linclass_cli.threads import Spans, in_chunks

Codes = NDArray[np.int64]
Digests = NDArray[np.uint8]
_CHUNK = 512  # rows that a thread hashes at a time


def row_digests(rows: NDArray[Any]) -> Digests:
    """16 bytes for each row of an array (n, ...), u8 (n, 16): equal for equal content, and only then.

    (In practice: they are BLAKE2b's.)
    """
    digests = np.empty((len(rows), 16), np.uint8)

    def work(spans: Spans) -> None:
        for start, stop in spans:
            for row in range(start, stop):
                content = np.ascontiguousarray(rows[row])
                found = hashlib.blake2b(content.data.cast("B"), digest_size=16).digest()
                digests[row] = np.frombuffer(found, np.uint8)

    in_chunks(work, len(rows), _CHUNK)
    return digests


def deal(codes: Codes, digests: Digests, fraction: float) -> NDArray[np.bool_]:
    """Which rows are for the test, bool (n,): of each class the share ``fraction``, by content alone.

    Of a class of m rows, round(fraction * m) are wanted, at least one and at most m - 1. They are those whose
    digests come first, so that neither names nor the order of the rows decide; rows of equal content stay
    together, even where that leaves a few rows less for the test.
    """
    test = np.zeros(len(codes), np.bool_)
    for code in range(int(codes.max()) + 1 if len(codes) else 0):
        members = np.flatnonzero(codes == code)
        order, starts = _alike(digests[members])
        wanted = max(1, min(math.floor(fraction * len(members) + 0.5), len(members) - 1))
        if len(starts) < 2:
            continue  # it cannot be divided
        sizes = np.diff(starts, append=len(order))
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            if size <= wanted:
                test[members[order[start : start + size]]] = True
                wanted -= size
            if wanted == 0:
                break
    return test


def _alike(digests: Digests) -> tuple[Codes, Codes]:
    """The rows by their digests, equal ones in their own order, and where each run of equal ones begins."""
    halves = digests.view(">u8")
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    ranked = halves[order]
    new = (ranked[1:] != ranked[:-1]).any(axis=1)
    return order, np.flatnonzero(np.append(len(order) > 0, new)[: len(order)])


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
    digests: dict[str, Digests], labels: dict[str, list[str]], names: dict[str, list[str]]
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


def find_duplicates(train: Digests, test: Digests) -> list[tuple[list[int], list[int]]]:
    """The rows of the training and of the test part that hold the same content, group after group."""
    order, starts = _alike(np.concatenate([train, test]))
    stops = np.append(starts, len(order))[1:]
    # In a run of equal ones those of the training part come first.
    both = (order[starts] < len(train)) & (order[stops - 1] >= len(train))
    groups = []
    for start, stop in zip(starts[both].tolist(), stops[both].tolist(), strict=True):
        rows = order[start:stop]
        own = rows < len(train)
        groups.append((rows[own].tolist(), (rows[~own] - len(train)).tolist()))
    return sorted(groups)
