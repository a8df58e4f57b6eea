"""Nested cross-validation, held against one written out with scikit-learn; groups through a whole fit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from linclass_cli.config_sections import CvConfig, SplitConfig
from linclass_cli.errors import InputError
from linclass_cli.learn.cells import Cell
from linclass_cli.learn.crossval import choose, cross_validate, fold_rows
from linclass_cli.learn.fit import train
from linclass_cli.learn.nested import Inner, Outer, nested_cross_validate, summary
from tests.learn.test_fit import CLASSES, config, features, run

STRENGTHS = (1e-3, 1.0, 100.0)


def score(f, rows, held, l2):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    X, y = f.train.X.astype(np.float64), f.train.y
    scaler = StandardScaler().fit(X[rows])
    model = LogisticRegression(C=1 / (len(rows) * l2), tol=1e-8, max_iter=5000)
    return model.fit(scaler.transform(X[rows]), y[rows]).score(scaler.transform(X[held]), y[held])


@pytest.mark.parametrize("rule", ["best", "one-se"])
def test_nested_is_what_the_loops_written_out_give(rule):
    f = features(240, noise_labels=0.4)
    c = config(cv=CvConfig(folds=3, l2=STRENGTHS, nested=True, choose=rule))
    events, outcome = run(nested_cross_validate(f, CLASSES, c))
    y = f.train.y
    fold_of = fold_rows(y, 3, c, None)
    outers = [event for event in events if isinstance(event, Outer)]
    assert [outer.fold for outer in outers] == [0, 1, 2]
    for outer in outers:
        rows, held = np.flatnonzero(fold_of != outer.fold), np.flatnonzero(fold_of == outer.fold)
        inner = fold_rows(y[rows], 3, c, None)
        table = [
            [score(f, rows[inner != i], rows[inner == i], l2) for i in range(3)] for l2 in sorted(STRENGTHS)
        ]
        want = choose(sorted(STRENGTHS), table)["best_l2" if rule == "best" else "one_se_l2"]
        assert outer.l2 == want
        assert outer.accuracy == pytest.approx(score(f, rows, held, want), abs=1.01 / len(held))
    nested = outcome.metrics["nested"]
    assert nested == summary(outers)
    assert nested["fold_l2"] == [outer.l2 for outer in outers]
    assert sum(isinstance(event, Inner) and isinstance(event.event, Cell) for event in events) == 27
    # Beside it, everything is as without it.
    _, plain = run(cross_validate(f, CLASSES, c))
    for key in ("fold_accuracy", "chosen_l2", "test_accuracy"):
        assert outcome.metrics[key] == plain.metrics[key]
    assert plain.metrics["chosen_l2"] == plain.metrics["best_l2" if rule == "best" else "one_se_l2"]


@pytest.mark.parametrize("loss", ["hinge", "ridge"])
def test_nested_by_the_other_ways_of_cross_validation(loss):
    f = features(150, noise_labels=0.2)
    c = config(loss, "smoothed" if loss == "hinge" else "auto", cv=CvConfig(folds=2, l2=(0.01, 1.0)))
    _, outcome = run(nested_cross_validate(f, CLASSES, c))
    assert 0.4 < outcome.metrics["nested"]["accuracy"] <= 1


def test_the_interval_sees_images_and_folds():
    same = summary([Outer(i, 1.0, 0.8, 50) for i in range(4)])
    wilson = stats.binomtest(160, 200).proportion_ci(0.95, "wilson")
    assert same["accuracy_interval"] == pytest.approx([wilson.low, wilson.high])
    apart = [0.6, 0.7, 0.9, 1.0]
    wide = summary([Outer(i, 1.0, share, 50) for i, share in enumerate(apart)])
    student = stats.t.interval(0.95, 3, np.mean(apart), stats.sem(apart))
    assert wide["accuracy"] == pytest.approx(0.8)
    assert wide["std_error"] == pytest.approx(stats.sem(apart))
    assert wide["accuracy_interval"] == pytest.approx([max(0, student[0]), min(1, student[1])])


def test_groups_are_never_on_both_sides(tmp_path):
    """Twins, image and copy: only where both are on one side does the accuracy tell the truth."""
    rng = np.random.default_rng(0)
    f = features(200)
    f.train.X[:] = np.repeat(rng.normal(size=(100, 6)), 2, axis=0).astype(np.float32)
    f.train.y[:] = np.repeat(np.arange(100) % 3, 2)  # nothing to be learned
    of = np.repeat(rng.permutation(100), 2)
    np.save(tmp_path / "groups.npy", of)
    split = SplitConfig(groups=str(tmp_path / "groups.npy"))
    c = config(split=split, cv=CvConfig(folds=4, l2=(1e-3, 1.0), nested=True))
    _, outcome = run(nested_cross_validate(f, CLASSES, c))
    m = outcome.metrics
    assert m["groups"]["count"] == 100
    fold_of = fold_rows(f.train.y, 3, c, of)
    for fold in range(4):
        assert not set(of[fold_of == fold]) & set(of[fold_of != fold])
    assert m["nested"]["accuracy_interval"][0] < 1 / 3 + 0.08
    _, trained = run(train(f, CLASSES, c))
    assert trained.metrics["groups"]["count"] == 100
    assert trained.metrics["n_train"] % 2 == 0
    assert trained.metrics["n_val"] == pytest.approx(40, abs=2)


def test_too_few_groups_are_an_error(tmp_path):
    (tmp_path / "groups.txt").write_text("a\nb\nc\n" * 50)
    f = features(150)
    split = SplitConfig(groups=str(tmp_path / "groups.txt"))
    with pytest.raises(InputError, match="4 folds want at least 4 groups, and there are 3"):
        run(cross_validate(f, CLASSES, config(split=split, cv=CvConfig(folds=4))))
    # Three folds are possible, and within them only two inner ones would be.
    with pytest.raises(InputError, match="3 folds want at least 3 groups, and there are 2"):
        run(nested_cross_validate(f, CLASSES, config(split=split, cv=CvConfig(folds=3, l2=(1.0,)))))
