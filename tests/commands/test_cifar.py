"""The main job on the real CIFAR-10."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.cifar


@pytest.fixture(scope="module")
def cache(cifar_archive, tmp_path_factory):
    from linclass_cli.data.fetch import download

    folder = tmp_path_factory.mktemp("cifar") / "cache"
    download("cifar10", folder, str(cifar_archive))
    return str(folder)


def test_download_verifies_and_is_cached_the_second_time(linclass, cache, cifar_archive):
    answer = linclass(
        "download", "cifar10", "--from", str(cifar_archive), "--cache-dir", cache, "--json"
    ).json
    assert answer["cached"] is True
    assert (answer["n_train"], answer["n_test"], answer["image_shape"]) == (50_000, 10_000, [32, 32, 3])


def test_the_reports_numbers_come_out(linclass, cache):
    """Within 0.75 points of the report on validation and test, on the average of three seeds."""
    report = {"hinge": (46.58, 46.47), "softmax": (42.60, 42.45)}
    for loss, (val, test) in report.items():
        found = []
        for seed in "012":
            options = ("--preset", "course", "--loss", loss, "--seed", seed, "--cache-dir", cache)
            m = linclass("train", *options, "--json").json
            found.append((100 * m["val_accuracy"], 100 * m["test_accuracy"]))
        mean = np.mean(found, axis=0)
        assert mean[0] == pytest.approx(val, abs=0.75)
        assert mean[1] == pytest.approx(test, abs=0.75)


@pytest.mark.parametrize(
    ("C", "optimum"), [(1e-4, 1.6732641), (1e-2, 1.38811733), (1.0, 1.3471566)], ids=["1e-4", "1e-2", "1"]
)
def test_softmax_reaches_the_optimum(linclass, cache, C, optimum):
    """Optima: the lowest of scikit-learn's solvers and our own at tolerances that no user would wait for."""
    options = ("--val-fraction", "0", "--l2", str(1 / (50_000 * C)), "--cache-dir", cache)
    m = linclass("train", *options, "--json").json
    assert m["converged"]
    assert m["objective"] == pytest.approx(optimum, rel=1e-5)
    if C == 1e-2:
        assert m["test_accuracy"] > 0.51


def test_cv_on_the_real_thing(linclass, cache):
    m = linclass("cv", "--folds", "5", "--l2", "1e-3,1e-2", "--cache-dir", cache, "--json").json
    assert m["converged"]
    assert min(m["mean_accuracy"]) > 0.5
    assert m["test_accuracy"] > 0.505
