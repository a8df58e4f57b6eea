"""What extractors refuse, and how they say it; the registry."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from linclass_cli.errors import InputError
from linclass_cli.features import (
    FEATURES,
    Colours,
    Flipped,
    Gradients,
    Hog,
    Hue,
    Pairs,
    Pixels,
    make_extractor,
)

EXTRACTORS = [
    Hog(pixels_per_cell=4, cells_per_block=2),
    Hue(),
    Pixels(),
    Gradients(),
    Pairs(),
    Colours(),
    Flipped(Pixels()),
    Flipped(Hog(pixels_per_cell=4, cells_per_block=2)),
]


@pytest.mark.parametrize("name", FEATURES)
def test_registry(name):
    extractor = make_extractor(name)
    assert extractor.name == name
    assert isinstance(extractor.version, int)
    assert extractor == make_extractor(name, **json.loads(json.dumps(extractor.params)))


def test_parameters_reach_the_extractor():
    hog = make_extractor("hog", orientations=8, channels="largest")
    assert hog == Hog(orientations=8, channels="largest")
    assert hog.params == {
        "orientations": 8,
        "pixels_per_cell": 8,
        "cells_per_block": 3,
        "block_norm": "L2-Hys",
        "transform_sqrt": False,
        "channels": "largest",
    }
    assert make_extractor("hue", bins=8).params == {"bins": 8}


def test_unknown_feature():
    with pytest.raises(
        InputError, match=r"unknown feature: 'hgo'; did you mean hog\?; known: hog, hue, pixels"
    ):
        make_extractor("hgo")
    with pytest.raises(InputError, match="unknown feature: 'sift'; known: hog, hue, pixels"):
        make_extractor("sift")


def test_unknown_parameter():
    with pytest.raises(InputError, match=r"parameter of hog: 'orientation'; did you mean orientations\?"):
        make_extractor("hog", orientation=8)
    with pytest.raises(InputError, match="parameter of pixels: 'bins'; known: none"):
        make_extractor("pixels", bins=8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"orientations": 0}, "orientations must be a whole number, 1 to 36, not 0"),
        ({"orientations": 37}, "orientations must be .* not 37"),
        ({"orientations": 9.0}, "orientations must be .* not 9.0"),
        ({"pixels_per_cell": 0}, "pixels_per_cell must be a whole number, at least 1, not 0"),
        ({"cells_per_block": True}, "cells_per_block must be .* not True"),
        ({"block_norm": "L3"}, "block_norm must be one of L1, L1-sqrt, L2, L2-Hys, not 'L3'"),
        ({"channels": "max"}, "channels must be one of mean, largest, not 'max'"),
        ({"transform_sqrt": 1}, "transform_sqrt must be true or false, not 1"),
    ],
)
def test_impossible_hog_parameters(params, message):
    with pytest.raises(InputError, match=message):
        make_extractor("hog", **params)


def test_hog_of_too_small_images():
    with pytest.raises(InputError) as raised:
        Hog().dim((20, 40, 3))
    text = str(raised.value)
    assert "20 x 40 pixels" in text
    assert "cells of 8 x 8 pixels and blocks of 3 x 3 cells: one block needs 24 x 24 pixels" in text
    assert "cells of 6 x 6 pixels or blocks of 2 x 2 cells would fit" in text
    assert Hog(pixels_per_cell=6).dim((20, 40, 3)) > 0
    assert Hog(cells_per_block=2).dim((20, 40, 3)) > 0
    with pytest.raises(InputError, match="too small"):
        Hog()(np.zeros((1, 23, 24, 3), dtype=np.uint8), np.zeros((1, 81), dtype=np.float32))
    with pytest.raises(InputError, match=r"one block needs 8 x 8 pixels; cells of 1 x 1 pixels would fit$"):
        Hog(pixels_per_cell=4, cells_per_block=2).dim((2, 2, 1))
    with pytest.raises(InputError, match=r"one block needs 12 x 12 pixels$"):
        Hog(pixels_per_cell=4).dim((2, 2, 1))


@pytest.mark.parametrize(
    ("shape", "d"), [((32, 32, 3), 324), ((24, 24, 1), 81), ((31, 47, 3), 243), ((96, 64, 3), 10 * 6 * 81)]
)
def test_hog_dim(shape, d):
    assert Hog().dim(shape) == d


@pytest.mark.parametrize("extractor", EXTRACTORS, ids=str)
@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), dtype=np.float32),
        np.zeros((2, 8, 8, 3), dtype=np.int8),
        np.zeros((8, 8, 3), dtype=np.uint8),
        [[[[0]]]],
        None,
    ],
    ids=["float32", "int8", "3-d", "list", "None"],
)
def test_wrong_images(extractor, images):
    with pytest.raises(InputError, match=r"images must be a uint8 array \(n, height, width, channels\), not"):
        extractor(images, np.zeros((2, extractor.dim((8, 8, 3))), dtype=np.float32))


@pytest.mark.parametrize("extractor", EXTRACTORS, ids=str)
def test_wrong_out(extractor):
    images = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    d = extractor.dim((8, 8, 3))
    for out in (np.zeros((2, d)), np.zeros((2, d + 1), np.float32), np.zeros((1, d), np.float32), None):
        with pytest.raises(InputError, match=rf"out must be a float32 array \(2, {d}\), not"):
            extractor(images, out)
    locked = np.zeros((2, d), dtype=np.float32)
    locked.flags.writeable = False
    for out in (locked, np.zeros((d, 2), dtype=np.float32).T):
        with pytest.raises(InputError, match="out must be writable and contiguous"):
            extractor(images, out)


@pytest.mark.parametrize("extractor", EXTRACTORS, ids=str)
@pytest.mark.parametrize("shape", [(0, 8, 3), (8, 8), (8, 8, 2000)])
def test_impossible_shapes(extractor, shape):
    with pytest.raises(InputError, match=r"shape is \(height, width, channels\)|at most 1024 channels"):
        extractor.dim(shape)


def test_the_registry_loads_nothing_slow():
    code = "import sys, linclass_cli.features; sys.exit('numpy' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
