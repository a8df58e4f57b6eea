"""Independent solvers must agree with each other and with scikit-learn."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from linclass_cli.config_sections import SolverName
from linclass_cli.errors import InputError
from linclass_cli.learn import gram
from linclass_cli.learn.objective import Problem, curvature, objective, times_hessian
from linclass_cli.learn.solvers import SOLVERS, closed, lbfgs, newton, sgd, smoothed
from linclass_cli.threads import use_threads
from tests import naive
from tests.learn.conftest import blobs, plain_part


def solve(solver, *args, **options):
    *_, last = solver(*args, **options)
    return last


def test_the_names_are_those_of_the_config():
    assert {"auto", *SOLVERS} == set(get_args(SolverName))


@pytest.mark.parametrize("C", [1e-3, 1e-1, 10])
@pytest.mark.parametrize("k", [2, 5])
def test_lbfgs_softmax_reaches_scikit_learns_optimum(C, k):
    from sklearn.linear_model import LogisticRegression

    X, y = blobs(300, 8, k, dtype=np.float64)
    problem = Problem(plain_part(X, y), "softmax", 1 / (300 * C), k)
    last = solve(lbfgs, problem, tolerance=1e-8)
    assert last.converged
    assert last.at.gradient_norm <= 1e-8
    peer = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
    if k > 2:
        assert last.at.value == pytest.approx(objective(problem, peer.coef_, peer.intercept_).value, rel=1e-9)
        np.testing.assert_allclose(last.W, peer.coef_, atol=1e-4)
    else:
        # scikit-learn's two classes have one w: ours, two of opposite sign, reach at least as low.
        half = (
            np.vstack([-peer.coef_, peer.coef_]) / 2,
            np.concatenate([-peer.intercept_, peer.intercept_]) / 2,
        )
        assert last.at.value <= objective(problem, *half).value + 1e-9


def test_lbfgs_squared_hinge_reaches_liblinears_optimum():
    from sklearn.svm import LinearSVC

    X, y = blobs(200, 6, 3, dtype=np.float64)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    C = 0.05
    # LIBLINEAR minimises 1/2 |w|^2 + C sum(loss): C = 1 / (n l2). A large intercept scale frees its bias.
    peer = LinearSVC(C=C, tol=1e-10, max_iter=100_000, dual=False, intercept_scaling=1e3).fit(Z, y)
    problem = Problem(plain_part(Z, y), "squared-hinge", 1 / (200 * C), 3)
    last = solve(lbfgs, problem, tolerance=1e-9)
    assert last.converged
    np.testing.assert_allclose(last.W, peer.coef_, atol=2e-4)
    assert last.at.value <= objective(problem, peer.coef_, peer.intercept_).value + 1e-9


def test_ridge_closed_form_is_scikit_learns_and_the_optimum():
    from sklearn.linear_model import Ridge

    X, y = blobs(150, 5, 4, dtype=np.float64)
    problem = Problem(plain_part(X, y), "ridge", 0.03, 4)
    last = solve(closed, problem)
    assert last.converged
    assert last.at.gradient_norm < 1e-12
    peer = Ridge(alpha=0.03 * 150).fit(X, np.eye(4)[y])
    np.testing.assert_allclose(last.W, peer.coef_, atol=1e-10)
    np.testing.assert_allclose(last.b, peer.intercept_, atol=1e-10)
    iterative = solve(lbfgs, problem, tolerance=1e-10)
    np.testing.assert_allclose(iterative.W, last.W, atol=1e-7)


def test_ridge_without_l2_takes_the_smallest_of_many_solutions():
    X, y = blobs(10, 30, 2, dtype=np.float64)
    last = solve(closed, Problem(plain_part(X, y), "ridge", 0.0, 2))
    assert last.at.value < 1e-20
    centred = X - X.mean(axis=0)
    want = np.linalg.lstsq(centred, np.eye(2)[y] - np.eye(2)[y].mean(axis=0))[0].T
    np.testing.assert_allclose(last.W, want, atol=1e-8)


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_sgd_goes_where_lbfgs_goes(loss):
    X, y = blobs(400, 5, 3, dtype=np.float64)
    problem = Problem(plain_part(X, y), loss, 0.5, 3)
    best = solve(lbfgs, problem, tolerance=1e-8)
    walked = solve(sgd, problem, learning_rate=0.03, decay=0.05, momentum=0.5, epochs=400, batch_size=40)
    assert not walked.converged
    assert best.at.value <= walked.at.value
    assert walked.at.value == pytest.approx(best.at.value, rel=1e-3)


@pytest.mark.parametrize("loss", naive.LOSSES)
def test_sgd_epochs_equal_their_twin(loss):
    X, y = blobs(57, 6, 3, dtype=np.float64)
    problem = Problem(plain_part(X, y), loss, 0.01, 3, seed=4)
    rates = {"learning_rate": 0.02, "decay": 0.5, "momentum": 0.3}
    last = solve(sgd, problem, **rates, batch_size=10, epochs=3, init_range=0.1)
    rng = np.random.default_rng(4)
    W, b = rng.uniform(-0.1, 0.1, (3, 6)), np.zeros(3)
    step_W, step_b = 0 * W, 0 * b
    for epoch in range(3):
        order = rng.permutation(57)
        rate = 0.02 / (1 + 0.5 * epoch)
        W, b, step_W, step_b = naive.sgd_epoch(X, y, order, W, b, step_W, step_b, 10, loss, 0.01, rate, 0.3)
    np.testing.assert_allclose(last.W, W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(last.b, b, rtol=1e-9, atol=1e-12)


def test_sgd_yields_weights_that_later_epochs_leave_alone():
    X, y = blobs(50, 3, 2)
    iterates = list(sgd(Problem(plain_part(X, y), "softmax", 0.0, 2), learning_rate=0.1, epochs=3))
    again = list(sgd(Problem(plain_part(X, y), "softmax", 0.0, 2), learning_rate=0.1, epochs=1))
    np.testing.assert_array_equal(iterates[0].W, again[0].W)
    assert (iterates[0].W != iterates[2].W).any()


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
@pytest.mark.parametrize(("n", "d", "k"), [(400, 6, 2), (300, 20, 5), (40, 90, 3)])
@pytest.mark.parametrize("l2", [1e-3, 1.0])
def test_newton_reaches_what_lbfgs_reaches(loss, n, d, k, l2):
    X, y = blobs(n, d, k, dtype=np.float64)
    problem = Problem(plain_part(X + 3, y), loss, l2, k)
    slow = solve(lbfgs, problem, tolerance=1e-9, max_iterations=10_000)
    fast = solve(newton, problem, gap=1e-10)
    assert fast.converged
    assert fast.at.value == pytest.approx(slow.at.value, rel=1e-9, abs=1e-10)
    again = objective(problem, fast.W, fast.b)
    assert again.value == pytest.approx(fast.at.value, rel=1e-12)
    assert fast.iteration < 40


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge"])
def test_newton_ends_where_it_has_proven_its_distance(loss):
    X, y = blobs(12_000, 30, 5)
    problem = Problem(plain_part(X, y, "standard"), loss, 1e-3, 5)
    best = solve(newton, problem, gap=1e-12).at.value
    for it in newton(problem, gap=1e-6):
        assert it.gap is not None
        assert it.at.value - best <= it.gap + 1e-8 * best
    assert it.converged
    assert it.gap <= 1e-6 * it.at.value


def test_newton_without_l2_ends_by_what_its_model_promises():
    X, y = blobs(3000, 10, 4)
    last = solve(newton, Problem(plain_part(X, y, "standard"), "softmax", 0.0, 4))
    assert last.converged
    assert last.gap is None
    assert last.at.gradient_norm < 1e-4


@pytest.mark.parametrize("n", [500, 12_000])
def test_newton_on_float32_features(n):
    X, y = blobs(n, 40, 10)
    for loss in ("softmax", "squared-hinge", "ridge"):
        steps = list(newton(Problem(plain_part(X, y, "standard"), loss, 1e-3, 10)))
        assert steps[-1].converged
        values = [step.at.value for step in steps]
        assert max(np.diff(values)) <= 1e-7 * values[0]


def test_newton_gives_up_at_the_end_of_float32_and_says_so():
    X, y = blobs(500, 40, 10)
    steps = list(newton(Problem(plain_part(X, y, "standard"), "softmax", 1e-6, 10), gap=1e-13))
    assert not steps[-1].converged
    assert steps[-1].iteration < 60


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_newton_with_many_features(monkeypatch, loss):
    """By a Cholesky factor as few steps as by eigenvectors; by the diagonal it ends there, too."""
    X, y = blobs(400, 50, 3, dtype=np.float64)
    X[:, 1:] += 3 * X[:, :1]  # features that have much in common: the diagonal tells little of them
    problem = Problem(plain_part(X, y), loss, 1e-3, 3)
    best = solve(newton, problem, gap=1e-9)
    monkeypatch.setattr(gram, "MOST_EIGEN", 10)
    factor = solve(newton, problem, gap=1e-9)
    monkeypatch.setattr(gram, "MOST_FACTOR", 20)
    diagonal = solve(newton, problem, gap=1e-9)
    for last in (factor, diagonal):
        assert last.converged
        assert last.at.value == pytest.approx(best.at.value, rel=1e-8)
    assert factor.iteration <= best.iteration + 2
    assert diagonal.iteration >= best.iteration


def test_few_rows_of_many_features_are_not_factorised(monkeypatch):
    """A factor would cost more than all passes together; newton ends by the diagonal."""
    monkeypatch.setattr(gram, "MOST_EIGEN", 10)
    for rows, dimensions in ((40, 1), (60, 2)):
        X, y = blobs(rows, 50, 3, dtype=np.float64)
        part = plain_part(X, y)
        assert gram.gram(part).ndim == dimensions
        assert solve(newton, Problem(part, "softmax", 1e-3, 3), gap=1e-6).converged


def test_factors_serve_strengths_that_are_near(monkeypatch):
    """Nine strengths; with room for few factors the nearest one serves, and the inverse is about the same."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 30)).astype(np.float32)
    strengths, k = np.geomspace(1e-4, 1e2, 9), 4
    C = np.broadcast_to(np.eye(k), (9, k, k))
    r, b = rng.normal(size=(9, k, 30)), rng.normal(size=(9, k))
    exact, _ = gram.Gram(X.T @ X / 300).inverse(C, strengths)(r, b)
    monkeypatch.setattr(gram, "MOST_EIGEN", 10)
    part = plain_part(X, np.zeros(300, np.int64))
    for most, near in ((100, 2.0), (3, 20.0)):
        monkeypatch.setattr(gram, "_FACTOR_BYTES", most * 4 * 30 * 30)
        some = gram.Gram(gram.gram(part))
        found, _ = some.inverse(C, strengths)(r, b)
        ratio = np.linalg.norm(found, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
        assert 1 / near < ratio.min()
        assert ratio.max() < near
        assert len(some._factors) <= most + 1


def test_same_bits_of_the_gram_matrix_for_any_threads(monkeypatch):
    monkeypatch.setattr(gram, "MOST_EIGEN", 10)
    monkeypatch.setattr(gram, "_STRIPE", 8)
    X, y = blobs(3000, 45, 3)
    found = []
    for threads in (1, 3):
        with use_threads(threads):
            found.append(np.tril(gram.gram(plain_part(X, y, "standard"))))
    assert found[0].tobytes() == found[1].tobytes()
    Z = X.astype(np.float64)
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    np.testing.assert_allclose(found[0], np.tril(Z.T @ Z / 3000), atol=1e-4)


def test_the_hessian_is_the_slope_of_the_gradient():
    X, y = blobs(60, 4, 3, dtype=np.float64)
    part = plain_part(X, y)
    rng = np.random.default_rng(0)
    W, b, V, v = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(3, 4)), rng.normal(size=3)
    h = 1e-5
    for loss in ("softmax", "squared-hinge", "ridge"):
        problem = Problem(part, loss, 0.0, 3)
        up, down = objective(problem, W + h * V, b + h * v), objective(problem, W - h * V, b - h * v)
        Q, _ = curvature(part, loss, W, b)
        HV, Hv = times_hessian(part, loss, Q, V, v)
        np.testing.assert_allclose(HV, (up.dW - down.dW) / (2 * h), atol=1e-6)
        np.testing.assert_allclose(Hv, (up.db - down.db) / (2 * h), atol=1e-6)


@pytest.mark.parametrize("solver", [sgd, lbfgs, newton, smoothed])
def test_same_seed_same_bits_whatever_the_threads(solver):
    X, y = blobs(2000, 9, 4)
    loss = "hinge" if solver is smoothed else "softmax"
    problem = Problem(plain_part(X, y, "standard"), loss, 1e-3, 4, seed=3)
    options = {"epochs": 3} if solver is sgd else {"max_iterations": 30}
    results = []
    for threads in (1, 2):
        with use_threads(threads):
            results.append(solve(solver, problem, **options))
    np.testing.assert_array_equal(results[0].W, results[1].W)
    np.testing.assert_array_equal(results[0].b, results[1].b)


def test_lbfgs_says_when_it_did_not_converge():
    X, y = blobs(300, 8, 3)
    last = solve(lbfgs, Problem(plain_part(X, y), "softmax", 1e-4, 3), max_iterations=3)
    assert last.iteration == 3
    assert not last.converged
    assert last.at.gradient_norm > 1e-5


def test_lbfgs_starts_where_it_is_told():
    X, y = blobs(300, 8, 3)
    problem = Problem(plain_part(X, y), "softmax", 1e-2, 3)
    cold = list(lbfgs(problem))
    warm = list(lbfgs(problem, start=(cold[-1].W, cold[-1].b)))
    assert len(cold) > 3
    assert len(warm) == 1
    assert warm[0].converged


@pytest.mark.parametrize("loss", ["softmax", "squared-hinge", "ridge"])
def test_lbfgs_converges_on_float32_features(loss):
    X, y = blobs(5000, 40, 10)
    problem = Problem(plain_part(X, y, "standard"), loss, 1e-4, 10)
    steps = list(lbfgs(problem))
    assert steps[-1].converged
    values = [step.at.value for step in steps]
    assert max(np.diff(values)) <= 1e-7 * values[0]


def test_a_diverging_sgd_says_so():
    X, y = blobs(300, 8, 3, spread=100)
    with pytest.raises(InputError, match="diverged; take a learning rate below"):
        solve(sgd, Problem(plain_part(X, y), "squared-hinge", 0.0, 3), learning_rate=1e3)


@pytest.mark.parametrize("solver", [lbfgs, closed, newton])
def test_nan_features_are_an_error(solver):
    X, y = blobs(30, 3, 2)
    X[4, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        solve(solver, Problem(plain_part(X, y), "ridge", 0.1, 2))
