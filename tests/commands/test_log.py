"""``--log``: what TensorBoard and MLflow are told is what the record holds."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c

from tests.commands.test_line import FAST


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """tag → step → value, of the event file in a folder."""
    (path,) = folder.iterdir()
    content, at = path.read_bytes(), 0
    found: dict[str, dict[int, float]] = {}
    while at < len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        body = content[at + 12 : at + 12 + length]
        assert masked_crc32c(body) == int.from_bytes(content[at + 12 + length : at + 16 + length], "little")
        event = event_pb2.Event.FromString(body)
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
        at += 16 + length
    return found


def history(run: str) -> list[dict]:
    return [json.loads(line) for line in Path(f"cache/runs/{run}/history.jsonl").read_text().splitlines()]


def test_tensorboard_is_told_every_step(linclass):
    m = linclass("train", *FAST, "--log", "tensorboard", "--json").json
    found = scalars(Path("cache/tensorboard/run1"))
    steps = history("run1")
    for tag, key in (("objective", "objective"), ("validation/accuracy", "val_accuracy")):
        expected = {step["iteration"]: step[key] for step in steps}
        assert found[tag] == pytest.approx(expected, rel=1e-6)
    assert found["run/test_accuracy"] == {0: pytest.approx(m["test_accuracy"])}
    linclass("train", *FAST, "--loss", "ridge")
    assert not Path("cache/tensorboard/run2").exists()


def test_tensorboard_is_told_every_cell(linclass):
    options = ("--folds", "3", "--l2", "0.01,0.1", "--log", "tensorboard", "--json")
    m = linclass("cv", *FAST, *options).json
    found = scalars(Path("cache/tensorboard/run1"))
    for fold in range(3):
        expected = {i: row[fold] for i, row in enumerate(m["fold_accuracy"])}
        assert found[f"fold{fold}/accuracy"] == pytest.approx(expected, rel=1e-6)
    assert found["run/best_l2"] == {0: pytest.approx(m["best_l2"])}


class Client:
    """What the real client is asked, as far as linclass asks it."""

    told: list[tuple] = []  # noqa: RUF012

    def __init__(self, address):
        self.told.append(("address", address))

    def get_experiment_by_name(self, _):
        return None

    def create_experiment(self, _):
        return "7"

    def create_run(self, experiment, run_name):
        self.told.append(("run", experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="id"))

    def log_param(self, _, key, value):
        self.told.append(("param", key, value))

    def log_metric(self, _, key, value, step):
        self.told.append(("metric", key, step, value))

    def log_artifacts(self, _, folder):
        self.told.append(("files", folder))

    def set_terminated(self, _, status):
        self.told.append(("end", status))


@pytest.fixture
def mlflow(monkeypatch):
    """A stand-in for the package, which is large; the calls, in their order."""
    package = types.ModuleType("mlflow")
    package.exceptions = types.SimpleNamespace(MlflowException=RuntimeError)
    package.tracking = types.SimpleNamespace(MlflowClient=Client)
    for name, module in (("", package), (".exceptions", package.exceptions), (".tracking", package.tracking)):
        monkeypatch.setitem(sys.modules, f"mlflow{name}", module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Client.told.clear()
    return Client.told


def test_mlflow_is_told_every_step(linclass, mlflow):
    m = linclass("train", *FAST, "--log", "mlflow", "--name", "a", "--l2", "0.02", "--json").json
    assert mlflow[0] == ("address", Path("cache/mlruns").resolve().as_uri())
    assert mlflow[1] == ("run", "7", "a")
    assert ("param", "model.l2", 0.02) in mlflow
    told = {call[2]: call[3] for call in mlflow if call[:2] == ("metric", "objective")}
    assert told == {step["iteration"]: step["objective"] for step in history("a")}
    assert ("metric", "run/test_accuracy", 0, m["test_accuracy"]) in mlflow
    assert mlflow[-2:] == [("files", "cache/runs/a"), ("end", "FINISHED")]


def test_a_run_that_fails_is_told_as_failed(linclass, mlflow, monkeypatch):
    monkeypatch.setattr("linclass_cli.runs.save_run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert linclass("train", *FAST, "--log", "mlflow").code == 130
    assert mlflow[-1] == ("end", "FAILED")


@pytest.mark.parametrize(
    ("name", "package", "code", "words"),
    [
        ("tensorboard", "tensorboardX", 4, "pip install 'linclass[tensorboard]'"),
        ("mlflow", "mlflow", 4, "pip install 'linclass[mlflow]'"),
        ("tensorbord", "tensorboardX", 3, "did you mean tensorboard"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_done(
    linclass, monkeypatch, name, package, code, words
):
    for module in [m for m in sys.modules if m.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    result = linclass("train", *FAST, "--log", name)
    assert (result.code, words in result.error) == (code, True)
    assert not Path("cache/features").exists()
    assert not Path("cache/runs").exists()
