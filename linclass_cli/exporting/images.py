"""From images to features as ONNX nodes, for those features of which that can be done faithfully.

HOG without arctan2: as in linclass's own kernels, a pixel's bin is the number of boundaries that its gradient
passes, each one comparison of ``row * cot(boundary)`` with ``col`` (`features.hog_tables`). Differences and
thresholds are the kernels' own, whole numbers and float32, so every pixel gets the same bin; only the order
of sums within a cell is the runtime's.
"""

from __future__ import annotations

import numpy as np

from linclass_cli.exporting.graph import Graph
from linclass_cli.exporting.patch_nodes import patch_nodes
from linclass_cli.features import Extractor
from linclass_cli.features.flipped import Flipped, mirror_pairs
from linclass_cli.features.hog import BLOCK_NORMS, Hog
from linclass_cli.features.hog_tables import HogPlan, hog_plan
from linclass_cli.features.joined import Joined
from linclass_cli.features.patches import Patches
from linclass_cli.features.pixels import Pixels

Shape = tuple[int, int, int]
_EPS, _CLIP = 1e-5, 0.2  # of the block norms, as in `features.hog_kernels`


def unfaithful(extractor: Extractor, shape: Shape) -> str | None:
    """Why features of images of this shape (height, width, channels) cannot be ONNX nodes; None: they can."""
    if isinstance(extractor, Joined):
        return next((why for part in extractor.parts if (why := unfaithful(part, shape))), None)
    if isinstance(extractor, Flipped):
        return unfaithful(extractor.part, shape)
    if isinstance(extractor, Patches):
        K = extractor.patch_size**2 * shape[2]
        fits = extractor.dictionary is not None and extractor.dictionary.mean.shape == (K,)
        return None if fits else "the dictionary of patches is not one of images of such channels"
    if isinstance(extractor, Pixels):
        return None
    if not isinstance(extractor, Hog):
        return (
            f"{extractor.name} is not among the features that are exported with images in: hog, pixels and "
            "patches"
        )
    if extractor.transform_sqrt:
        return "hog with transform_sqrt rounds where ONNX's functions round otherwise"
    if _plan(extractor, shape).pairs:
        return (
            f"hog with {extractor.orientations} orientations of images of {shape[2]} channels has ties at 45 "
            "degrees, which arctan2 decides, and ONNX has none"
        )
    if min(shape[:2]) < 3:
        return "images of less than 3 pixels have no gradients"
    return None


def image_nodes(graph: Graph, images: str, extractor: Extractor, shape: Shape) -> str:
    """Features, float32 (n, d), of ``images``, uint8 (n, *shape), where `unfaithful` has no objection."""
    if isinstance(extractor, Joined):
        parts = [image_nodes(graph, images, part, shape) for part in extractor.parts]
        return graph.add("Concat", *parts, axis=1)
    if isinstance(extractor, Flipped):
        return _flipped(graph, images, extractor, shape)
    if isinstance(extractor, Patches):
        return patch_nodes(graph, images, extractor, shape)
    pixels = graph.cast(images, np.float32)
    if isinstance(extractor, Pixels):
        return graph.reshape(graph.add("Div", pixels, graph.constant(255.0)), -1, int(np.prod(shape)))
    assert isinstance(extractor, Hog)
    plan = _plan(extractor, shape)
    rows, cols = _gradients(graph, pixels, plan)
    return _blocks(graph, _cells(graph, rows, cols, plan), plan)


def _flipped(graph: Graph, images: str, extractor: Flipped, shape: Shape) -> str:
    """Features of each image and its mirror image together."""
    own = image_nodes(graph, images, extractor.part, shape)
    pairs = mirror_pairs(extractor.part, shape)
    if pairs is None:
        back = (graph.constant([x], np.int64) for x in (-1, -(2**63), 2, -1))
        other = image_nodes(graph, graph.add("Slice", images, *back), extractor.part, shape)
        return graph.add("Mul", graph.add("Add", own, other), graph.constant(0.5))
    both = [
        graph.add("Gather", own, graph.constant(columns, np.int64), axis=1)
        for columns in (pairs.first, pairs.second)
    ]
    return graph.add("Mul", graph.add("Add", *both), graph.constant(pairs.factor))


def _plan(hog: Hog, shape: Shape) -> HogPlan:
    return hog_plan(
        shape,
        hog.orientations,
        hog.pixels_per_cell,
        hog.cells_per_block,
        BLOCK_NORMS.index(hog.block_norm),
        hog.transform_sqrt,
        hog.channels == "largest",
    )


def _gradients(graph: Graph, pixels: str, plan: HogPlan) -> tuple[str, str]:
    """Differences (n, 1, height, width) down and to the right, whole numbers; 0 on the border."""
    planes = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    if not plan.largest and plan.channels > 1:
        planes = graph.add("ReduceSum", planes, graph.constant([1], np.int64), keepdims=1)
    found = []
    for axis, pads in ((2, [0, 0, 1, 0, 0, 0, 1, 0]), (3, [0, 0, 0, 1, 0, 0, 0, 1])):
        size = (plan.height, plan.width)[axis - 2]
        ahead, behind = graph.slice(planes, axis, 2, size), graph.slice(planes, axis, 0, size - 2)
        found.append(graph.add("Pad", graph.add("Sub", ahead, behind), graph.constant(pads, np.int64)))
    rows, cols = found
    if not plan.largest or plan.channels == 1:
        return rows, cols
    # The channel of the largest hypot, as numpy rounds it, the first of equals: its rank is looked up.
    sides = np.arange(256.0)
    ranks = np.unique(np.hypot(*np.meshgrid(sides, sides, indexing="ij")), return_inverse=True)[1]
    down = graph.add("Mul", graph.add("Abs", rows), graph.constant(256.0))
    place = graph.cast(graph.add("Add", down, graph.add("Abs", cols)), np.int64)
    rank = graph.add("Gather", graph.constant(ranks.reshape(-1), np.float32), place, axis=0)
    best = graph.add("ArgMax", rank, axis=1, keepdims=1)
    return (
        graph.add("GatherElements", rows, best, axis=1),
        graph.add("GatherElements", cols, best, axis=1),
    )


def _cells(graph: Graph, rows: str, cols: str, plan: HogPlan) -> str:
    """Histograms (n, cells, orientations)."""
    squares = graph.add("Add", graph.add("Mul", rows, rows), graph.add("Mul", cols, cols))
    magnitude = graph.add("Sqrt", squares)
    # Upwards, and 0 and 180 degrees both in bin 0, as the kernel has it.
    zero, one = graph.constant(0.0), graph.constant(1.0)
    up = graph.add("Where", graph.add("Less", rows, zero), graph.add("Neg", cols), cols)
    up = graph.add("Where", graph.add("Equal", rows, zero), one, up)
    down = graph.add("Abs", rows)
    votes = []
    passed = one  # of each boundary in turn: they are passed one after the other
    for threshold in plan.thresholds[: plan.orientations - 1]:
        reached = graph.add("Mul", down, graph.constant(threshold))
        beyond = graph.cast(graph.add("GreaterOrEqual", reached, up), np.float32)
        votes.append(graph.add("Mul", magnitude, graph.add("Sub", passed, beyond)))
        passed = beyond
    votes.append(graph.add("Mul", magnitude, passed))
    planes = graph.add("Concat", *votes, axis=1) if len(votes) > 1 else votes[0]
    cells_y, cells_x = plan.height // plan.cell, plan.width // plan.cell
    planes = graph.slice(planes, 2, 0, cells_y * plan.cell)
    planes = graph.slice(planes, 3, 0, cells_x * plan.cell)
    side = [plan.cell, plan.cell]
    means = graph.add("AveragePool", planes, kernel_shape=side, strides=side)
    parts = 1 if plan.largest else plan.channels
    means = graph.add("Div", means, graph.constant(float(parts)))
    last = graph.add("Transpose", means, perm=[0, 2, 3, 1])
    return graph.reshape(last, -1, cells_y * cells_x, plan.orientations)


def _blocks(graph: Graph, cells: str, plan: HogPlan) -> str:
    """Overlapping blocks of cells, each normalised, in one row an image: (n, d)."""
    cells_y, cells_x = plan.height // plan.cell, plan.width // plan.cell
    grid = np.arange(cells_y * cells_x).reshape(cells_y, cells_x)
    windows = np.lib.stride_tricks.sliding_window_view(grid, (plan.block, plan.block))
    count, size = windows.shape[0] * windows.shape[1], plan.block**2 * plan.orientations
    blocks = graph.add("Gather", cells, graph.constant(windows.reshape(-1), np.int64), axis=1)
    blocks = graph.reshape(blocks, -1, count, size)
    norm = BLOCK_NORMS[plan.norm]
    if norm.startswith("L1"):
        total = graph.add("ReduceSum", blocks, graph.constant([2], np.int64), keepdims=1)
        blocks = graph.add("Div", blocks, graph.add("Add", total, graph.constant(_EPS)))
        blocks = graph.add("Sqrt", blocks) if norm == "L1-sqrt" else blocks
    else:
        blocks = _by_length(graph, blocks)
        if norm == "L2-Hys":
            blocks = _by_length(graph, graph.add("Min", blocks, graph.constant(_CLIP)))
    return graph.reshape(blocks, -1, count * size)


def _by_length(graph: Graph, blocks: str) -> str:
    squares = graph.add("ReduceSumSquare", blocks, axes=[2], keepdims=1)
    length = graph.add("Sqrt", graph.add("Add", squares, graph.constant(_EPS**2)))
    return graph.add("Div", blocks, length)
