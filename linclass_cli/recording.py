"""A fit or a cross-validation from the config to the record: ``train``, ``cv`` and the Python API call it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linclass_cli.config import Config
from linclass_cli.memory import use_memory
from linclass_cli.show.progress import Advance, follow
from linclass_cli.signals import at_work

if TYPE_CHECKING:
    from linclass_cli.runs import Outcome

Bar = Callable[[str, str], AbstractContextManager[Advance]]
Each = Callable[[Any, Advance], None]


@dataclass(frozen=True)
class Saved:
    """A finished run: its name, folder and metrics; ``history``: a dictionary a step, or a cell."""

    run: str
    path: Path
    metrics: dict[str, Any]
    history: list[dict[str, Any]]

    @property
    def answer(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"run": self.run, "path": self.path, **self.metrics}


def _silent(*_: Any, **__: Any) -> None:
    pass


def _no_bar(what: str, unit: str) -> AbstractContextManager[Advance]:  # noqa: ARG001
    return contextlib.nullcontext(_silent)


def train(
    config: Config,
    name: str | None = None,
    *,
    log: str | None = None,
    resume: bool = True,
    each: Each = _silent,
    notice: Callable[[str], None] = _silent,
    bar: Bar = _no_bar,
) -> Saved:
    """Fit the config's model to its dataset, and record the run under the name, or the next free one.

    Missing features are extracted first. ``each(step, advance)`` hears of every step, ``notice`` of what a
    person might wonder about, ``bar(what, unit)`` gives the ``advance`` of progress; ``log``: also to
    "tensorboard" or "mlflow"; ``resume``: go on where the same fit was interrupted. Raises the errors of
    linclass_cli.errors.
    """
    from linclass_cli.learn.fit import train as fit
    from linclass_cli.learn.temperature import check_calibration

    check_calibration(config)  # before features are extracted for it
    with use_memory(config.memory):
        return _record("train", fit, config, name, log, resume, each, notice, bar)


def cross_validate(
    config: Config,
    name: str | None = None,
    *,
    log: str | None = None,
    resume: bool = True,
    each: Each = _silent,
    notice: Callable[[str], None] = _silent,
    bar: Bar = _no_bar,
) -> Saved:
    """Choose l2 by cross-validation, refit, and record the run: as :func:`train`, with cells for steps."""
    from linclass_cli.learn.crossval import cross_validate as plain
    from linclass_cli.learn.nested import nested_cross_validate

    start = nested_cross_validate if config.cv.nested else plain
    with use_memory(config.memory):
        return _record("cv", start, config, name, log, resume, each, notice, bar)


def _record(
    kind: str,
    start: Callable[..., Generator[Any, None, Outcome]],
    config: Config,
    name: str | None,
    log: str | None,
    resume: bool,
    each: Each,
    notice: Callable[[str], None],
    bar: Bar,
) -> Saved:
    from linclass_cli.claims import claim
    from linclass_cli.class_weights import load_weighting
    from linclass_cli.cluster import use_cluster
    from linclass_cli.environment import environment
    from linclass_cli.extract import obtain_features
    from linclass_cli.feature_plan import plan_features
    from linclass_cli.groups import load_groups
    from linclass_cli.learn.footprint import require_fit
    from linclass_cli.learn.journal import Recalled
    from linclass_cli.memory import spilling
    from linclass_cli.runs import save_run
    from linclass_cli.show.tables import rows_of
    from linclass_cli.store import feature_bytes
    from linclass_cli.threads import use_threads
    from linclass_cli.unfinished import fit_key, kept_journal

    # What files say is looked at before features are extracted.
    plan = plan_features(config)
    info = plan.info
    groups = load_groups(config.split.groups, info.n_train)
    weighting = load_weighting(config.model.class_weight, info.classes)
    files = {"groups": groups and groups.sha256, "class_weights": weighting and weighting.said}
    with use_threads(config.threads):  # each of them holds sums of its own
        require_fit(info, plan.d, config, kind)
    dtype = config.feature.store_dtype
    spills = spilling(feature_bytes(info.n_train, plan.d, dtype))
    if spills:
        notice(spills + ("; --store-dtype float16 halves them" if dtype == "float32" else ""))
    tracker, unit = _tracker(log, config), "fits" if kind == "cv" else "steps"
    with (
        use_threads(config.threads) as threads,
        use_cluster(config.cluster, notice) as cluster,
        claim(config.cache, name) as run,
    ):
        with bar(f"extract {config.feature.name}", rows_of(config.feature.name)) as advance:
            plan, features = obtain_features(config, advance, notice, cluster)
        if cluster is not None:
            from linclass_cli.cluster.features import spread_features

            features = spread_features(features, cluster)
        key = partial(fit_key, kind, config.record(), features.key, files)
        with (
            kept_journal(config.cache, key, unit, resume, notice) as journal,
            at_work(journal.left),
            tracker(run) as (told, finish),
            bar(f"{kind} {config.model.loss}", unit) as advance,
        ):

            def step(event: Any) -> None:
                again = isinstance(event, Recalled)
                for one in event.events if again else [event]:
                    each(one, _silent if again else advance)
                    told(one)
                if again:
                    advance(journal.count, phase="going on")  # speed counts from here

            outcome = follow(start(features, plan.info.classes, config, journal), step)
            outcome = replace(outcome, model=replace(outcome.model, learned=features.learned))
            where = environment(threads) | ({"cluster": cluster.facts} if cluster else {})
            path = save_run(config.cache, run, kind, config.record(), where, outcome)
            journal.finish()
            finish(outcome.metrics, path)
    return Saved(run, path, outcome.metrics, outcome.history)


def _tracker(log: str | None, config: Config) -> Callable[[str], AbstractContextManager[Any]]:
    """What follows the run beside the record; made before all work: its package may be missing."""
    if log is None:
        return lambda run: contextlib.nullcontext((_silent, _silent))  # noqa: ARG005
    from linclass_cli.tracking import make_tracker, tracked
    from linclass_cli.tracking.scalars import event_scalars

    tracker = make_tracker(log, config.cache)

    def told(event: Any) -> None:
        found = event_scalars(event, config.cv.l2)
        if found is not None:
            tracker.scalars(*found)

    @contextlib.contextmanager
    def opened(run: str) -> Generator[Any]:
        with tracked(tracker, run, config.record()) as finish:
            yield told, finish

    return opened
