from __future__ import annotations

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from linclass_cli.claims import claim
from linclass_cli.environment import environment
from linclass_cli.errors import InputError, IntegrityError, MissingError
from linclass_cli.model import Model
from linclass_cli.runs import Outcome, list_runs, load_model, load_run, save_run
from linclass_cli.temporary import UNTOUCHED_SECONDS

MODEL = Model(
    weight=np.arange(6, dtype=np.float32).reshape(2, 3),
    bias=np.array([1, 2], np.float32),
    mean=np.array([0.1, 0.2, 0.3]),
    factor=np.array([1.0, 2.0, 3.0]),
    classes=("cat", "dög"),
    loss="softmax",
    feature_key="f" * 64,
)
METRICS = {
    "loss": "softmax",
    "solver": "newton",
    "l2": 0.1,
    "n_train": 8,
    "n_val": 2,
    "n_test": 4,
    "train_accuracy": 0.75,
    "val_accuracy": None,
    "test_accuracy": 0.5,
    "best_step": 2,
    "seconds": 0.1,
}
STEP = {"seconds": 0.1, "train_loss": 1.5, "train_accuracy": 0.75, "val_loss": None, "val_accuracy": None}
OUTCOME = Outcome(METRICS, [{"iteration": 1, **STEP}, {"iteration": 2, **STEP}], MODEL)
CONFIG = {"seed": 0, "data": {"name": "tiny"}, "feature": {"name": "hog"}}


def record(cache, name=None):
    with claim(cache, name) as run:
        save_run(cache, run, "train", CONFIG, environment(2), OUTCOME)
    return run


def test_a_record_comes_back_as_it_was(tmp_path):
    name = record(tmp_path)
    run = load_run(tmp_path, name)
    assert (run.id, run.kind, run.config, run.metrics) == (
        "run1",
        "train",
        CONFIG,
        METRICS,
    )
    assert run.history == OUTCOME.history
    assert run.feature_key == "f" * 64
    assert run.environment["threads"] == 2
    assert {"linclass", "python", "numpy", "numba", "cpu", "blas"} <= set(run.environment)
    model = load_model(tmp_path, name)
    for field in ("weight", "bias", "mean", "factor"):
        np.testing.assert_array_equal(getattr(model, field), getattr(MODEL, field))
    assert model.classes == MODEL.classes


def test_names_count_up_and_a_failed_run_frees_its_name(tmp_path):
    assert record(tmp_path) == "run1"
    with pytest.raises(ZeroDivisionError), claim(tmp_path, None) as name:
        raise ZeroDivisionError
    assert name == "run2"
    assert record(tmp_path, "mine") == "mine"
    assert record(tmp_path) == "run2"
    for _ in range(9):
        record(tmp_path)
    assert list_runs(tmp_path) == ["mine", *(f"run{i}" for i in range(1, 12))]


def test_a_name_that_is_taken_is_an_error_and_the_run_stays(tmp_path):
    record(tmp_path, "a")
    with pytest.raises(InputError, match="a run named a is there already"), claim(tmp_path, "a"):
        pass
    assert load_run(tmp_path, "a").id == "a"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "-x", ".hidden", "a b", "é", "a" * 101, "a\n"]
)
def test_names_that_could_reach_outside_are_refused(tmp_path, name):
    for action in (lambda: load_run(tmp_path, name), lambda: claim(tmp_path, name).__enter__()):
        with pytest.raises(InputError, match="is no name for a run"):
            action()


def test_a_killed_runs_name_can_be_had_again(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    assert record(tmp_path, "a") == "a"
    with claim(tmp_path, "b"), pytest.raises(InputError, match="under way"), claim(tmp_path, "b"):
        pass


def test_the_names_of_killed_runs_are_free_after_a_day(tmp_path):
    for name in ("run1", "run2", "run3", "notes"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "run2" / "figure.png").touch()
    before = time.time() - UNTOUCHED_SECONDS - 60
    for name in ("run2", "run3", "notes"):
        os.utime(tmp_path / "runs" / name, (before, before))
    with claim(tmp_path, "mine"):
        os.utime(tmp_path / "runs" / "mine", (before, before))
        assert record(tmp_path) == "run3"
        assert (tmp_path / "runs" / "mine").is_dir()
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"run1", "run2", "run3"}


def _claim_many(cache, names):
    for _ in range(20):
        names.append(record(cache))


def test_two_at_once_never_get_the_same_name(tmp_path):
    names: list[str] = []
    workers = [threading.Thread(target=_claim_many, args=(tmp_path, names)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(names) == len(set(names)) == 80


def _claim_in_process(cache, queue):
    queue.put([record(cache) for _ in range(5)])


def test_two_processes_never_get_the_same_name(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_claim_in_process, args=(tmp_path, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    names = [*queue.get(timeout=60), *queue.get(timeout=60)]
    for process in processes:
        process.join()
    assert len(set(names)) == 10


def test_a_missing_run_is_named_with_what_is_there(tmp_path):
    with pytest.raises(MissingError, match="no run x .*linclass train"):
        load_run(tmp_path, "x")
    record(tmp_path)
    with pytest.raises(MissingError, match=r"no run rum1 .*did you mean run1\?"):
        load_run(tmp_path, "rum1")


def test_a_missing_part_of_a_record_is_found(tmp_path):
    name = record(tmp_path)
    (tmp_path / "runs" / name / "history.jsonl").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        load_run(tmp_path, name)
