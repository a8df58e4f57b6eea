"""Features that are stored as float16 (IEEE 754 binary16) and worked on in float32.

Half of the bytes are half of the time that a pass waits for them where they do not fit into memory. Nothing
is computed in them: whoever works on features widens a tile, never all of them, and every float16 is a
float32, so what comes out is, bit for bit, what the float32 array of the same values gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.spread import AnyRows

Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = float(np.finfo(np.float16).max)
_EXPONENT = 0x7C00  # all of its bits are set in infinities and NaNs


def work_dtype(X: AnyRows) -> np.dtype[Any]:
    """What is computed in on features X: float32 for float16, else their own dtype."""
    return np.dtype(np.float32) if X.dtype == np.float16 else X.dtype


def widened(X: Array) -> Array:
    """X in the dtype that is computed in: a copy of float16, and X itself else."""
    return X.astype(np.float32) if X.dtype == np.float16 else X


def for_kernels(X: Array) -> Array:
    """X as kernels take it, not copied: float16 as its bits, uint16, as Numba knows no float16 there."""
    return X.view(np.uint16) if X.dtype == np.float16 else X


def all_finite(X: Array) -> bool:
    """Whether all values of X (n, d), float16 or float32, are finite; at the speed of memory."""
    if X.dtype == np.float16:
        return bool((X.view(np.uint16) & _EXPONENT < _EXPONENT).all())
    # A sum tells, unless it has overflown itself.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()) or np.isfinite(X).all())


def as_stored(values: Array, dtype: str, what: str, first: int) -> Array:
    """Features float32 (n, d) as the store keeps them: float16 rounded to the nearest, ties to even.

    ``what``, first: of which part they are, and their first row, for people. Raises InputError where a number
    is beyond float16.
    """
    if dtype == "float32":
        return values
    with np.errstate(over="ignore"):
        out = values.astype(dtype)
    if all_finite(out):
        return out
    beyond = np.argwhere(np.isinf(out) & np.isfinite(values))
    if len(beyond):
        row, column = beyond[0]
        raise InputError(
            f"feature {column} of row {first + row} of the {what} part is {values[row, column]:g}, and "
            f"float16 ends at {LARGEST:g}: take --store-dtype float32"
        )
    return out
