"""What a fit takes of memory, at the least, so that one which cannot succeed is not begun."""

from __future__ import annotations

from linclass_cli.blocks import count_blocks
from linclass_cli.config import Config
from linclass_cli.data.info import DatasetInfo
from linclass_cli.memory import require, require_given
from linclass_cli.threads import in_force

_SECOND_ORDER = {"newton", "smoothed"}
# Of more features than MOST_EIGEN the Gram matrix (gram.py) is factorised: an eigendecomposition would take
# longer than it saves. Of more than MOST_FACTOR it is too large, 4 d^2 bytes, and its diagonal has to do.
MOST_EIGEN, MOST_FACTOR = 2048, 40960
_PRODUCTS = "the features' products, and a factor"
_SAMPLE = 0.2  # of the rows, whose curvatures are kept, as newton.FIRST_SHARE says
# What the modules that it belongs to say (a test holds them together); those would load the kernels.
SAMPLE_ROWS, SAMPLE_PER_FEATURE, PAIRS, MOST_FACTORS, NORMAL_ROWS = 8000, 4, 20, 2 << 30, 8192


def require_fit(info: DatasetInfo, d: int, config: Config, kind: str) -> None:
    """Raise ResourceError where a ``train`` or ``cv`` on d features cannot have the memory that it takes."""
    folds = config.cv.folds if kind == "cv" else 1
    rows = info.n_train if kind == "cv" else round(info.n_train * (1 - config.split.val_fraction))
    k, solver = len(info.classes), config.solver_name
    held = fit_bytes(rows, d, k, solver, folds)
    less = ", or --solver lbfgs, which needs no products" if _PRODUCTS in held else ""
    if kind == "cv":
        less += ", or fewer --folds"
    what = f"{kind} on {config.feature.name} of {info.name}"
    require(what, held, less=less)
    require_given(what, most_bytes(rows, d, k, solver, folds), less)


def fit_bytes(m: int, d: int, k: int, solver: str, folds: int = 1) -> dict[str, int]:
    """Bytes by what they are: m rows of d features in k classes, besides the features themselves."""
    held = {"rows and labels": 16 * m, "weights and gradients": 2 * 8 * k * (d + 1) * folds}
    if solver in _SECOND_ORDER:
        held["curvatures"] = int(4 * k * _SAMPLE * m) * max(1, folds - 1)
        if MOST_EIGEN < d <= min(MOST_FACTOR, m):
            held[_PRODUCTS] = 2 * 4 * d * d
    return held


def most_bytes(m: int, d: int, k: int, solver: str, folds: int = 1) -> dict[str, int]:
    """The same at the most, for a limit that is to be kept to."""
    held, weights = fit_bytes(m, d, k, solver, folds), 8 * k * (d + 1) * folds
    # Weights, gradients and directions; sums of blocks that wait for others, and each thread's own.
    sums = count_blocks(m, m).bit_length() + 3 * in_force()
    held["weights and gradients"] = (12 + sums) * weights
    if solver == "lbfgs":
        held["steps"] = 2 * PAIRS * 8 * k * (d + 1)
    if solver == "closed":
        waiting = count_blocks(m, m, NORMAL_ROWS).bit_length() - 1
        held["normal equations"] = (folds + 5 + waiting) * 8 * min(m, d) ** 2
    if solver in _SECOND_ORDER:
        held["curvatures"] = 4 * k * m * max(1, folds - 1)
        if d <= MOST_EIGEN:
            sample = min(m, max(SAMPLE_ROWS, SAMPLE_PER_FEATURE * d))
            held["the features' products"] = 3 * 4 * sample * d + 4 * 8 * d * d
    if _PRODUCTS in held:
        held[_PRODUCTS] += max(0, min(folds, MOST_FACTORS // (4 * d * d)) - 1) * 4 * d * d
    return held
