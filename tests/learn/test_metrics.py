"""The numbers that runs are judged by, against scikit-learn's and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from linclass_cli.learn import paired
from linclass_cli.learn.metrics import (
    calibration,
    class_report,
    confusion_matrix,
    log_loss,
    log_probabilities,
    places,
    wilson_interval,
)


@pytest.fixture(params=[(500, 7), (40, 2), (300, 30)])
def scored(request):
    """Scores of a model that knows something, and labels that are not even."""
    n, k = request.param
    rng = np.random.default_rng(n)
    y = np.minimum(rng.geometric(2 / k, n) - 1, k - 1)
    y[:k] = np.arange(k)
    scores = rng.normal(size=(n, k)).astype(np.float32)
    scores[np.arange(n), y] += 1
    return scores, y


@pytest.mark.parametrize("n", [1, 3, 40, 10_000])
def test_wilson_is_scipys(n):
    for correct in {0, 1, n // 3, n - 1, n}:
        want = stats.binomtest(correct, n).proportion_ci(0.95, "wilson")
        np.testing.assert_allclose(wilson_interval(correct, n), (want.low, want.high), atol=1e-12)
    assert wilson_interval(0, 0) == (0, 1)


def test_wilson_covers_the_truth_about_as_often_as_it_says():
    counts = np.arange(201)
    ends = np.array([wilson_interval(int(count), 200) for count in counts])
    for share in (0.5, 0.8, 0.95):
        covers = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert stats.binom.pmf(counts, 200, share)[covers].sum() == pytest.approx(0.95, abs=0.025)


def test_places_and_top_k_are_scikit_learns(scored):
    scores, y = scored
    place = places(scores, y)
    assert ((place == 0) == (scores.argmax(axis=1) == y)).all()
    for top in range(1, scores.shape[1]):
        if scores.shape[1] > 2:  # of two classes scikit-learn wants one score
            want = sk.top_k_accuracy_score(y, scores, k=top, labels=np.arange(scores.shape[1]))
            assert (place < top).mean() == pytest.approx(want)


def test_of_equal_scores_the_first_counts():
    scores = np.zeros((3, 4), np.float32)
    assert places(scores, np.array([0, 2, 3])).tolist() == [0, 2, 3]


def test_confusion_and_classes_are_scikit_learns(scored):
    scores, y = scored
    k, predicted = scores.shape[1], np.minimum(scores.argmax(axis=1), scores.shape[1] - 2)
    confusion = confusion_matrix(y, predicted, k)  # the last class is never predicted
    np.testing.assert_array_equal(confusion, sk.confusion_matrix(y, predicted, labels=np.arange(k)))
    report = class_report(confusion)
    want = sk.precision_recall_fscore_support(y, predicted, labels=np.arange(k), zero_division=0)
    for ours, theirs in zip((report.precision, report.recall, report.f1, report.support), want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 5.0])
def test_log_loss_is_scikit_learns(scored, temperature):
    scores, y = scored
    log_p = log_probabilities(scores, temperature)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-12)
    want = sk.log_loss(y, np.exp(log_p), labels=np.arange(scores.shape[1]))
    assert log_loss(log_p, y) == pytest.approx(want, rel=1e-9)


def test_large_scores_stay_finite():
    log_p = log_probabilities(np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32))
    assert log_loss(log_p, np.array([0, 0])) == pytest.approx(1e4)


def test_calibration_is_scikit_learns_curve(scored):
    scores, y = scored
    confidence = np.exp(log_probabilities(scores).max(axis=1))
    correct = scores.argmax(axis=1) == y
    bins = calibration(confidence, correct)
    full = bins.count > 0
    accuracy, mean = calibration_curve(correct, confidence, n_bins=15)
    np.testing.assert_allclose(bins.accuracy[full], accuracy)
    np.testing.assert_allclose(bins.confidence[full], mean)
    assert bins.count.sum() == len(y)
    error = 0.0
    for low, high in zip(bins.edges[:-1], bins.edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert bins.error == pytest.approx(error)


def test_mcnemar_is_the_binomial_test():
    first = np.array([True] * 30 + [True] * 9 + [False] * 2 + [False] * 9)
    second = np.array([True] * 30 + [False] * 9 + [True] * 2 + [False] * 9)
    found = paired.compare(first, second)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (30, 9, 2, 9)
    # Of 11 flips: 2 * (1 + 11 + 55) / 2^11.
    assert found.p_value == pytest.approx(2 * 67 / 2048)
    assert found.difference == pytest.approx(7 / 50)
    assert found.difference_interval[0] < 7 / 50 < found.difference_interval[1]
    turned = paired.compare(second, first)
    assert (turned.p_value, turned.difference) == (found.p_value, -found.difference)
    assert paired.compare(first, first).p_value == 1.0


def test_mcnemars_p_is_even_where_nothing_differs():
    rng = np.random.default_rng(0)
    right = rng.random((2, 2000, 300)) < 0.7
    p = [paired.compare(a, b).p_value for a, b in zip(*right, strict=True)]
    # An exact test errs on the safe side.
    assert 0.02 < np.mean(np.array(p) < 0.05) <= 0.055


def test_the_difference_is_where_its_interval_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(1000):
        u = rng.random(400)
        found = paired.compare(u < 0.8, (u > 0.1) & (u < 0.85))  # 0.80 and 0.75
        hits += found.difference_interval[0] <= 0.05 <= found.difference_interval[1]
    assert 0.93 < hits / 1000 < 0.975
