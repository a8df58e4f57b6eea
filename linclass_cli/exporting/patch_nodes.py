"""The feature ``patches`` as ONNX nodes: a convolution in place of cutting, normalising and whitening.

A patch p answers a filter f with f' whitening ((p - its mean) * factor - mean), the factor being the one that
evens out contrast. Without that factor this is linear in the pixels: a convolution with kernels of sum 0. The
factors are the kernels' own: sums of whole numbers, exact in float64; only sums of products round otherwise.
A distance to f takes the length of the whitened patch, too, whose values are K more answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linclass_cli.exporting.graph import Graph
from linclass_cli.features.patches import Patches

Shape = tuple[int, int, int]
_GREY = 128  # pixels are taken around it: kernels of sum 0 do not see that, but there is less to round


def patch_nodes(graph: Graph, images: str, patches: Patches, shape: Shape) -> str:
    """Features, float32 (n, d), of ``images``, uint8 (n, *shape), by a feature that has its dictionary."""
    cells = _pooled(graph, images, patches, shape)
    side = 1 + patches.cells - patches.pooling
    grid = np.arange(patches.cells**2).reshape(patches.cells, patches.cells)
    parts = np.lib.stride_tricks.sliding_window_view(grid, (side, side)).reshape(-1, side * side)
    sums = [graph.add("Gather", cells, graph.constant(part, np.int64), axis=1) for part in parts.T]
    seen = graph.add("Sum", *sums) if len(sums) > 1 else sums[0]
    seen = graph.add("Sqrt", seen) if patches.square_root else seen
    return graph.reshape(seen, -1, patches.pooling**2 * patches.values * patches.filters)


def _pooled(graph: Graph, images: str, patches: Patches, shape: Shape) -> str:
    """The codes of patches, summed: (n, cells, values, filters)."""
    learned = patches.dictionary
    assert learned is not None
    size, grid, (height, width, channels) = patches.patch_size, patches.cells, shape
    filters, whitening = np.asarray(learned.filters, np.float64), np.asarray(learned.whitening, np.float64)
    product = filters @ whitening
    product = np.concatenate([product, whitening]) if patches.encoding == "triangle" else product
    offset = (product @ np.asarray(learned.mean, np.float64)).reshape(-1, 1, 1)
    kernels = (product - product.mean(axis=1, keepdims=True)).reshape(-1, size, size, channels)
    weight = graph.constant(kernels.transpose(0, 3, 1, 2))
    shifts = [0.0] if patches.encoding == "triangle" else [patches.threshold, -patches.threshold]
    centres = [graph.constant(offset + shift) for shift in shifts]

    planes = graph.add("Transpose", graph.cast(images, np.float32), perm=[0, 3, 1, 2])
    planes = graph.add("Sub", planes, graph.constant(float(_GREY)))
    factors = _factors(graph, images, patches, shape)
    down, across = height - size + 1, width - size + 1
    columns = [(b * across // grid, (b + 1) * across // grid) for b in range(grid)]
    sums = []
    for a in range(grid):
        # One row of cells after the other: answers to all filters are many times the image.
        first, last = a * down // grid, (a + 1) * down // grid
        answers = graph.add("Conv", graph.slice(planes, 2, first, last + size - 1), weight)
        answers = graph.add("Mul", answers, graph.slice(factors, 2, first, last))
        if patches.encoding == "triangle":
            codes = [_nearer(graph, graph.add("Sub", answers, *centres), filters)]
        else:
            upper, lower = centres
            pairs = ((answers, upper), (lower, answers))
            codes = [graph.add("Relu", graph.add("Sub", *pair)) for pair in pairs]
        for start, stop in columns:
            for one in codes:
                region = graph.slice(one, 3, start, stop)
                axes = graph.constant([2, 3], np.int64)
                sums.append(graph.add("ReduceSum", region, axes, keepdims=0))
    return graph.reshape(graph.add("Concat", *sums, axis=1), -1, grid**2, patches.values, patches.filters)


def _nearer(graph: Graph, answers: str, filters: np.ndarray[Any, np.dtype[Any]]) -> str:
    """How much less than their mean the distances to filters (F, K) are: (n, F, rows, columns).

    ``answers`` (n, F + K, rows, columns): products of whitened patches with the filters, and the patches.
    """
    F, K = filters.shape
    squares = graph.constant((filters**2).sum(axis=1).reshape(-1, 1, 1))
    products, patch = graph.slice(answers, 1, 0, F), graph.slice(answers, 1, F, F + K)
    lengths = graph.add("ReduceSumSquare", patch, axes=[1])
    twice = graph.add("Mul", products, graph.constant(2.0))
    distances = graph.add("Sub", graph.add("Add", lengths, squares), twice)
    distances = graph.add("Sqrt", graph.add("Relu", distances))
    return graph.add("Relu", graph.add("Sub", graph.add("ReduceMean", distances, axes=[1]), distances))


def _factors(graph: Graph, images: str, patches: Patches, shape: Shape) -> str:
    """1 / sqrt(variance + contrast) of each patch, float32 (n, 1, rows of patches, columns); 0 if flat."""
    size = patches.patch_size
    K = size**2 * shape[2]
    pixels = graph.cast(images, np.float64)
    channels = graph.constant([3], np.int64)
    total, squares = (
        _boxes(graph, graph.add("ReduceSum", values, channels, keepdims=0), size, shape)
        for values in (pixels, graph.add("Mul", pixels, pixels))
    )
    mean = graph.add("Div", total, graph.constant(float(K), np.float64))
    spread = graph.add("Sub", squares, graph.add("Mul", total, mean))
    variance = graph.add("Div", spread, graph.constant(float(max(K - 1, 1)), np.float64))
    root = graph.add("Sqrt", graph.add("Add", variance, graph.constant(patches.contrast, np.float64)))
    # A flat patch answers nothing, and what is rounded in its convolution shall not count.
    nothing = graph.constant(0.0, np.float64)
    flat = graph.add("LessOrEqual", spread, nothing)
    factors = graph.cast(graph.add("Where", flat, nothing, graph.add("Reciprocal", root)), np.float32)
    return graph.add("Unsqueeze", factors, graph.constant([1], np.int64))


def _boxes(graph: Graph, values: str, size: int, shape: Shape) -> str:
    """Sums over size x size values, at each place where they fit, of (n, height, width) in float64."""
    for axis, long in ((1, shape[0]), (2, shape[1])):
        along = graph.constant(axis, np.int64)
        ends = graph.slice(graph.add("CumSum", values, along), axis, size - 1, long)
        before = graph.add("CumSum", values, along, exclusive=1)
        values = graph.add("Sub", ends, graph.slice(before, axis, 0, long - size + 1))
    return values
