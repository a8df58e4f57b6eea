"""Dealing rows out by their content, and what stands in both parts: beside the plain way to say it."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from linclass_cli.data.dealing import deal, find_duplicates, row_digests


def groups_of(digests: np.ndarray) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        groups[digest.tobytes()].append(row)
    return groups


@pytest.mark.parametrize("seed", range(20))
def test_dealing_is_by_content_alone(seed):
    rng = np.random.default_rng(seed)
    n, fraction = int(rng.integers(2, 60)), rng.random()
    rows = rng.integers(0, 1 + int(rng.integers(0, 30)), (n, 1)).astype(np.uint8)
    codes, digests = rng.integers(0, 3, n), row_digests(rows)
    wanted = np.zeros(n, bool)
    for code in range(3):
        members = np.flatnonzero(codes == code)
        left = max(1, min(math.floor(fraction * len(members) + 0.5), len(members) - 1))
        groups = groups_of(digests[members])
        for key in sorted(groups) if len(groups) > 1 else []:
            if len(groups[key]) <= left:
                wanted[members[groups[key]]] = True
                left -= len(groups[key])
    assert np.array_equal(deal(codes, digests, fraction), wanted)


@pytest.mark.parametrize("seed", range(20))
def test_duplicates_are_all_rows_of_each_content_in_both_parts(seed):
    rng = np.random.default_rng(seed)
    parts = [
        row_digests(rng.integers(0, 12, (int(rng.integers(0, 15)), 2)).astype(np.float32)) for _ in range(2)
    ]
    train, test = map(groups_of, parts)
    assert find_duplicates(*parts) == sorted((train[key], test[key]) for key in train.keys() & test.keys())
