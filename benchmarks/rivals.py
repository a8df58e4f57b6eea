"""Who is compared with linclass in ``fit``: for each loss the peers, and the settings to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Settings = list[dict[str, Any]]
_THREADED = ("sklearn_logistic", "intelex_logistic", "torch_lbfgs", "sklearn_ridge")


@dataclass(frozen=True)
class Rival:
    """A peer: its function in ``peers``, arguments, settings to try. ``judge``: the loss to judge it by."""

    name: str
    function: str
    arguments: dict[str, Any]
    settings: Settings
    judge: str | None
    note: str = ""
    slow: bool = False

    @property
    def threads(self) -> bool:
        """Whether it can use several."""
        return self.function in _THREADED


_TOLERANCES: Settings = [{"tol": t} for t in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)]
_DOUBLE: Settings = [{"tol": t, "dtype": "float64"} for t in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)]
# scikit-learn-intelex holds its tolerance against another scale, about that of the sum over the rows.
_SUMMED: Settings = [{"tol": t, "dtype": "float64"} for t in (10.0, 3.0, 1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-4)]
_END = "no tolerance below takes it further in float32"
_EPS: Settings = [{"e": e} for e in (0.1, 0.01, 1e-3, 1e-4, 1e-5)]
_NEAR: Settings = [{"tolerance_grad": t} for t in (1e-3, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)]
_OTHER = "another objective (one against the rest): accuracy only"
_CS = "objective of Crammer and Singer, not linclass's of Weston and Watkins; value in its own"


def rivals(loss: str) -> list[Rival]:
    """The peers that fit this loss, or the nearest to it that they have."""
    if loss == "softmax":
        lr = "sklearn_logistic"
        return [
            Rival("scikit-learn lbfgs", lr, {"solver": "lbfgs"}, _TOLERANCES + _DOUBLE, loss),
            Rival("scikit-learn newton-cg", lr, {"solver": "newton-cg"}, _TOLERANCES + _DOUBLE, loss),
            Rival("scikit-learn newton-cholesky", lr, {"solver": "newton-cholesky"}, _TOLERANCES, loss),
            Rival("scikit-learn saga", lr, {"solver": "saga"}, _TOLERANCES, loss, slow=True),
            Rival("scikit-learn-intelex, float32", "intelex_logistic", {}, [{"tol": 1e-4}], loss, _END),
            Rival("scikit-learn-intelex, float64", "intelex_logistic", {}, _SUMMED, loss),
            Rival("torch LBFGS, strong Wolfe", "torch_lbfgs", {}, _NEAR, loss),
            Rival("snapml LogisticRegression", "snapml_logistic", {}, [{}], None, _OTHER),
            Rival("Vowpal Wabbit --oaa", "vowpal_wabbit", {}, [{}], None, _OTHER),
            Rival("scikit-learn SGDClassifier", "sklearn_sgd", {}, [{}], None, _OTHER),
        ]
    if loss == "squared-hinge":
        svc, own = "sklearn_linear_svc", "liblinear"
        tight: Settings = [{"tol": t} for t in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)]
        return [
            Rival("LIBLINEAR -s 2 (primal)", own, {"s": 2}, _EPS, loss),
            Rival("LIBLINEAR -s 1 (dual)", own, {"s": 1}, _EPS, loss),
            Rival("LinearSVC primal", svc, {"dual": False}, tight, loss, slow=True),
            Rival("LinearSVC dual", svc, {"dual": True}, tight, loss, slow=True),
            Rival("scikit-learn SGDClassifier", "sklearn_sgd", {}, [{}], None, "its defaults: accuracy only"),
        ]
    if loss == "hinge":
        cs = {"dual": True, "crammer_singer": True}
        return [
            Rival("LIBLINEAR -s 4", "liblinear", {"s": 4}, [{}], "crammer-singer", _CS),
            Rival("LinearSVC crammer_singer", "sklearn_linear_svc", cs, [{}], "crammer-singer", _CS, True),
            Rival("scikit-learn SGDClassifier", "sklearn_sgd", {}, [{}], None, _OTHER),
        ]
    return [Rival("scikit-learn RidgeClassifier", "sklearn_ridge", {}, [{}], loss)]
