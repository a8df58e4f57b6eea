"""Who is held out: a validation part, and the folds of a cross-validation. Positions only, never pixels."""

from __future__ import annotations

import numpy as np

from linclass_cli.errors import InputError
from linclass_cli.learn.losses import Array


def assign_folds(
    y: Array,
    folds: int,
    seed: int,
    stratify: bool = True,
    groups: Array | None = None,
    classes: tuple[str, ...] = (),
) -> Array:
    """The fold, 0 .. folds-1, of every row: int64 (n,).

    Stratified: each class is shuffled and dealt out over the folds, going on where the class before it
    stopped, so that sizes differ by at most one, of the folds and of each class in them. Otherwise the rows
    are shuffled and cut into equal folds. With ``groups`` (n,), no group is in two folds (`deal_groups`).
    Raises InputError where a class (or n) has fewer rows than folds, or there are fewer groups than folds;
    it calls the class by its name in ``classes``, where they are given.
    """
    if groups is not None:
        count = int(groups.max(initial=-1)) + 1
        if count < folds:
            raise InputError(f"{folds} folds want at least {folds} groups, and there are {count}; take fewer")
        return deal_groups(y, groups, np.full(folds, 1 / folds), seed, stratify)
    rng = np.random.default_rng(seed)
    n = len(y)
    if n < folds:
        raise InputError(f"{folds} folds want at least {folds} images, and there are {n}; take fewer folds")
    fold = np.empty(n, np.int64)
    if not stratify:
        fold[rng.permutation(n)] = np.arange(n) * folds // n
        return fold
    dealt = 0
    for label, count in enumerate(np.bincount(y)):
        if 0 < count < folds:
            mend = f"take at most {count} folds, or --no-stratify" if count > 1 else "give it more images"
            raise InputError(
                f"class {classes[label] if classes else label} has {count} image{'s' if count > 1 else ''}, "
                f"fewer than the {folds} folds: every fold wants one; {mend}"
            )
        fold[rng.permutation(np.flatnonzero(y == label))] = (dealt + np.arange(count)) % folds
        dealt += int(count)
    return fold


def hold_out(
    y: Array, fraction: float, seed: int, stratify: bool = True, groups: Array | None = None
) -> tuple[Array, Array]:
    """Rows to train on and rows to validate with, int64 and sorted; ``fraction`` of them, rounded, held out.

    Stratified: each class gives its share, and the rounding is spread over the classes. Otherwise the first
    part of a shuffle: with fraction 1/5, fold 0 of the course's five. fraction 0: everything trains.
    With ``groups`` (n,), no group is in both parts, and the held-out part is about that large.
    Raises InputError where one of the parts would be empty, or a class could not be trained on.
    """
    n = len(y)
    if fraction == 0:
        return np.arange(n), np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    if groups is not None:
        part = deal_groups(y, groups, np.array([1 - fraction, fraction]), seed, stratify)
        held = np.flatnonzero(part == 1)
    elif stratify:
        chosen = []
        owed = 0.0
        for label in np.flatnonzero(np.bincount(y)):
            members = rng.permutation(np.flatnonzero(y == label))
            # The running total decides, so that the parts' sizes come out right over all classes.
            owed += fraction * len(members)
            take = min(round(owed), len(members) - 1)
            owed -= take
            chosen.append(members[: max(take, 0)])
        held = np.sort(np.concatenate(chosen))
    else:
        held = np.sort(rng.permutation(n)[: round(fraction * n)])
    if len(held) == 0 or len(held) == n:
        raise InputError(
            f"a validation part of {fraction} of {n} images leaves one of the parts empty; "
            "choose another --val-fraction, or 0 for none"
        )
    mask = np.ones(n, bool)
    mask[held] = False
    return np.flatnonzero(mask), held


def deal_groups(y: Array, groups: Array, shares: Array, seed: int, stratify: bool) -> Array:
    """The part of every row, int64 (n,), so that no group (n,) is in two parts, and none is empty.

    Groups go one by one, the largest first and equals in a shuffled order, to the part where they leave the
    parts' sizes (stratified: each class's) nearest to their shares (parts,), by the sum of squares. There are
    at least as many groups as parts.
    """
    label = y if stratify else np.zeros_like(y)
    k = int(label.max()) + 1
    count = int(groups.max()) + 1
    rows = np.bincount(groups * k + label, minlength=count * k).reshape(count, k)
    shuffled = np.random.default_rng(seed).permutation(count)
    order = shuffled[np.argsort(-rows[shuffled].sum(axis=1), kind="stable")]
    whole = np.maximum(rows.sum(axis=0), 1)
    filled, part_of = np.zeros((len(shares), k)), np.empty(count, np.int64)
    for place, group in enumerate(order):
        share = rows[group] / whole
        cost = (2 * filled @ share + share @ share) / shares
        empty = filled.sum(axis=1) == 0
        if empty.sum() == count - place:  # the groups that are left are needed where there is none
            cost[~empty] = np.inf
        part = np.lexsort((filled.sum(axis=1) / shares, cost))[0]
        filled[part] += share
        part_of[group] = part
    return part_of[groups]


def check_classes(y: Array, k: int, what: str, classes: tuple[str, ...] = ()) -> None:
    """Raise InputError, with the class's name, unless each of k classes is among the labels y of ``what``."""
    missing = np.flatnonzero(np.bincount(y, minlength=k)[:k] == 0)
    if len(missing):
        name = classes[missing[0]] if classes else missing[0]
        raise InputError(
            f"class {name} has no image in {what}: a model of {k} classes cannot be fitted there; "
            "give every class enough images, or take fewer folds"
        )
