"""The ways to solve the cells of a cross-validation: by themselves, a fold at a time, all folds together.

Each goes from the strongest l2 to the weakest where a solver can start at the last solution.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from linclass_cli.class_weights import Weighting
from linclass_cli.config import Config
from linclass_cli.learn.bounds import relative, smooth_bound
from linclass_cli.learn.cells import Progress, Solved, make_cell
from linclass_cli.learn.fit import held_part, make_problem, proven_gap
from linclass_cli.learn.folds import FoldProblems
from linclass_cli.learn.footprint import MOST_EIGEN
from linclass_cli.learn.journal import Snapshot, State
from linclass_cli.learn.losses import Array
from linclass_cli.learn.objective import (
    Problem,
    Value,
    evaluate,
    pack_values,
    penalised,
    unpack_values,
)
from linclass_cli.learn.ridge_path import ridge_path
from linclass_cli.learn.scaling import Scaling, fit_scaling, weigh_parts
from linclass_cli.learn.solvers import SOLVERS, Iterate, newton_state
from linclass_cli.learn.solvers.iterate import check_finite
from linclass_cli.learn.solvers.newton import newton_steps
from linclass_cli.store import Features

# Folds that scale a feature more differently than this share no products: their squares could overflow.
MOST_APART = 1e12


def fold_cells(
    features: Features,
    fold_of: Array,
    k: int,
    config: Config,
    weighting: Weighting | None = None,
    resume: State | None = None,
    rows: Array | None = None,
) -> Iterator[Solved | Progress]:
    """Every fold with every strength of the config; with a snapshot to ``resume``, those behind it.

    rows int64 (n,): the training rows that are dealt out, by fold_of (n,); None: all. None is copied.
    """
    if resume is not None and resume.facts["cells"] == config.cv.folds * len(config.cv.l2):
        return iter(())
    rows = np.arange(len(fold_of)) if rows is None else rows
    return _way(features, config, weighting)(features, rows, fold_of, k, config, weighting, resume)


def _way(
    features: Features, config: Config, weighting: Weighting | None
) -> Callable[..., Iterator[Solved | Progress]]:
    if config.solver_name == "newton":
        return _folds_together
    # One Gram matrix for all folds would want one a class where each fold has its own weights.
    if config.solver_name == "closed" and features.train.X.shape[1] <= MOST_EIGEN and not weighting:
        return _by_ridge_path
    return _fold_by_fold


def _fold_by_fold(
    features: Features,
    rows: Array,
    fold_of: Array,
    k: int,
    config: Config,
    weighting: Weighting | None,
    resume: State | None,
) -> Iterator[Solved]:
    """Every cell by itself, each fold from the strongest l2 to the weakest."""
    strengths = config.cv.l2[::-1]
    done, skipped = divmod(resume.facts["cells"] if resume else 0, len(strengths))
    for fold in range(done, config.cv.folds):
        trains, held = rows[fold_of != fold], rows[fold_of == fold]
        part = make_problem(features, trains, 0.0, k, config, weighting).part
        validation = held_part(part, held, features.train.y[held])
        start: tuple[Array, Array] | None = None
        if resume is not None and fold == done and skipped:
            start = resume.tensors["W"], resume.tensors["b"]
        for place in range(skipped if fold == done else 0, len(strengths)):
            l2, began = strengths[place], time.perf_counter()
            problem = Problem(part, config.model.loss, l2, k, config.seed)
            curve = []
            for iterate in iterates(problem, config, start):
                val = evaluate(validation, problem.loss, iterate.W, iterate.b)
                curve.append(val[1])
            start = iterate.W, iterate.b
            gap, seconds = proven_gap(problem, iterate), time.perf_counter() - began
            cell = make_cell(fold, l2, iterate, gap, val, curve, seconds)
            snapshot = _behind(fold * len(strengths) + place + 1, {"W": iterate.W, "b": iterate.b})
            yield Solved(cell, part.scaling, iterate.W, iterate.b, snapshot)


def _behind(cells: int, tensors: dict[str, Array]) -> Snapshot:
    """What makes the state behind so many cells."""
    return lambda: State(tensors, {"cells": cells})


def _scalings(features: Features, rows: Array, fold_of: Array, config: Config) -> list[Scaling]:
    """One for each fold, learned from its training part; "none" is centred, which the bias takes up."""
    X = features.train.X
    if config.model.scale == "none":
        center = fit_scaling("standard", X, rows).mean
        found = [Scaling(center, np.ones_like(center))] * config.cv.folds
    else:
        found = [fit_scaling(config.model.scale, X, rows[fold_of != fold]) for fold in range(config.cv.folds)]
    return [weigh_parts(scaling, features.parts, config.model.part_weights) for scaling in found]


def _by_ridge_path(
    features: Features,
    rows: Array,
    fold_of: Array,
    k: int,
    config: Config,
    weighting: Weighting | None,
    resume: State | None,
) -> Iterator[Solved]:
    X, y, began = features.train.X, features.train.y[rows], time.perf_counter()
    scalings, strengths = _scalings(features, rows, fold_of, config), list(config.cv.l2)
    factors = np.stack([scaling.factor for scaling in scalings])
    if (factors.max(axis=0) > MOST_APART * factors.min(axis=0)).any():
        yield from _fold_by_fold(features, rows, fold_of, k, config, weighting, resume)
        return
    cells = resume.facts["cells"] if resume else 0
    first = cells // len(strengths)
    for fold, l2, at, W, b in ridge_path(X, y, fold_of, scalings, strengths, k, first, rows):
        check_finite(at, 1, "the features are too large; scale them, or raise l2")
        val = at.held or (None, None)
        bound = relative(smooth_bound(at, l2), at.value)
        now = time.perf_counter()
        curve = [at.held[1]] if at.held else []
        cell = make_cell(fold, l2, Iterate(1, W, b, at, True), bound, val, curve, now - began)
        cells += 1
        snapshot = None if cells % len(strengths) else _behind(cells, {})
        yield Solved(cell, scalings[fold], W, b, snapshot)
        began = now


def _folds_together(
    features: Features,
    rows: Array,
    fold_of: Array,
    k: int,
    config: Config,
    weighting: Weighting | None,
    resume: State | None,
) -> Iterator[Solved | Progress]:
    """All folds in lockstep by Newton's method, from the strongest l2 to the weakest, started at the last."""
    X, y, folds = features.train.X, features.train.y[rows], config.cv.folds
    scalings = _scalings(features, rows, fold_of, config)
    W, b = np.zeros((folds, k, X.shape[1])), np.zeros((folds, k))
    holds, none = np.arange(folds), np.zeros(folds)
    weights = np.stack([weighting.of(y[fold_of != fold], k) for fold in holds]) if weighting else None
    loss, seed = config.model.loss, config.seed
    problems = FoldProblems(X, y, fold_of, holds, scalings, loss, none, k, seed, weights, rows)
    options = config.solver.options(config.solver_name)
    known: list[Value] | None = None
    strengths, done = config.cv.l2[::-1], 0
    begun: newton_state.State | None = None
    curves: list[list[float]] = []
    if resume is not None:
        done = resume.facts["cells"] // folds
        if "curves" in resume.facts:
            begun, curves = newton_state.unpack(resume), resume.facts["curves"]
        else:
            problems.l2 = np.full(folds, strengths[done - 1])
            W, b, known = resume.tensors["W"], resume.tensors["b"], unpack_values(resume.tensors)

    def snapshot() -> State:
        kept = newton_state.pack(state)
        return State(kept.tensors, {**kept.facts, "cells": place * folds, "curves": curves})

    for place in range(done, len(strengths)):
        l2, began = strengths[place], time.perf_counter()
        if known is not None:  # another strength changes the objectives, and no loss
            known = [penalised(at, W[p], l2 - problems.l2[p]) for p, at in enumerate(known)]
        problems.l2 = np.full(folds, l2)
        curves = [[] for _ in range(folds)] if begun is None else curves
        for state in newton_steps(problems, options["gap"], options["max_iterations"], W, b, known, begun):
            shown = [at.held[1] if at.held else 0.0 for at in state.at]
            if state.step == len(curves[0]):  # a last state may stand again, with what is known of it by then
                for curve, value in zip(curves, shown, strict=True):
                    curve.append(value)
                yield Progress(l2, state.step, shown, snapshot)
        W, b, known, begun = state.W, state.b, state.at, None
        seconds = (time.perf_counter() - began) / folds
        for fold in range(folds):
            at, gap = state.at[fold], float(state.gap[fold])
            check_finite(at, state.step, "the features are too large; scale them, or raise l2")
            last = Iterate(state.step, W[fold], b[fold], at, bool(state.converged[fold]), gap)
            val, bound = at.held or (None, None), relative(gap, at.value)
            cell = make_cell(fold, l2, last, bound, val, curves[fold], seconds)
            cells = place * folds + fold + 1
            behind = None if cells % folds else _behind(cells, {"W": W, "b": b, **pack_values(known)})
            yield Solved(cell, scalings[fold], W[fold], b[fold], behind)


def iterates(problem: Problem, config: Config, start: tuple[Array, Array] | None = None) -> Iterator[Iterate]:
    """The steps of the configured solver, from ``start`` (W, b) where it can start somewhere."""
    options = config.solver.options(config.solver_name)
    if config.solver_name == "lbfgs" and start is not None:
        options["start"] = start
    return SOLVERS[config.solver_name](problem, **options)
