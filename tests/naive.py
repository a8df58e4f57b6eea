"""Slow, readable twins of every kernel"""

from __future__ import annotations

import math

import numpy as np

# ---- features ----


def hog(
    image,
    orientations=9,
    pixels_per_cell=8,
    cells_per_block=3,
    block_norm="L2-Hys",
    transform_sqrt=False,
    channels="mean",
):
    """Histograms of oriented gradients of one uint8 image (height, width, channels), float64 (d,)."""
    height, width, n_channels = image.shape
    cell, block = pixels_per_cell, cells_per_block
    planes = [image.mean(axis=-1)] if channels == "mean" else [image[..., k] for k in range(n_channels)]
    planes = [plane.astype(np.float64) for plane in planes]
    if transform_sqrt:
        planes = [np.sqrt(plane) for plane in planes]
    cells = np.zeros((height // cell, width // cell, orientations))
    bounds = np.arange(orientations + 1) * (180 / orientations)
    for y in range(height // cell * cell):
        for x in range(width // cell * cell):
            best = (-1.0, 0.0, 0.0)
            for plane in planes:
                row = plane[y + 1, x] - plane[y - 1, x] if 0 < y < height - 1 else 0.0
                col = plane[y, x + 1] - plane[y, x - 1] if 0 < x < width - 1 else 0.0
                if np.hypot(row, col) > best[0]:
                    best = (np.hypot(row, col), row, col)
            magnitude, row, col = best
            # A whole array: numpy's arctan2 of a single number takes another path, with other last bits.
            degrees = (np.rad2deg(np.arctan2(np.full(8, row), np.full(8, col))) % 180)[0]
            for o in range(orientations):
                if bounds[o] <= degrees < bounds[o + 1]:
                    cells[y // cell, x // cell, o] += magnitude / cell**2
    features = []
    for y in range(height // cell - block + 1):
        for x in range(width // cell - block + 1):
            features.append(_normalised(cells[y : y + block, x : x + block].ravel(), block_norm))
    return np.concatenate(features)


def patches(image, mean, whitening, filters, pooling, threshold, contrast, overlap=False, square_root=False):
    """Pooled answers of one uint8 image (h, w, c) to filters (F, K), float64 (pooling * pooling * 2 * F,).

    Without a threshold (None): how much nearer than on average they are to a filter, (pooling**2 * F,).
    """
    size = round((len(mean) / image.shape[2]) ** 0.5)
    down, across = image.shape[0] - size + 1, image.shape[1] - size + 1
    grid, side = (pooling + 1, 2) if overlap else (pooling, 1)
    sums = np.zeros((pooling, pooling, 1 if threshold is None else 2, len(filters)))
    for a in range(pooling):
        for b in range(pooling):
            for y in range(a * down // grid, (a + side) * down // grid):
                for x in range(b * across // grid, (b + side) * across // grid):
                    patch = image[y : y + size, x : x + size].astype(np.float64).ravel()
                    variance = patch.var(ddof=1) if len(patch) > 1 else 0.0
                    patch -= patch.mean()
                    patch = patch / math.sqrt(variance + contrast) if patch.any() else patch
                    white = whitening @ (patch - mean)
                    if threshold is None:
                        distances = np.array([math.dist(white, one) for one in filters])
                        sums[a, b, 0] += np.maximum(distances.mean() - distances, 0)
                        continue
                    answers = filters @ white
                    sums[a, b, 0] += np.maximum(answers - threshold, 0)
                    sums[a, b, 1] += np.maximum(-answers - threshold, 0)
    return (np.sqrt(sums) if square_root else sums).ravel()


def gradient(image, y, x):
    """(length, angle in circles, 0 to 1) of the longest gradient of the channels of (h, w, c) at a pixel."""
    height, width, channels = image.shape
    best = (-1.0, 0.0)
    for c in range(channels):
        right, left = image[y, min(x + 1, width - 1), c], image[y, max(x - 1, 0), c]
        under, above = image[min(y + 1, height - 1), x, c], image[max(y - 1, 0), x, c]
        across, down = float(right) - float(left), float(under) - float(above)
        if math.hypot(across, down) > best[0]:
            best = (math.hypot(across, down), math.atan2(down, across) / (2 * math.pi) % 1)
    return best


def around(place, count=None):
    """The whole numbers on both sides of a place, each with its part; below 0 and from count on: left out."""
    lower = math.floor(place)
    both = ((lower, 1 - (place - lower)), (lower + 1, place - lower))
    return [(one, part) for one, part in both if count is None or 0 <= one < count]


def gradients(image, directions, sides):
    """Square roots of shared votes of one uint8 image (h, w, c), float64 (d,)."""
    height, width = image.shape[:2]
    found = []
    for side in sides:
        sums = np.zeros((side, side, directions))
        for y in range(height):
            for x in range(width):
                length, angle = gradient(image, y, x)
                for row, vertical in around((y + 0.5) / height * side - 0.5, side):
                    for column, horizontal in around((x + 0.5) / width * side - 0.5, side):
                        for bin_, part in around(angle * directions - 0.5):
                            sums[row, column, bin_ % directions] += length * vertical * horizontal * part
        found.append(np.sqrt(sums).ravel())
    return np.concatenate(found)


def pairs(image, directions, distances, regions):
    """Square roots of votes of pairs of one uint8 image (h, w, c), and of its opponents, float64 (d,)."""
    height, width, channels = image.shape
    kinds = [image.astype(np.float64)]
    if channels == 3:
        red, green, blue = np.moveaxis(kinds[0], 2, 0)
        kinds.append(np.stack([(red - green) / 2, (red + green) / 4 - blue / 2], axis=2))
    sums = np.zeros((len(kinds), len(distances), regions, regions, 4, directions, directions))
    for kind, planes in enumerate(kinds):
        all_ = [[gradient(planes, y, x) for x in range(width)] for y in range(height)]
        for t, r in enumerate(distances):
            for way, (dy, dx) in enumerate([(0, r), (r, 0), (r, r), (r, -r)]):
                for y in range(height - dy):
                    for x in range(max(0, -dx), min(width, width - dx)):
                        (length, angle), (other, its) = all_[y][x], all_[y + dy][x + dx]
                        weight = math.sqrt(min(length, other))
                        # Whole numbers: a middle between two regions is found exactly.
                        row = (2 * y + dy + 1) * regions // (2 * height)
                        column, beyond = divmod((2 * x + dx + 1) * regions, 2 * width)
                        columns = [column - 1, column] if beyond == 0 and column > 0 else [column]
                        for p, part in around(angle * directions - 0.5):
                            for q, share in around(its * directions - 0.5):
                                for b in columns:
                                    cell = sums[kind, t, row, b, way]
                                    vote = weight * part * share / len(columns)
                                    cell[p % directions, q % directions] += vote
    return np.sqrt(sums).ravel()


def colours(image, levels, sides):
    """Means, deviations and roots of the histogram of cells of one uint8 image (h, w, c), float64 (d,)."""
    height, width, channels = image.shape
    found = []
    for side in sides:
        for a in range(side):
            for b in range(side):
                shares = np.zeros((height, width))
                for y in range(height):
                    for x in range(width):
                        # What of the pixel lies between the edges of the cell, down and across.
                        down = min(y + 1, (a + 1) * height / side) - max(y, a * height / side)
                        across = min(x + 1, (b + 1) * width / side) - max(x, b * width / side)
                        shares[y, x] = max(down, 0) * max(across, 0)
                shares /= height * width / side**2
                mean = (shares[..., None] * image).sum(axis=(0, 1))
                variance = (shares[..., None] * (image - mean) ** 2).sum(axis=(0, 1))
                counts = np.zeros((levels,) * channels)
                for y in range(height):
                    for x in range(width):
                        counts[tuple(int(v) * levels // 256 for v in image[y, x])] += shares[y, x]
                found += [mean / 255, np.sqrt(variance) / 255, np.sqrt(counts).ravel()]
    return np.concatenate(found)


def _normalised(block, norm, eps=1e-5):
    if norm == "L1":
        return block / (block.sum() + eps)
    if norm == "L1-sqrt":
        return np.sqrt(block / (block.sum() + eps))
    block = block / np.sqrt((block**2).sum() + eps**2)
    if norm == "L2-Hys":
        block = np.minimum(block, 0.2)
        block = block / np.sqrt((block**2).sum() + eps**2)
    return block


def hue(image, bins=16):
    """Histogram of hue of one uint8 image (height, width, 3), divided by the number of pixels, (bins,)."""
    counts = np.zeros(bins)
    edges = [k / bins for k in range(bins + 1)]
    pixels = image.reshape(-1, 3)
    for pixel in pixels:
        red, green, blue = (int(part) * (1 / 255) for part in pixel)
        top, delta = max(red, green, blue), max(red, green, blue) - min(red, green, blue)
        if delta == 0:
            value = 0.0
        elif top == blue:
            value = (4 + (red - green) / delta) / 6
        elif top == green:
            value = (2 + (blue - red) / delta) / 6
        else:
            value = (green - blue) / delta / 6
        value -= math.floor(value)
        for k in range(bins):
            if edges[k] <= value < edges[k + 1]:
                counts[k] += 1
    return counts / len(pixels)


def pixels(image):
    """The values of one uint8 image in [0, 1], row by row, pixel by pixel, channel by channel."""
    return np.array([value / 255 for row in image.tolist() for pixel in row for value in pixel])


# ---- learn ----

# The losses, one image at a time: (loss, dloss/ds) of scores s (k,) and a label.


def softmax_loss(s, label):
    p = np.exp(s - s.max())
    p = p / p.sum()
    target = np.zeros_like(p)
    target[label] = 1
    return float(np.log(np.exp(s - s.max()).sum()) - (s[label] - s.max())), p - target


def hinge_loss(s, label):
    loss, g = 0.0, np.zeros_like(s)
    for j in range(len(s)):
        if j != label and s[j] - s[label] + 1 > 0:
            loss += s[j] - s[label] + 1
            g[j] += 1
            g[label] -= 1
    return loss, g


def smooth_hinge_loss(s, label, width):
    """The hinge with a parabola of that width in its kink."""
    loss, g = 0.0, np.zeros_like(s)
    for j in range(len(s)):
        z = s[j] - s[label] + 1
        if j == label or z <= -width / 2:
            continue
        share = min(z / width + 0.5, 1.0)
        loss += z if z >= width / 2 else (z + width / 2) ** 2 / (2 * width)
        g[j] += share
        g[label] -= share
    return loss, g


def curvature(s, label, loss, width=0.0):
    """d2loss/dS2 of one image, (k, k), from its definition."""
    k = len(s)
    if loss == "softmax":
        p = np.exp(s - s.max()) / np.exp(s - s.max()).sum()
        return np.diag(p) - np.outer(p, p)
    if loss == "squared-hinge":
        return np.diag(2.0 * (1 - np.where(np.arange(k) == label, 1, -1) * s > 0))
    if loss == "ridge":
        return np.eye(k)
    total = np.zeros((k, k))
    for j in range(k):
        if j != label and width > 0 and abs(s[j] - s[label] + 1) < width / 2:
            margin = np.zeros(k)
            margin[j], margin[label] = 1, -1
            total += np.outer(margin, margin) / width
    return total


def squared_hinge_loss(s, label):
    loss, g = 0.0, np.zeros_like(s)
    for j in range(len(s)):
        t = 1.0 if j == label else -1.0
        if 1 - t * s[j] > 0:
            loss += (1 - t * s[j]) ** 2
            g[j] = -2 * t * (1 - t * s[j])
    return loss, g


def ridge_loss(s, label):
    g = s.copy()
    g[label] -= 1
    return 0.5 * float((g * g).sum()), g


LOSSES = {
    "softmax": softmax_loss,
    "hinge": hinge_loss,
    "squared-hinge": squared_hinge_loss,
    "ridge": ridge_loss,
}


def tile(X, mean, factor, W, b, m, dW):
    """(T, S, dW + S T) of the rows X of one tile, number by number in float64; S of the first m."""
    T, S, dW = (X.astype(np.float64) - mean) * factor, np.zeros((len(W), m)), dW.astype(np.float64)
    for i in range(m):
        for c in range(len(W)):
            S[c, i] = b[c] + sum(float(T[i, j]) * float(W[c, j]) for j in range(X.shape[1]))
            dW[c] += S[c, i] * T[i]
    return T, S, dW


def objective(X, y, W, b, loss, l2, weights=None):
    """(value, dW, db, accuracy) of mean(weight * loss) + l2/2 ||W||^2, image by image, in float64."""
    value, dW, db, correct = 0.0, np.zeros(W.shape), np.zeros(b.shape), 0
    for x, label in zip(X.astype(np.float64), y, strict=True):
        s = W @ x + b
        correct += int(np.argmax(s) == label)
        one, g = LOSSES[loss](s, label)
        if weights is not None:
            one, g = one * weights[label], g * weights[label]
        value += one / len(y)
        dW += np.outer(g, x) / len(y)
        db += g / len(y)
    return value + l2 / 2 * (W**2).sum(), dW + l2 * W, db, correct / len(y)


def hessian_times(X, y, W, b, loss, V, v, width=0.0):
    """(HV, Hv): the Hessian of the mean loss times (V, v), from the definition, image by image."""
    HV, Hv = np.zeros(W.shape), np.zeros(b.shape)
    for x, label in zip(X.astype(np.float64), y, strict=True):
        s, t = W @ x + b, V @ x + v
        r = curvature(s, label, loss, width) @ t
        HV += np.outer(r, x) / len(y)
        Hv += r / len(y)
    return HV, Hv


def sgd_epoch(X, y, order, W, b, step_W, step_b, batch, loss, l2, rate, momentum, weights=None):
    """The course's training loop: one epoch of minibatches in the given order; the new (W, b, steps)."""
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        _, dW, db, _ = objective(X[rows], y[rows], W, b, loss, l2, weights)
        step_W = momentum * step_W - rate * dW
        step_b = momentum * step_b - rate * db
        W, b = W + step_W, b + step_b
    return W, b, step_W, step_b
