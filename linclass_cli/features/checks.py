"""What every extractor demands of its arguments before a kernel sees them."""

from __future__ import annotations

from typing import Any

import numpy as np

from linclass_cli.errors import InputError

MAX_CHANNELS = 1024


def check_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(height, width, channels) as plain ints, each at least 1, at most 1024 channels. Raises InputError."""
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise InputError(
            f"an image's shape is (height, width, channels), each at least 1, not {tuple(image_shape)}"
        )
    height, width, channels = (int(size) for size in image_shape)
    if channels > MAX_CHANNELS:
        raise InputError(f"images of at most {MAX_CHANNELS} channels can be used, these have {channels}")
    return height, width, channels


def check_grid(height: int, width: int, side: int, flag: str) -> None:
    """Raise InputError where an image has fewer pixels than cells a side; ``flag``: what sets ``side``."""
    if min(height, width) < side:
        raise InputError(
            f"images of {height} x {width} pixels are too small for {side} cells a side; "
            f"take {flag} up to {min(height, width)}"
        )


def check_images(images: Any) -> tuple[int, int, int]:
    """The shape of one image of ``images``, which must be uint8 (n, h, w, c). Raises InputError."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"images must be a uint8 array (n, height, width, channels), not {_describe(images)}"
        )
    return check_shape(images.shape[1:])


def check_out(out: Any, n: int, d: int) -> None:
    """``out`` must be a writable C-contiguous float32 array (n, d). Raises InputError."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != (n, d):
        raise InputError(f"out must be a float32 array ({n}, {d}), not {_describe(out)}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise InputError("out must be writable and contiguous, row by row")


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__
