"""The peers of ``fit``, one function each; everything is imported when a peer is prepared, and not before.

Each takes the folder of the data and, where it can heed them, the loss and l2, prepares the data in the form
the peer likes best, and returns a Prepared whose ``run(**settings)`` is the fit, and which collects
(W (k, d), b (k,), remark), or (None, None, remark, accuracy) of a model that is no such pair.
C = 1 / (n * l2).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import Array, Data, load
from benchmarks.measure import THREADS
from benchmarks.workers import Prepared

MOST_STEPS = 3000


def _linear(model: Any) -> tuple[Array, Array, str]:
    steps = getattr(model, "n_iter_", None)
    said = "" if steps is None else f"{int(np.max(steps))} steps"
    return np.asarray(model.coef_), np.asarray(model.intercept_), said


def sklearn_logistic(folder: str, l2: float, solver: str) -> Prepared:
    """scikit-learn's LogisticRegression, multinomial."""
    from sklearn.linear_model import LogisticRegression

    data, X64 = load(folder), {}

    def run(tol: float, dtype: str = "float32") -> Any:
        X = data.X if dtype == "float32" else X64[dtype]
        return LogisticRegression(C=_C(data, l2), solver=solver, tol=tol, max_iter=MOST_STEPS).fit(X, data.y)

    X64["float64"] = data.X.astype(np.float64)
    return Prepared(run, _linear)


def intelex_logistic(folder: str, l2: float) -> Prepared:
    """scikit-learn-intelex's LogisticRegression, lbfgs."""
    from sklearnex.linear_model import LogisticRegression

    data = load(folder)
    X64 = data.X.astype(np.float64)

    def run(tol: float, dtype: str = "float32") -> Any:
        model = LogisticRegression(C=_C(data, l2), solver="lbfgs", tol=tol, max_iter=MOST_STEPS)
        return model.fit(data.X if dtype == "float32" else X64, data.y)

    return Prepared(run, _linear)


def torch_lbfgs(folder: str, l2: float) -> Prepared:
    """torch.optim.LBFGS with strong Wolfe conditions, cross-entropy, full batch, float32."""
    import torch

    torch.set_num_threads(THREADS)
    data = load(folder)
    X, y = torch.from_numpy(data.X), torch.from_numpy(data.y)

    def run(tolerance_grad: float) -> tuple[Array, Array, str]:
        W = torch.zeros(data.k, X.shape[1], requires_grad=True)
        b = torch.zeros(data.k, requires_grad=True)
        passes = 0
        solver = torch.optim.LBFGS(
            [W, b],
            max_iter=MOST_STEPS,
            max_eval=MOST_STEPS,
            tolerance_grad=tolerance_grad,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Any:
            nonlocal passes
            passes += 1
            solver.zero_grad()
            value = torch.nn.functional.cross_entropy(torch.addmm(b, X, W.T), y) + 0.5 * l2 * (W * W).sum()
            value.backward()
            return value

        solver.step(closure)
        return W.detach().numpy(), b.detach().numpy(), f"{passes} passes"

    return Prepared(run)


def snapml_logistic(folder: str, l2: float) -> Prepared:
    """snapml's LogisticRegression: one against the rest, so another objective, and accuracy only."""
    from snapml import LogisticRegression

    data = load(folder)

    def run() -> Any:
        model = LogisticRegression(regularizer=1 / _C(data, l2), n_jobs=THREADS, fit_intercept=True)
        return model.fit(data.X, data.y)

    def collect(model: Any) -> Any:
        guess = np.asarray(model.predict(data.X_test))
        return None, None, "one against the rest", float((guess == data.y_test).mean())

    return Prepared(run, collect)


def vowpal_wabbit(folder: str, passes: int = 20) -> Prepared:
    """Vowpal Wabbit --oaa with the logistic loss, reading its own text and cache: accuracy only."""
    from vowpalwabbit import Workspace

    data = load(folder)
    files = Path(tempfile.mkdtemp(dir=folder))

    def line(x: Array, label: int) -> str:
        return f"{label + 1} | " + " ".join(f"{j}:{v:.6g}" for j, v in enumerate(x))

    text = files / "train.txt"
    text.write_text("\n".join(line(x, int(label)) for x, label in zip(data.X, data.y, strict=True)) + "\n")
    tests = [line(x, int(label)) for x, label in zip(data.X_test, data.y_test, strict=True)]

    def run() -> Any:
        where = f"-d {text} --cache_file {files / 'cache'} -k --passes {passes} -f {files / 'model'}"
        Workspace(f"--oaa {data.k} --loss_function logistic --holdout_off -b 18 --quiet {where}").finish()
        return files / "model"

    def collect(model: Path) -> Any:
        trained = Workspace(f"-i {model} -t --quiet")
        guess = np.array([trained.predict(example) for example in tests]) - 1
        trained.finish()
        return None, None, f"{passes} passes, from its text cache", float((guess == data.y_test).mean())

    return Prepared(run, collect)


def sklearn_sgd(folder: str, loss: str, l2: float) -> Prepared:
    """scikit-learn's SGDClassifier at its defaults but alpha = l2: one against the rest, accuracy only."""
    from sklearn.linear_model import SGDClassifier

    data, kind = load(folder), {"softmax": "log_loss", "squared-hinge": "squared_hinge"}.get(loss, "hinge")

    def run() -> Any:
        return SGDClassifier(loss=kind, alpha=l2, n_jobs=THREADS, random_state=0).fit(data.X, data.y)

    return Prepared(run, _linear)


def sklearn_linear_svc(folder: str, l2: float, dual: bool, crammer_singer: bool = False) -> Prepared:
    """scikit-learn's LinearSVC; the bias is penalised as the weight of a constant feature 10."""
    from sklearn.svm import LinearSVC

    data = load(folder)
    X64 = data.X.astype(np.float64)
    kind = "crammer_singer" if crammer_singer else "ovr"

    def run(tol: float = 1e-4) -> Any:
        svm = LinearSVC(
            C=_C(data, l2), dual=dual, tol=tol, intercept_scaling=10, max_iter=100_000, multi_class=kind
        )
        return svm.fit(X64, data.y)

    return Prepared(run, _linear)


def liblinear(folder: str, l2: float, s: int) -> Prepared:
    """LIBLINEAR's own package; the bias as for LinearSVC. -s 2: primal, 1: dual, 4: Crammer and Singer."""
    import ctypes

    from liblinear.liblinearutil import parameter, problem, train

    data, constant = load(folder), 10.0
    held = problem(data.y.astype(float), data.X.astype(np.float64), bias=constant)

    def run(e: float | None = None) -> Any:
        eps = "" if e is None else f" -e {e}"
        return train(held, parameter(f"-s {s} -c {_C(data, l2)!r} -B {constant:g} -q{eps}"))

    def collect(model: Any) -> Any:
        k, d = model.nr_class, model.nr_feature
        flat = np.ctypeslib.as_array(ctypes.cast(model.w, ctypes.POINTER(ctypes.c_double)), ((d + 1) * k,))
        W = np.empty((k, d + 1))
        W[np.array(model.get_labels(), int)] = flat.reshape(d + 1, k).T
        return W[:, :d].copy(), constant * W[:, d], ""

    return Prepared(run, collect)


def sklearn_ridge(folder: str, l2: float) -> Prepared:
    """scikit-learn's RidgeClassifier; its targets are ±1 where linclass's are 0 and 1."""
    from sklearn.linear_model import RidgeClassifier

    data = load(folder)

    def collect(model: Any) -> Any:
        return model.coef_ / 2, (model.intercept_ + 1) / 2, ""

    return Prepared(lambda: RidgeClassifier(alpha=l2 * len(data.y)).fit(data.X, data.y), collect)


def _C(data: Data, l2: float) -> float:
    return 1.0 / (len(data.y) * l2)
