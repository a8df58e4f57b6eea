"""``LinearClassifier``: scikit-learn's own checks, its tools, and the command's numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import check_class_weight_classifiers, parametrize_with_checks

from linclass_cli.estimator import LinearClassifier
from linclass_cli.extract import obtain_features
from linclass_cli.runs import load_run
from linclass_cli.scoring import run_config
from tests.commands.test_line import FAST

NAMES = np.array(["ape", "bee", "cat"])


@parametrize_with_checks(
    [
        LinearClassifier(),
        LinearClassifier(loss="squared-hinge"),
        LinearClassifier(loss="ridge", scale="none"),
        LinearClassifier(loss="hinge"),
        LinearClassifier(loss="hinge", solver="smoothed", scale="range"),
        LinearClassifier(class_weight="balanced"),
    ]
)
def test_scikit_learns_own_checks(estimator, check):
    if estimator.solver == "smoothed" and check.func is check_class_weight_classifiers:
        # A class that weighs 10,000,000 times as much as the others: the labels are right, but no gap of
        # 1e-3 is proven, and the estimator says so. scikit-learn's own tests ignore this warning, too.
        with pytest.warns(ConvergenceWarning):
            check(estimator)
    else:
        check(estimator)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(400, 8, n_informative=6, n_classes=3, random_state=0)
    return X, NAMES[y]


def test_the_objective_and_probabilities_are_scikit_learns(data):
    X, y = data
    ours = LinearClassifier(l2=0.01, gap=1e-8).fit(X, y)
    theirs = LogisticRegression(C=1 / (len(y) * 0.01), tol=1e-9, max_iter=1000)
    theirs = make_pipeline(StandardScaler(), theirs).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    log_p = theirs.predict_log_proba(X)[np.arange(len(y)), np.searchsorted(NAMES, y)]
    value = -log_p.mean() + 0.005 * (theirs[-1].coef_ ** 2).sum()
    assert ours.objective_ == pytest.approx(value, rel=1e-7)
    assert ours.converged_
    assert ours.gap_bound_ < 1e-8


@pytest.mark.parametrize(
    "class_weight",
    [
        "balanced",
        {"ape": 0.5, "bee": 2, "cat": 7.0},
        {"cat": np.float32(3)},
        {},
        {**dict.fromkeys(NAMES, 2), "dog": 9},
    ],
)
def test_class_weights_are_scikit_learns(data, class_weight):
    X, y = data[0][50:], np.sort(data[1])[50:]  # fewer apes than others
    ours = LinearClassifier(l2=0.01, scale="none", gap=1e-9, class_weight=class_weight).fit(X, y)
    theirs = LogisticRegression(C=1 / (len(y) * 0.01), class_weight=class_weight, tol=1e-10, max_iter=5000)
    theirs.fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge", "hinge"])
def test_two_classes_are_weighed_by_every_loss(loss, data):
    X, y = data[0], data[1] == "ape"
    told = [
        LinearClassifier(loss, 0.01, class_weight=weights).fit(X, y).predict(X).sum()
        for weights in ({False: 5, True: 1}, None, {False: 1, True: 5})
    ]
    assert told[0] < told[1] < told[2]


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge", "hinge"])
def test_the_command_comes_to_the_same(linclass, loss):
    quick = ("--epochs", "3") if loss == "hinge" else ()
    m = linclass("train", *FAST, "--loss", loss, "--val-fraction", "0", "--l2", "0.01", *quick, "--json").json
    config = run_config(load_run(Path("cache"), "run1"), "cache")
    _, features = obtain_features(config, lambda *_: None, lambda _: None)
    ours = LinearClassifier(loss, 0.01, epochs=3).fit(features.train.X, features.train.y)
    assert ours.objective_ == m["objective"]
    assert ours.n_iter_ == m["steps"]
    assert ours.score(features.test.X, features.test.y) == m["test_accuracy"]
    assert ours.score(features.train.X, features.train.y) == pytest.approx(m["train_accuracy"], abs=1e-3)


def test_pipelines_grids_strings_and_frames(data):
    X, y = data
    import pandas as pd

    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    steps = make_pipeline(PolynomialFeatures(2, include_bias=False), LinearClassifier(solver="lbfgs"))
    grid = {
        "linearclassifier__l2": np.geomspace(1e-3, 1, 3),
        "linearclassifier__solver": ["lbfgs", "newton"],
        "linearclassifier__max_iterations": np.array([500, 1000]),
    }
    search = GridSearchCV(steps, grid, cv=3, scoring="neg_log_loss", error_score="raise").fit(frame, y)
    assert search.score(frame, y) < 0
    assert set(search.predict(frame)) <= set(NAMES)
    best = search.best_estimator_[-1]
    assert list(best.classes_) == list(NAMES)
    fitted = LinearClassifier().fit(frame, y)
    assert list(fitted.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[frame.columns[::-1]])


def test_probabilities_only_where_there_are_any(data):
    X, y = data
    assert hasattr(LinearClassifier(), "predict_proba")
    for loss in ("hinge", "squared-hinge", "ridge"):
        assert not hasattr(LinearClassifier(loss), "predict_proba")
    two = LinearClassifier().fit(X, y == "ape")
    assert two.coef_.shape == (1, 8)
    scores = two.decision_function(X)
    np.testing.assert_allclose(two.predict_proba(X)[:, 1], 1 / (1 + np.exp(-scores)), atol=1e-12)
    assert two.predict(X).dtype == bool


def test_features_in_float32_are_worked_on_in_float32(data):
    X, y = data
    one, two = LinearClassifier().fit(X.astype(np.float32), y), LinearClassifier().fit(X, y)
    assert one.objective_ != two.objective_
    assert one.objective_ == pytest.approx(two.objective_, rel=1e-5)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"loss": "sofmax"}, "did you mean softmax"),
        ({"l2": -1.0}, r"model.l2 = -1.0 \(from l2\)"),
        ({"loss": "hinge", "solver": "newton"}, "not for the loss hinge"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"random_state": "a"}, "seed"),
        ({"class_weight": "even"}, "class_weight"),
        ({"class_weight": [1, 2, 3]}, "class_weight"),
        ({"class_weight": {"ape": 2, "dog": 1}}, "not in class_weight"),
        ({"class_weight": {"ape": 0}}, r"gives ape the weight 0\.0: it wants a number above 0"),
        ({"class_weight": {"bee": -1}}, "gives bee the weight -1.0"),
        ({"class_weight": {"bee": np.inf}}, "gives bee the weight inf"),
        ({"class_weight": {"bee": np.nan}}, "gives bee the weight nan"),
        ({"class_weight": {"bee": None}}, "gives bee the weight nan"),
        ({"class_weight": {"bee": "many"}}, "many"),
    ],
)
def test_parameters_that_cannot_be(data, parameters, words):
    with pytest.raises(ValueError, match=words):
        LinearClassifier(**parameters).fit(*data)


def test_a_fit_that_does_not_converge_says_so(data):
    with pytest.warns(ConvergenceWarning, match="did not meet"):
        LinearClassifier(solver="lbfgs", max_iterations=1).fit(*data)


def test_sgd_follows_its_seed(data):
    sgd = LinearClassifier(solver="sgd", epochs=2)
    first, again = clone(sgd).fit(*data), clone(sgd).fit(*data)
    other = clone(sgd).set_params(random_state=1).fit(*data)
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    clone(sgd).set_params(random_state=np.random.RandomState(3)).fit(*data)


def test_without_scikit_learn_the_extra_is_named():
    script = (
        "import sys\nsys.modules['sklearn'] = None\nimport linclass_cli\n"
        "try:\n    linclass_cli.LinearClassifier\nexcept ImportError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "pip install 'linclass[sklearn]'" in said
