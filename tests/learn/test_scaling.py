from __future__ import annotations

import numpy as np
import pytest

from linclass_cli.errors import InputError
from linclass_cli.learn.scaling import fit_scaling


def scaled(kind, X, rows, Z):
    s = fit_scaling(kind, X, rows)
    return (Z - s.mean) * s.factor


def test_standard_is_scikit_learns():
    from sklearn.preprocessing import StandardScaler

    X = np.random.default_rng(0).normal(3, 5, (200, 7)).astype(np.float32)
    rows = np.arange(0, 200, 2)
    want = StandardScaler().fit(X[rows].astype(np.float64)).transform(X.astype(np.float64))
    np.testing.assert_allclose(scaled("standard", X, rows, X), want, rtol=1e-9, atol=1e-9)


def test_range_is_the_courses():
    X = np.random.default_rng(0).normal(3, 5, (50, 4))
    Z = scaled("range", X, np.arange(50), X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(Z).max(axis=0), 1)


def test_none_changes_nothing():
    X = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(scaled("none", X, np.arange(5), X), X)


@pytest.mark.parametrize("kind", ["standard", "range"])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_a_constant_feature_becomes_zero_not_nan(kind, value):
    X = np.random.default_rng(0).normal(size=(99, 2)).astype(np.float32)
    X[:, 1] = value
    Z = scaled(kind, X, np.arange(99), X)
    assert np.isfinite(Z).all()
    np.testing.assert_allclose(Z[:, 1], 0, atol=1e-6 * max(value, 1))


def test_held_out_rows_have_no_say():
    X = np.random.default_rng(0).normal(size=(20, 2))
    before = fit_scaling("standard", X, np.arange(10))
    X[10:] = 1e6
    after = fit_scaling("standard", X, np.arange(10))
    np.testing.assert_array_equal(before.mean, after.mean)
    np.testing.assert_array_equal(before.factor, after.factor)


def test_nan_is_an_error_that_names_the_feature():
    X = np.ones((4, 3), np.float32)
    X[2, 1] = np.nan
    with pytest.raises(InputError, match="feature 1"):
        fit_scaling("standard", X, np.arange(4))
