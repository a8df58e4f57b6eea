"""The benchmarks run, take turns, and say what is missing; how fast anything is, is not asked here."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import exact, passes
from benchmarks.data import prepare_features, save, synthetic
from benchmarks.fit import Case, measure
from benchmarks.measure import EntryError, alternate, exponent, summarise
from benchmarks.options import Options
from benchmarks.ours import settings_of, solvers_for
from benchmarks.report import Report
from benchmarks.rivals import Rival
from benchmarks.workers import Prepared, Worker, crew


def nothing() -> Prepared:
    return Prepared(lambda value=1: value, lambda value: 2 * value)


def not_installed() -> Prepared:
    raise ImportError("No module named 'peer'")


def sleeping() -> Prepared:
    return Prepared(lambda seconds: time.sleep(seconds))


def failing() -> Prepared:
    def run() -> None:
        raise ValueError("no such luck")

    return Prepared(run)


@pytest.fixture
def small(tmp_path: Path) -> str:
    save(tmp_path, *synthetic(600, 100, 12, 3))
    return str(tmp_path)


def test_summary_is_the_median_the_extremes_and_the_number():
    found = summarise([3.0, 1.0, 2.0, 10.0])
    assert found is not None
    assert (found.median, found.low, found.high, found.n) == (2.5, 1.0, 10.0, 4)
    assert summarise([]) is None


def test_entries_take_turns():
    order: list[str] = []

    def call(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = alternate({name: lambda name=name: call(name) for name in "ABC"}, 3, pause=0)
    assert "".join(order) == "ABCABCABC"
    assert samples["B"].seconds == [2.0, 5.0, 8.0]


def test_an_entry_that_fails_or_is_too_slow_misses_the_rounds_that_are_left():
    def fails() -> float:
        raise EntryError("it broke")

    samples = alternate({"slow": lambda: 50.0, "broken": fails, "fast": lambda: 1.0}, 5, 120.0, 0)
    assert samples["slow"].seconds == [50.0, 50.0]
    assert samples["broken"].seconds == []
    assert samples["broken"].error == "it broke"
    assert len(samples["fast"].seconds) == 5


def test_exponent_of_a_square():
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_workers_report_what_is_missing_and_what_fails():
    with crew() as start:
        worker = start("tests.test_benchmarks:nothing")
        assert worker.run(value=4) > 0
        assert worker.value == 8
        with pytest.raises(EntryError, match="not available: No module named 'peer'"):
            start("tests.test_benchmarks:not_installed")
        with pytest.raises(EntryError, match=r"failed: ValueError: no such luck"):
            start("tests.test_benchmarks:failing").run()


def test_a_worker_that_takes_too_long_is_stopped_and_can_start_again():
    with crew() as start:
        worker: Worker = start("tests.test_benchmarks:sleeping")
        worker.limit = 0.2
        with pytest.raises(EntryError, match="stopped after 0 s"):
            worker.run(seconds=60)
        with pytest.raises(EntryError, match="ended"):
            worker.run(seconds=0)
        worker.limit = 60
        worker.start()
        assert worker.run(seconds=0) < 60


@pytest.mark.parametrize("loss", ["softmax", "hinge", "squared-hinge", "ridge"])
def test_exact_objectives_have_the_gradients_of_their_values(loss: str):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    W, b = rng.standard_normal((3, 5)), rng.standard_normal(3)
    _, dW, db = exact.value_and_gradient(X, y, loss, 0.1, W, b)
    step = 1e-6
    for c, j in ((0, 0), (2, 4)):
        E = np.zeros_like(W)
        E[c, j] = step
        ends = [exact.objective(X, y, loss, 0.1, W + sign * E, b) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(dW[c, j], abs=1e-6)
    e = np.array([0, step, 0])
    ends = [exact.objective(X, y, loss, 0.1, W, b + sign * e) for sign in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(db[1], abs=1e-6)


@pytest.mark.parametrize("loss", passes.LOSSES)
def test_numpys_pass_equals_the_exact_one(loss: str):
    X, y, _, _ = synthetic(300, 30, 8, 4)
    W, b = passes.weights(4, 8)
    value, dW, db = exact.value_and_gradient(X, y, loss, 0.01, W, b)
    mine, mine_dW, mine_db = passes.numpy_pass(X, y, loss, 0.01, W, b)
    assert mine == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(mine_dW, dW, atol=1e-5)
    np.testing.assert_allclose(mine_db, db, atol=1e-5)


def test_the_stand_in_is_stated(tmp_path: Path):
    what = prepare_features(tmp_path, tmp_path / "no-cache", 60)
    assert "synthetic" in what
    assert np.load(tmp_path / "X.npy").shape == (60, 324)


def test_a_pass_is_compared_with_numpys(small: str):
    group = passes.measure("hinge", small, 2, {"memory read GB/s": 10.0, "sgemm peak GFLOP/s": 100.0})
    ours, theirs, _ = group.entries
    assert group.base == ours.name == "linclass objective"
    assert (ours.timing.n, theirs.timing.n) == (2, 2)
    assert max(ours.difference, theirs.difference) < 1e-4
    assert theirs.ratio == theirs.timing.median / ours.timing.median


def test_solvers_are_those_that_linclass_allows():
    assert "lbfgs" in solvers_for("softmax")
    assert "lbfgs" not in solvers_for("hinge")
    assert solvers_for("ridge").count("closed") == 1
    for name in solvers_for("softmax"):
        assert settings_of(name, 1e-6)


def test_fit_compares_at_the_objective_and_reports_a_missing_peer(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "snapml.py").write_text("raise ImportError('not on this machine')")
    monkeypatch.syspath_prepend(tmp_path)
    lr, logistic = "scikit-learn lbfgs", {"solver": "lbfgs"}
    tried = [{"tol": 1e-4}, {"tol": 1e-5}, {"tol": 1e-5, "dtype": "float64"}]
    two = [
        Rival(lr, "sklearn_logistic", logistic, tried, "softmax"),
        Rival("absent", "snapml_logistic", {}, [{}], None),
    ]
    monkeypatch.setattr("benchmarks.fit.rivals", lambda _: two)
    monkeypatch.setattr("benchmarks.fit.ours.solvers_for", lambda _: ["lbfgs"])
    group = measure(Case("softmax", 1e-2, 1e-5), small, Options(quick=True), 2)
    by_name = {entry.name: entry for entry in group.entries}
    ours, sklearn, absent = (by_name[name] for name in ("linclass lbfgs", "scikit-learn lbfgs", "absent"))
    assert ours.reached
    assert sklearn.reached
    assert ours.excess is not None
    assert ours.excess <= 1e-5
    assert ours.timing is not None
    assert ours.timing.n == 2
    assert group.base == "linclass lbfgs"
    assert sklearn.ratio is not None
    assert absent.error is not None
    assert absent.error.startswith("not available")

    report = Report("fit", "tiny", True, 2, [group])
    parsed = json.loads(report.as_json())
    assert parsed["groups"][0]["entries"][0]["timing"]["n"] == 2
    assert parsed["versions"]["numpy"]
    assert parsed["hardware"]["cores"] >= 1
    assert "absent" in report.as_text()
    assert "not available" in report.as_text()


@pytest.mark.parametrize("loss", ["softmax", "hinge", "squared-hinge", "ridge"])
def test_the_reference_is_the_optimum(loss: str):
    X, y, _, _ = synthetic(200, 20, 6, 3)
    found = exact.optimum(X, y, loss, 0.1, 3)
    assert 0 <= found["bound"] < 1e-3 * found["objective"]
    rng = np.random.default_rng(0)
    W, b = np.zeros((3, 6)), np.zeros(3)
    for _ in range(3000):  # any descent must end above it
        _, dW, db = exact.value_and_gradient(X, y, loss, 0.1, W, b)
        W, b = W - 0.02 * dW, b - 0.02 * db
    reached = exact.objective(X, y, loss, 0.1, W + 1e-6 * rng.standard_normal(W.shape), b)
    assert found["objective"] - found["bound"] <= reached
    assert reached == pytest.approx(found["objective"], rel=2e-2)
