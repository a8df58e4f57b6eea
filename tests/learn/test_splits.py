from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from linclass_cli.errors import InputError
from linclass_cli.learn.splits import assign_folds, check_classes, hold_out

Y = np.random.default_rng(3).choice(4, 203, p=[0.5, 0.3, 0.15, 0.05])


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_stratified_folds_share_every_class_evenly(folds):
    fold = assign_folds(Y, folds, seed=1)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for label in range(4):
        per_fold = np.bincount(fold[label == Y], minlength=folds)
        assert per_fold.max() - per_fold.min() <= 1


def test_plain_folds_are_a_shuffle_cut_into_equal_parts():
    fold = assign_folds(Y, 5, seed=1, stratify=False)
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(fold) != 0).sum() > 100


def test_the_seed_decides():
    assert (assign_folds(Y, 5, 1) == assign_folds(Y, 5, 1)).all()
    assert (assign_folds(Y, 5, 1) != assign_folds(Y, 5, 2)).any()
    assert (hold_out(Y, 0.2, 1)[1] == hold_out(Y, 0.2, 1)[1]).all()


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_parts_are_disjoint_and_everything(stratify, fraction):
    train, held = hold_out(Y, fraction, 0, stratify)
    assert sorted([*train, *held]) == list(range(203))
    assert abs(len(held) - fraction * 203) <= 1
    if stratify:
        for label in range(4):
            share = (Y[held] == label).sum() - fraction * (label == Y).sum()
            assert abs(share) <= 1


def test_the_courses_split_is_fold_0_of_the_shuffle():
    order = np.random.default_rng(7).permutation(50)
    _, held = hold_out(np.zeros(50, int), 0.2, 7, stratify=False)
    assert set(held) == set(order[:10])


def test_fraction_zero_trains_on_everything():
    train, held = hold_out(Y, 0, 0)
    assert len(train) == 203
    assert len(held) == 0


def test_a_tiny_class_is_never_all_held_out():
    y = np.array([0] * 50 + [1])
    for seed in range(20):
        train, _ = hold_out(y, 0.5, seed)
        assert 50 in train


@pytest.mark.parametrize(
    ("y", "folds", "match"),
    [([0, 1, 1, 1], 2, "class 0 has 1 image, .*give it more images"), ([0, 1], 3, "at least 3 images")],
)
def test_too_few_images_are_a_clear_error(y, folds, match):
    with pytest.raises(InputError, match=match):
        assign_folds(np.array(y), folds, 0)


def test_an_empty_part_is_an_error():
    with pytest.raises(InputError, match="empty"):
        hold_out(np.array([0, 1]), 0.01, 0)


def test_an_absent_class_is_an_error():
    check_classes(np.array([0, 1, 2]), 3, "x")
    with pytest.raises(InputError, match="class 1 has no image in the part"):
        check_classes(np.array([0, 2]), 3, "the part")


def grouped(seed, n=600, groups=60, k=4):
    rng = np.random.default_rng(seed)
    of = np.concatenate([np.arange(groups), rng.geometric(0.05, n - groups) % groups])
    return rng.integers(0, k, n), of


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_no_group_is_split(seed, stratify):
    y, of = grouped(seed)
    fold = assign_folds(y, 5, seed, stratify, of)
    for group in np.unique(of):
        assert len(np.unique(fold[of == group])) == 1
    sizes = np.bincount(fold, minlength=5)
    assert sizes.sum() == 600
    assert np.ptp(sizes) <= 30
    if stratify:
        theirs = np.empty_like(fold)
        for number, (_, held) in enumerate(StratifiedGroupKFold(5).split(y, y, of)):
            theirs[held] = number
        # The classes' numbers in the folds vary no more than scikit-learn's greedy way makes them.
        spread = [np.std([np.bincount(y[f == i]) for i in range(5)], axis=0).sum() for f in (fold, theirs)]
        assert spread[0] <= spread[1] * 1.2 + 2
    rows, held = hold_out(y, 0.2, seed, stratify, of)
    assert not set(of[rows]) & set(of[held])
    assert abs(len(held) - 120) <= 12
    assert len(rows) + len(held) == 600


def test_groups_of_one_are_stratified_folds():
    y = np.arange(200) % 4
    fold = assign_folds(y, 5, 0, True, np.random.default_rng(0).permutation(200))
    assert (np.array([np.bincount(y[fold == i]) for i in range(5)]) == 10).all()
    assert (assign_folds(y, 5, 1, True, np.arange(200)) != assign_folds(y, 5, 2, True, np.arange(200))).any()


def test_few_large_groups_leave_no_part_empty():
    y, of = np.arange(100) % 2, np.repeat([0, 1, 2], [80, 15, 5])
    assert sorted(np.bincount(assign_folds(y, 3, 0, True, of))) == [5, 15, 80]
    for fraction in (0.01, 0.2, 0.9):
        rows, held = hold_out(y, fraction, 0, True, of)
        assert len(rows) > 0
        assert len(held) > 0
    with pytest.raises(InputError, match="5 folds want at least 5 groups, and there are 3"):
        assign_folds(y, 5, 0, True, of)
