"""``LinearClassifier``: linclass's losses and solvers as a scikit-learn estimator.

It needs scikit-learn, which is the extra ``sklearn``: nothing else of linclass imports it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from linclass_cli.errors import LinclassError, how_to_install

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"LinearClassifier needs scikit-learn 1.6 or newer ({error}): {how_to_install('sklearn')}"
    ) from error

from linclass_cli.config import Config, leaves
from linclass_cli.learn.fit import proven_gap
from linclass_cli.learn.metrics import log_probabilities
from linclass_cli.learn.objective import Part, Problem
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.learn.solvers import SOLVERS
from linclass_cli.settings import resolve
from linclass_cli.threads import use_threads

Array = np.ndarray[Any, np.dtype[Any]]


def _has_probabilities(estimator: LinearClassifier) -> bool:
    if estimator.loss != "softmax":
        raise AttributeError(f"the loss {estimator.loss} gives no probabilities: softmax does")
    return True


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier, with the objective of ``linclass train``: mean(loss) + l2/2 * ||W||^2.

    The bias is not penalised; scikit-learn's C is 1 / (n * l2). Everything else is named and meant as the
    command's options are: see ``linclass train --help``. All samples train, and the last weights count.

    Parameters
    ----------
    loss : "softmax", "hinge", "squared-hinge" or "ridge"
    l2 : the strength, >= 0
    solver : "auto", "newton", "smoothed", "lbfgs", "sgd" or "closed"
    scale : "standard", "range" or "none": learned from the samples, kept with the model
    class_weight : None, "balanced", or a dict from labels to numbers above 0: the losses of a class count so
        often, and C stays what it is. Samples have no weights of their own: fit takes no sample_weight
    gap, duality_gap, tolerance, max_iterations : where newton, smoothed and lbfgs stop
    learning_rate, decay, momentum, batch_size, epochs, init_range : of sgd
    random_state : the seed of sgd's start and orders
    n_jobs : threads; None and -1: one a core. Results do not depend on it

    Attributes
    ----------
    classes_ : the k labels, sorted
    coef_, intercept_ : float64 (k, d) and (k,), for features as they come, the scaling multiplied in; of two
        classes the second's minus the first's, (1, d) and (1,)
    objective_, gap_bound_, n_iter_, converged_ : where the solver ended; gap_bound_ is the objective's
        distance to the optimum at most, relative, or None where nothing proves one
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn
    """

    def __init__(
        self,
        loss: str = "softmax",
        l2: float = 1e-3,
        solver: str = "auto",
        scale: str = "standard",
        *,
        class_weight: Any = None,
        gap: float = 1e-5,
        duality_gap: float = 1e-3,
        tolerance: float = 1e-5,
        max_iterations: int = 2000,
        learning_rate: float = 1e-3,
        decay: float = 0.0,
        momentum: float = 0.0,
        batch_size: int = 100,
        epochs: int = 100,
        init_range: float = 1e-3,
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.l2 = l2
        self.solver = solver
        self.scale = scale
        self.class_weight = class_weight
        self.gap = gap
        self.duality_gap = duality_gap
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.learning_rate = learning_rate
        self.decay = decay
        self.momentum = momentum
        self.batch_size = batch_size
        self.epochs = epochs
        self.init_range = init_range
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> LinearClassifier:
        """Fit to X (n, d), which is worked on in float32 where it is float32, else in float64, and labels y.

        Raises ValueError for parameters and data that cannot be used.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C")
        check_classification_targets(y)
        X = np.require(X, requirements=["C", "W"])  # kernels are compiled for arrays that may be written
        self.classes_, labels = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError("LinearClassifier wants samples of at least two classes, and y has one class")
        try:
            with use_threads(max(self.n_jobs or 0, 0)):
                self._solve(X, labels.astype(np.int64), self._class_weights(y))
        except LinclassError as error:
            raise ValueError(str(error)) from error
        return self

    def _class_weights(self, y: Array) -> Array | None:
        """The weight of each of classes_, float64 (k,), for labels y (n,); None where class_weight is."""
        if self.class_weight is None:
            return None
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        for label, weight in zip(self.classes_, weights, strict=True):
            if not 0 < weight < np.inf:
                raise ValueError(f"class_weight gives {label} the weight {weight}: it wants a number above 0")
        return np.asarray(weights, np.float64)

    def _solve(self, X: Array, y: Array, weights: Array | None) -> None:
        config, rows, k = self._config(), np.arange(len(y)), len(self.classes_)
        part = Part(X, rows, y, fit_scaling(config.model.scale, X, rows), weights)
        problem = Problem(part, config.model.loss, config.model.l2, k, config.seed)
        solver = config.solver_name
        *_, last = SOLVERS[solver](problem, **config.solver.options(solver))
        W = last.W.astype(np.float64) * part.scaling.factor
        b = last.b.astype(np.float64) - W @ part.scaling.mean
        if k == 2:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        self.coef_, self.intercept_ = W, b
        self.objective_, self.n_iter_ = last.at.value, last.iteration
        self.gap_bound_, self.converged_ = proven_gap(problem, last), last.converged
        if not last.converged and solver != "sgd":
            text = f"{solver} did not meet its tolerance: raise max_iterations, the tolerance, or l2"
            warnings.warn(text, ConvergenceWarning, stacklevel=4)

    def _config(self) -> Config:
        """The command's config of these parameters: only the chosen solver's own are asked for."""
        chosen = {"model.loss": "loss", "model.l2": "l2", "model.scale": "scale", "solver.name": "solver"}
        given = {key: (name, _plain(getattr(self, name))) for key, name in chosen.items()}
        nowhere = Path(os.devnull)  # no linclass.toml stands there
        solver = resolve(given, environment={}, folder=nowhere).config.solver_name
        for key, one in leaves():
            if solver in one.only_for:
                name = key.rpartition(".")[2]
                given[key] = (name, _plain(getattr(self, name)))
        given["seed"] = ("random_state", self._seed())
        return resolve(given, environment={}, folder=nowhere).config

    def _seed(self) -> Any:
        if self.random_state is None or hasattr(self.random_state, "randint"):
            return int(check_random_state(self.random_state).randint(2**31 - 1))
        return _plain(self.random_state)

    def decision_function(self, X: Any) -> Array:
        """Scores, float64 (n, k), of X (n, d); (n,) of two classes, positive for the second."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        scores = np.asarray(X @ self.coef_.T + self.intercept_, np.float64)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """The label of the largest score for each row of X (n, d); of equal ones the first."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[best])

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Probabilities, float64 (n, k), of X (n, d); of softmax only: other losses' scores are none."""
        return np.asarray(np.exp(self.predict_log_proba(X)))

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Their logarithms."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        return log_probabilities(scores, 1.0)


def _plain(value: Any) -> Any:
    """A NumPy number, as a grid has them, as Python's."""
    return value.item() if isinstance(value, np.generic) else value
