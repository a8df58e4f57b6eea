"""All folds in one pass against each fold by itself."""

from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.losses import LOSSES
from linclass_cli.learn.objective import Part, Problem, curvature, evaluate, objective, times_hessian
from linclass_cli.learn.scaling import fit_scaling
from linclass_cli.learn.splits import assign_folds
from linclass_cli.threads import use_threads
from tests.learn.conftest import blobs

K, D = 4, 7


def setup(n: int = 60, folds: int = 3, loss: str = "softmax", l2: float = 0.1):
    X, y = blobs(n, D, K, dtype=np.float64)
    fold_of = assign_folds(y, folds, 0)
    rows = [np.flatnonzero(fold_of != fold) for fold in range(folds)]
    scalings = [fit_scaling("standard", X, r) for r in rows]
    problems = FoldProblems(X, y, fold_of, np.arange(folds), scalings, loss, np.full(folds, l2), K, 0)
    alone = [Problem(Part(X, r, y[r], s), loss, l2, K) for r, s in zip(rows, scalings, strict=True)]
    rng = np.random.default_rng(1)
    return problems, alone, rng.normal(size=(folds, K, D)), rng.normal(size=(folds, K))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "folds"), [(60, 3), (47, 5), (1500, 2)])
def test_values_are_those_of_each_problem_by_itself(loss, n, folds):
    problems, alone, W, b = setup(n, folds, loss)
    found = problems.values(np.arange(folds), W, b)
    for fold in range(folds):
        want = objective(alone[fold], W[fold], b[fold])
        assert found[fold].value == pytest.approx(want.value, rel=1e-10)
        assert found[fold].accuracy == pytest.approx(want.accuracy)
        np.testing.assert_allclose(found[fold].dW, want.dW, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(found[fold].db, want.db, rtol=1e-9, atol=1e-10)
        held = np.flatnonzero(problems.part.fold_of == fold)
        part = Part(problems.part.X, held, problems.part.y[held], alone[fold].part.scaling)
        assert found[fold].held == pytest.approx(evaluate(part, loss, W[fold], b[fold]), rel=1e-10)


def test_some_of_the_problems_are_valued_as_all_are():
    problems, _, W, b = setup()
    every = problems.values(np.arange(3), W, b)
    some = problems.values(np.array([2, 0]), W[[2, 0]], b[[2, 0]])
    assert some[0].value == pytest.approx(every[2].value, rel=1e-12)
    np.testing.assert_allclose(some[1].dW, every[0].dW, rtol=1e-11)


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_products_with_the_hessians_are_those_of_each_problem(loss):
    problems, alone, W, b = setup(loss=loss)
    V, v = W[::-1].copy(), b[::-1].copy()
    weights = problems.bend(np.arange(3), W, b, 1.0)
    got_V, got_v = problems.times(V, v)
    for fold in range(3):
        part = alone[fold].part
        Q, mean = curvature(part, loss, W[fold], b[fold])
        want_V, want_v = times_hessian(part, loss, Q, V[fold], v[fold])
        np.testing.assert_allclose(weights[fold], mean, rtol=1e-10)
        np.testing.assert_allclose(got_V[fold], want_V, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(got_v[fold], want_v, rtol=1e-9, atol=1e-11)


def test_threads_change_no_bit():
    problems, _, W, b = setup(9000, 3)
    results = []
    for threads in (1, 2, 4):
        with use_threads(threads):
            results.append(problems.values(np.arange(3), W, b))
    for fold in range(3):
        assert len({result[fold].value for result in results}) == 1
        assert len({result[fold].dW.tobytes() for result in results}) == 1
