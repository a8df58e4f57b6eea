"""Results today are those of golden.json, on any processor and BLAS: only sums' last bits may differ.

The tolerances are some ten times what OpenBLAS's other kernels and Numba's code for other processors changed.
"""

from __future__ import annotations

import json

import pytest

from tests import golden

KEPT = json.loads(golden.FILE.read_text())
# Of each number (relative, absolute); 1: an image whose best two scores are equal but for rounding.
TOLERANCE = {
    "mean": (1e-7, 0),
    "deviation": (1e-7, 0),
    "values": (1e-6, 1e-6),
    "right": (0, 1),
    "objective": (1e-6, 0),
    "objectives": (2e-6, 0),
    "test_loss": (1e-3, 0),
    "norm": (1e-3, 0),
    "weights": (0, 1e-5),
}


@pytest.fixture(scope="module")
def found():
    return golden.compute()


def test_what_is_computed_is_what_is_kept(found):
    assert set(found) == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_results_are_those_that_are_kept(found, name):
    assert set(found[name]) == set(KEPT[name])
    for number, kept in KEPT[name].items():
        if number not in TOLERANCE:
            assert found[name][number] == kept, number
            continue
        relative, absolute = TOLERANCE[number]
        if number == "objective" and "smoothed" in name:
            relative = 1e-4  # it is solved to 1e-3 only
        assert found[name][number] == pytest.approx(kept, rel=relative, abs=absolute), (
            f"{number} changed; where that is meant, run python -m tests.golden, and say why in the commit"
        )
