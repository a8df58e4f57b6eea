"""What a fit takes of memory, at the least, so that one which cannot succeed is not begun."""

from __future__ import annotations

from linclass_cli.config import Config
from linclass_cli.data.info import DatasetInfo
from linclass_cli.memory import require

_SECOND_ORDER = {"newton", "smoothed"}
# Of more features than MOST_EIGEN the Gram matrix (gram.py) is factorised: an eigendecomposition would take
# longer than it saves. Of more than MOST_FACTOR it is too large, 4 d^2 bytes, and its diagonal has to do.
MOST_EIGEN, MOST_FACTOR = 2048, 40960
_PRODUCTS = "the features' products, and a factor"
_SAMPLE = 0.2  # of the rows, whose curvatures are kept, as newton.FIRST_SHARE says


def require_fit(info: DatasetInfo, d: int, config: Config, kind: str) -> None:
    """Raise ResourceError where a ``train`` or ``cv`` on d features cannot have the memory that it takes."""
    folds = config.cv.folds if kind == "cv" else 1
    rows = info.n_train if kind == "cv" else round(info.n_train * (1 - config.split.val_fraction))
    held = fit_bytes(rows, d, len(info.classes), config.solver_name, folds)
    less = ", or --solver lbfgs, which needs no products" if _PRODUCTS in held else ""
    if kind == "cv":
        less += ", or fewer --folds"
    require(f"{kind} on {config.feature.name} of {info.name}", held, less=less)


def fit_bytes(m: int, d: int, k: int, solver: str, folds: int = 1) -> dict[str, int]:
    """Bytes by what they are: m rows of d features in k classes, besides the features themselves."""
    held = {"rows and labels": 16 * m, "weights and gradients": 2 * 8 * k * (d + 1) * folds}
    if solver in _SECOND_ORDER:
        held["curvatures"] = int(4 * k * _SAMPLE * m) * max(1, folds - 1)
        if MOST_EIGEN < d <= min(MOST_FACTOR, m):
            held[_PRODUCTS] = 2 * 4 * d * d
    return held
