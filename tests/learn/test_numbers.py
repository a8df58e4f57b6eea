"""Properties of the losses and of the objective, at scales from 1e-30 to 1e30, on shapes that nobody chose.

What is promised: the loss of finite scores is never NaN, and it is a number as long as the scores are below
1e38 (float32) or 1e153 (float64). In another order of the rows, sums are the same but for rounding, and
counts exactly; with another number of threads, every bit is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.losses import LOSS_NUMBER, LOSSES, count_correct, loss_rows
from linclass_cli.learn.metrics import log_probabilities, places
from linclass_cli.learn.objective import Part, Problem, evaluate, objective
from linclass_cli.learn.scaling import Scaling, fit_scaling
from linclass_cli.threads import use_threads
from tests import naive

DTYPES = (np.float32, np.float64)
WIDTHS = st.sampled_from([0.0, 1e-4, 0.3, 3.0])
# Powers of ten for a scale of features or scores.
TENS = st.floats(-30, 30)
losses, dtypes, seeds = st.sampled_from(sorted(LOSSES)), st.sampled_from(DTYPES), st.integers(0, 2**32 - 1)


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    """NumPy's warnings are off, as where linclass computes."""
    with use_threads(2):
        yield


def run_kernel(loss, width, S, y):
    """(losses (m,), dloss/dS (k, m)) of scores S (k, m); S stays as it is."""
    G, out = S.copy(), np.empty(S.shape[1])
    loss_rows(LOSS_NUMBER[loss], width, G, y, out)
    return out, G


def labels(draw, m: int, k: int):
    """m labels of k classes, some of which may have none, or all of them."""
    some = draw(st.lists(st.integers(0, k - 1), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(seeds))
    uneven = draw(st.booleans())
    return rng.choice(some, m) if uneven else rng.integers(0, k, m)


@st.composite
def any_scores(draw):
    """Scores (k, m) of any finite numbers, and labels."""
    dtype = draw(dtypes)
    shape = draw(st.integers(2, 20)), draw(st.integers(1, 20))
    bits = 8 * np.dtype(dtype).itemsize
    finite = st.floats(allow_nan=False, allow_infinity=False, width=bits)
    S = draw(arrays(dtype, shape, elements=finite))
    return S, labels(draw, shape[1], shape[0])


@given(any_scores(), losses, WIDTHS)
def test_the_loss_of_finite_scores_is_never_nan(scores, loss, width):
    S, y = scores
    out, G = run_kernel(loss, width, S, y)
    assert not np.isnan(out).any()
    assert not np.isnan(G).any()
    assert (out >= 0).all()
    largest = float(np.abs(S).max())
    if largest < 1e38 and (S.dtype == np.float32 or largest < 1e153):
        assert np.isfinite(out).all()
        assert np.isfinite(G).all()


@st.composite
def scaled_scores(draw):
    """Normal scores (k, m) of some scale, and labels."""
    shape = draw(st.integers(2, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(seeds))
    S = rng.normal(size=shape) * 10 ** draw(TENS)
    return S.astype(draw(dtypes)), labels(draw, shape[1], shape[0])


def off_kinks(S, y, off):
    """Whether no margin of the hinge is within ``off`` of its kink, where slopes jump; S (k, m)."""
    excess = S - S[y, np.arange(len(y))] + 1
    excess[y, np.arange(len(y))] = np.inf  # no margin
    return np.abs(excess).min() > off


@given(scaled_scores(), losses)
def test_kernels_equal_their_twins_at_any_scale(scores, loss):
    S, y = scores
    unit = float(np.finfo(S.dtype).eps)
    scale = 1 + float(np.abs(S).max())
    assume(loss != "hinge" or off_kinks(S.astype(np.float64), y, 4 * unit * scale))
    out, G = run_kernel(loss, 0.0, S, y)
    for i, label in enumerate(y):
        value, g = naive.LOSSES[loss](S[:, i].astype(np.float64), label)
        power = 2 if loss in ("squared-hinge", "ridge") else 1
        assert out[i] == pytest.approx(value, rel=8 * unit, abs=8 * unit * scale**power)
        np.testing.assert_allclose(G[:, i], g, rtol=8 * unit, atol=8 * unit * (scale if power == 2 else 1))


@st.composite
def problems(draw, most_rows=150):
    """A problem of any shape, dtype, scale and balance, with weights at which its scores are of some size."""
    n, d, k = draw(st.integers(1, most_rows)), draw(st.integers(1, 70)), draw(st.integers(2, 30))
    rng, tens = np.random.default_rng(draw(seeds)), draw(TENS)
    dtype = draw(dtypes)
    X = (rng.normal(size=(n, d)) * 10**tens).astype(dtype)
    W = (rng.normal(size=(k, d)) * 10 ** (draw(st.floats(-3, 3)) - tens)).astype(dtype)
    b = rng.normal(size=k).astype(dtype)
    part = Part(X, np.arange(n), labels(draw, n, k), Scaling(np.zeros(d), np.ones(d)))
    l2 = draw(st.sampled_from([0.0, 1.0])) * 10 ** (2 * min(tens, 0.0))
    return Problem(part, draw(losses), l2, k), W, b


@given(problems())
def test_the_objective_equals_its_twin_at_any_scale(case):
    problem, W, b = case
    X, y, loss = problem.part.X, problem.part.y, problem.loss
    exact = X.astype(np.float64), W.astype(np.float64), b.astype(np.float64)
    S = exact[1] @ exact[0].T + exact[2][:, None]
    # What rounding may do to a score, and to sums over the rows.
    reach = 1 + float((np.abs(exact[1]) @ np.abs(exact[0]).T).max())
    unit = 8 * float(np.finfo(X.dtype).eps)
    assume(loss != "hinge" or off_kinks(S, y, unit * reach))
    at = objective(problem, W, b)
    value, dW, db, _ = naive.objective(exact[0], y, exact[1], exact[2], loss, problem.l2)
    slope = 4 + reach if loss in ("squared-hinge", "ridge") else float(problem.k)
    bend = 2.0 if loss in ("squared-hinge", "ridge") else 1.0 if loss == "softmax" else 0.0
    off = unit * (bend * reach + slope)  # of a row's derivative
    assert at.value == pytest.approx(value, rel=unit, abs=slope * problem.k * unit * reach)
    np.testing.assert_allclose(at.db, db, rtol=unit, atol=off)
    np.testing.assert_allclose(at.dW, dW, rtol=unit, atol=off * float(np.abs(X).max()))


@given(problems(), seeds)
def test_the_order_of_the_rows_is_irrelevant(case, seed):
    """Counts exactly; sums but for rounding: they are made tile by tile, in another order."""
    problem, W, b = case
    order = np.random.default_rng(seed).permutation(problem.part.m)
    one, other = objective(problem, W, b), objective(replace(problem, part=problem.part.take(order)), W, b)
    unit = float(np.finfo(problem.part.X.dtype).eps)
    assert one.accuracy == other.accuracy
    assert one.value == pytest.approx(other.value, rel=1e-13)
    steepest = np.abs(W).max() * np.abs(problem.part.X).max() * problem.part.d + 4 + problem.k
    off = 32 * unit * float(steepest)
    np.testing.assert_allclose(one.db, other.db, rtol=1e-6, atol=off)
    np.testing.assert_allclose(one.dW, other.dW, rtol=1e-6, atol=off * float(np.abs(problem.part.X).max()))


@given(problems(most_rows=2000))
def test_the_number_of_threads_changes_no_bit(case):
    problem, W, b = case
    results = []
    for threads in (1, 2, 4):
        with use_threads(threads):
            at = objective(problem, W, b)
            assert evaluate(problem.part, problem.loss, W, b) == (at.mean_loss, at.accuracy)
        results.append((at.value, at.accuracy, at.dW.tobytes(), at.db.tobytes()))
    assert results[0] == results[1] == results[2]


@given(problems(), st.integers(2, 5), st.sampled_from(["standard", "range"]))
def test_what_folds_share_is_what_each_has_alone(case, folds, kind):
    """In any cut of the rows into folds, also where a fold has no image of a class, or one row."""
    problem, W, b = case
    X, y, k = problem.part.X, problem.part.y, problem.k
    assume(len(y) >= folds)
    fold_of = np.random.default_rng(len(y)).permutation(np.arange(len(y)) % folds)
    W = np.broadcast_to(np.where(W > 0, 0.1, -0.1), (folds, *W.shape))  # as features are scaled to about 1
    trained = [np.flatnonzero(fold_of != fold) for fold in range(folds)]
    scalings = [fit_scaling(kind, X, rows) for rows in trained]
    shared = FoldProblems(
        X, y, fold_of, np.arange(folds), scalings, problem.loss, np.full(folds, 0.1), k, 0
    ).values(np.arange(folds), W, np.tile(b, (folds, 1)))
    for fold, (rows, scaling, one) in enumerate(zip(trained, scalings, shared, strict=True)):
        own = replace(problem, part=Part(X, rows, y[rows], scaling), l2=0.1)
        alone = objective(own, W[fold], b)
        assert one.value == pytest.approx(alone.value, rel=1e-4)
        held = np.flatnonzero(fold_of == fold)
        loss, _ = evaluate(Part(X, held, y[held], scaling), problem.loss, W[fold], b)
        assert one.held[0] == pytest.approx(loss, rel=1e-4, abs=1e-5)


@given(seeds, st.integers(2, 30), st.integers(1, 30), st.integers(-1000, 1000), dtypes)
def test_a_constant_added_to_all_scores_changes_nothing(seed, k, m, constant, dtype):
    """Scores in steps of 1/256, so that the sum is exact: then losses, slopes and predictions are, too."""
    rng = np.random.default_rng(seed)
    S = (rng.integers(-2048, 2049, (k, m)) / 256).astype(dtype)
    y = rng.integers(0, k, m)
    moved = S + S.dtype.type(constant)
    for loss, width in (("softmax", 0.0), ("hinge", 0.0), ("hinge", 0.5)):
        for one, other in zip(run_kernel(loss, width, S, y), run_kernel(loss, width, moved, y), strict=True):
            np.testing.assert_array_equal(one, other)
    assert count_correct(S, y, m) == count_correct(moved, y, m)
    np.testing.assert_array_equal(places(S.T, y), places(moved.T, y))
    np.testing.assert_array_equal(log_probabilities(S.T), log_probabilities(moved.T))
