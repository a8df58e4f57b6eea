"""`cache verify` and `cache repair`: damage is found; what is mended is what it was, byte for byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from linclass_cli.environment import environment
from linclass_cli.learn import fit
from linclass_cli.mending import runs
from linclass_cli.mending.features import find_meta
from linclass_cli.runs import load_model, load_run
from linclass_cli.seal import seal, unseal
from linclass_cli.store import feature_path, write_features
from tests.commands.test_line import FAST
from tests.faults.rot import flips
from tests.faults.tally import tried
from tests.faults.test_bit_rot import known
from tests.stale import stale_name
from tests.test_store import META, SIZES, D, fill

CACHE = Path("cache")
RUN = CACHE / "runs/run1"
SGD = (*FAST, "--solver", "sgd", "--epochs", "3", "--quiet")


def flip(path, *places):
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 4
    path.write_bytes(content)


def tree(folder=CACHE):
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


@pytest.fixture
def trained(linclass):
    """A run; its feature file."""
    assert linclass("train", *SGD).code == 0
    (features,) = (CACHE / "features").glob("*.h5")
    return features


@pytest.fixture
def own(linclass):
    """An imported dataset of vectors."""
    rng = np.random.default_rng(0)
    np.savez("own.npz", X=rng.normal(size=(40, 6)).astype(np.float32), y=np.arange(40) % 2)
    assert linclass("import", "own.npz", "--name", "own").code == 0
    return CACHE / "datasets/own"


def verified(linclass):
    """The exit code, what stands on stderr, and the names of what is damaged, of all that there is."""
    result = linclass("cache", "verify", "--json")
    entries = json.loads(result.out)
    assert all(one["intact"] == (one["problem"] is None) for one in entries)
    return result.code, result.err, {one["name"] for one in entries if not one["intact"]}, entries


def repaired(linclass, *options, code=0):
    """What `cache repair` says of each thing, by its name."""
    result = linclass("cache", "repair", *options, "--json")
    assert result.code == code, result.err
    found = {one["name"]: one for one in json.loads(result.out)}
    assert all(one["mended"] for one in found.values()) == (code == 0)
    return found


def test_runs_are_verified_too_and_the_list_is_whole(linclass, trained):
    linclass("train", *SGD)
    code, _, damaged, entries = verified(linclass)
    assert (code, damaged) == (0, set())
    assert [(one["kind"], one["name"]) for one in entries] == [
        ("features", trained.name),
        ("run", "run1"),
        ("run", "run2"),
    ]
    flip(trained, -1)
    flip(RUN / "model.safetensors", 500)
    code, err, damaged, entries = verified(linclass)
    assert (code, damaged, len(entries)) == (5, {trained.name, "run1"}, 3)
    assert "and 1 more" in err
    (problem,) = [one["problem"] for one in entries if one["name"] == "run1"]
    assert f"{RUN / 'model.safetensors'} is damaged" in problem
    assert "`linclass cache repair run1`" in problem


@pytest.mark.parametrize("file", ["run.json", "history.jsonl", "model.safetensors"])
def test_every_file_of_a_run_is_verified(linclass, trained, file):
    path = RUN / file
    whole = path.read_bytes()
    for damage in (whole[:-1], whole + b"\n", whole.replace(b"e", b"E", 1), None):
        path.unlink() if damage is None else path.write_bytes(damage)
        code, err, damaged, _ = verified(linclass)
        assert (code, damaged) == (5, {"run1"})
        assert str(path) in err


READERS = {
    "*.h5": ["extract", "train", "cv", "evaluate run1", "plot run1 --kind confusion"],
    "run.json": [
        "predict run1 x.png",
        "plot run1",
        "runs show run1",
        "runs compare run1 run2",
        "export run1",
    ],
    "history.jsonl": ["plot run1", "report run1", "runs show run1", "evaluate run1"],
    "model.safetensors": ["predict run1 x.png", "plot run1 --kind weights", "evaluate run1", "export run1"],
}


@pytest.mark.parametrize("name", READERS)
def test_a_command_that_meets_damage_says_so_and_writes_nothing(linclass, trained, name):
    linclass("train", *SGD)
    path = trained if name == "*.h5" else RUN / name
    flip(path, 700 if name != "history.jsonl" else 70)
    before = tree()
    for command in READERS[name]:
        words = command.split()
        result = linclass(*words, *(FAST if len(words) == 1 else ()), "--quiet")
        assert (result.code, result.out) == (5, ""), command
        assert str(path) in result.error, command
        assert "`linclass " in result.error, command
        tried("bit rot that a command meets")
    assert tree() == before


def test_a_report_leaves_out_what_damaged_features_would_show(linclass, trained):
    flip(trained, 700)
    result = linclass("report", "run1")
    assert result.code == 0
    assert f"no confusion of run1: {trained} is damaged" in result.err
    assert f"no confusion: {trained} is damaged" in Path(result.out.splitlines()[0]).read_text()


def test_what_stopped_commands_left_is_no_damage(linclass, trained):
    stale_name(trained).write_bytes(b"half")
    (CACHE / "runs/run2").mkdir()
    unfinished = CACHE / "datasets/cifar10"
    unfinished.mkdir(parents=True)
    stale_name(unfinished / "data_batch_1.bin").write_bytes(b"half")
    code, err, damaged, _ = verified(linclass)
    assert (code, damaged) == (0, set())
    assert "note: stopped commands have left" in err
    assert "and 1 more" in err
    assert linclass("cache", "verify", "--quiet").err == ""


def test_there_may_be_nothing_to_mend(linclass, trained):
    before = tree()
    assert repaired(linclass, "--retrain") == {}
    assert "nothing is damaged in cache" in linclass("cache", "repair").out
    assert tree() == before
    assert linclass("cache", "repair", "rum1").code == 4
    assert "did you mean run1" in linclass("cache", "repair", "rum1").error
    assert linclass("cache", "repair", "--from", "x").code == 0  # a repair that was stopped, once more


def damage_data(path):
    flip(path, -5, -600, -601)


def damage_header(path):
    path.write_bytes(bytes(8192) + path.read_bytes()[8192:])


def damage_hdf5(path):
    content = path.read_bytes()
    path.write_bytes(content[:8192] + bytes(len(content) - 8192))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("damage", [damage_data, damage_header, damage_hdf5, cut_off])
def test_features_are_computed_again(linclass, trained, damage):
    before = tree()
    damage(trained)
    dry = linclass("cache", "repair", "--dry-run")
    assert dry.code == 0
    assert "compute hog (cells_per_block 2, pixels_per_cell 16) of textures again" in dry.out
    assert tree() != before
    assert "computed again" in repaired(linclass)[trained.name]["done"]
    assert tree() == before
    assert verified(linclass)[0] == 0


def test_features_of_which_nothing_is_known_stay_as_they_are(linclass, trained):
    trained.write_bytes(b"\0" * 20_000)
    before = tree()
    assert "`linclass extract`" in repaired(linclass, code=5)[trained.name]["done"]
    assert tree() == before


def test_features_whose_dataset_is_gone_or_another_stay_as_they_are(linclass, own):
    linclass("extract", "--data", "own")
    (features,) = (CACHE / "features").glob("*.h5")
    flip(features, -1)
    before = features.read_bytes()
    np.savez("own.npz", X=np.eye(6, dtype=np.float32).repeat(4, 0), y=np.arange(24) % 2)
    linclass("import", "own.npz", "--name", "own", "--force")
    assert "is another one by now" in repaired(linclass, code=5)[features.name]["done"]
    shutil.rmtree(own)
    assert "there is no dataset called 'own'" in repaired(linclass, code=5)[features.name]["done"]
    assert features.read_bytes() == before


def test_whatever_bit_flips_in_a_feature_file_it_is_known_what_it_held(tmp_path):
    path = feature_path(tmp_path, META)
    write_features(path, META, SIZES, D, fill)
    telling = [place for place, byte in enumerate(path.read_bytes()) if byte]
    assert [fault for fault in flips(path, telling) if find_meta(path) != META] == []
    tried("bit rot that leaves it known what to compute again", 8 * len(telling))


@pytest.mark.parametrize("file", ["run.json", "history.jsonl", "model.safetensors"])
def test_a_flipped_bit_of_a_run_is_found(linclass, trained, file):
    before = tree()
    flip(RUN / file, (RUN / file).stat().st_size // 20)
    assert file in repaired(linclass)["run1"]["done"]
    assert tree() == before


@pytest.mark.parametrize(
    "command", [["train"], ["train", "--val-fraction", "0.3"], ["cv"], ["cv", "--nested"]]
)
def test_a_model_is_made_again_by_the_same_fit(linclass, command):
    options = ["--l2", "0.1,1", "--folds", "2"] if command[0] == "cv" else []
    assert linclass(*command, *options, *FAST, "--seed", "3", "--loss", "squared-hinge").code == 0
    before = tree()
    (RUN / "model.safetensors").write_bytes(b"x" * 1000)
    assert "`linclass cache repair run1 --retrain`" in repaired(linclass, code=5)["run1"]["done"]
    assert "the recorded sha256" in repaired(linclass, "run1", "--retrain")["run1"]["done"]
    assert tree() == before


def test_what_a_feature_has_learned_is_made_again_with_it(linclass):
    options = ("--feature", "patches", "--filters", "8", "--patch-samples", "500", "--rounds", "1")
    assert linclass("train", "--data", "textures", *options, "--loss", "ridge").code == 0
    before = tree()
    (features,) = (CACHE / "features").glob("*.h5")
    damage_header(features)
    flip(features, -1)
    (RUN / "model.safetensors").write_bytes(b"x" * 1000)
    repaired(linclass, "--retrain")
    assert tree() == before


def without_times(history):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in history]


def test_a_history_is_made_again_and_says_so(linclass, trained):
    before, run = tree(), load_run(CACHE, "run1")
    damaged = (RUN / "history.jsonl").read_bytes()[:100]
    (RUN / "history.jsonl").write_bytes(damaged)
    assert "times are of the new fit" in repaired(linclass, "--retrain")["run1"]["done"]
    found = load_run(CACHE, "run1")
    assert without_times(found.history) == without_times(run.history)
    assert len(found.history) == 3
    assert (found.metrics, found.config, found.created) == (run.metrics, run.config, run.created)
    assert "made again on" in unseal((RUN / "run.json").read_bytes())["repaired"]
    assert (RUN / "history.jsonl.damaged").read_bytes() == damaged
    assert (RUN / "model.safetensors").read_bytes() == before[RUN / "model.safetensors"]
    assert verified(linclass)[0] == 0


def test_another_model_than_the_recorded_one_takes_no_place(linclass, trained, monkeypatch):
    (RUN / "model.safetensors").write_bytes(b"x" * 1000)
    before, real = tree(), fit.make_model

    def other(*given):
        model = real(*given)
        model.weight[0, 0] = np.nextafter(model.weight[0, 0], np.float32(9))
        return model

    monkeypatch.setattr(fit, "make_model", other)
    monkeypatch.setattr(runs, "environment", lambda threads: {**environment(threads), "cpu": "Z80"})
    said = repaired(linclass, "--retrain", code=5)["run1"]["done"]
    assert "gave another model than the record's (cpu" in said
    assert "Z80 now); all is left as it was" in said
    assert tree() == before


def test_a_history_whose_numbers_do_not_agree_is_not_taken(linclass, trained):
    (RUN / "history.jsonl").write_bytes(b"")
    record = unseal((RUN / "run.json").read_bytes())
    record["metrics"]["test_loss"] *= 1 + 1e-9  # another version may round in another way
    (RUN / "run.json").write_bytes(seal(record))
    whole = tree()
    record["metrics"]["test_loss"] *= 1.01
    (RUN / "run.json").write_bytes(seal(record))
    before = tree()
    assert "but other numbers" in repaired(linclass, "--retrain", code=5)["run1"]["done"]
    assert tree() == before
    (RUN / "run.json").write_bytes(whole[RUN / "run.json"])
    assert "of the new fit" in repaired(linclass, "--retrain")["run1"]["done"]


def test_a_record_of_which_the_rest_is_unknown_stays_as_it_is(linclass, trained):
    (RUN / "run.json").write_bytes((RUN / "run.json").read_bytes()[:-100])
    before = tree()
    said = repaired(linclass, "--retrain", code=5)["run1"]["done"]
    assert "cannot be made again" in said
    assert "`linclass runs remove run1`" in said
    assert tree() == before
    (RUN / "run.json").unlink()
    assert "without run.json" in repaired(linclass, code=5)["run1"]["done"]
    assert linclass("runs", "remove", "run1", "--yes").code == 0
    assert not RUN.exists()


@pytest.mark.parametrize("kind", ["cifar", "idx"])
def test_known_datasets_are_fetched_again(linclass, monkeypatch, kind):
    CACHE.mkdir()
    spec, folder = known(kind, CACHE, monkeypatch)
    before = tree()
    for file in (spec.test[0], "dataset.json"):
        flip(folder / file, 5)
        assert verified(linclass)[2] == {spec.name}
        assert "verified" in repaired(linclass, "--from", "cache/source")[spec.name]["done"]
        assert tree() == before
    flip(folder / spec.test[0], 5)
    damaged = tree()
    assert spec.test[0] in repaired(linclass, code=6)[spec.name]["problem"]  # its address leads nowhere
    assert tree() == damaged


def test_a_source_is_for_one_dataset(linclass, monkeypatch):
    CACHE.mkdir()
    for kind in ("cifar", "idx"):
        spec, folder = known(kind, CACHE, monkeypatch)
        flip(folder / spec.test[0], 5)
    assert "name small or digits" in linclass("cache", "repair", "--from", "cache/source").error
    assert repaired(linclass, "small", "--from", "cache/source")["small"]["mended"]
    assert repaired(linclass, "--from", "cache/source")["digits"]["mended"]


@pytest.mark.parametrize("file", ["dataset.json", "sources.json", "train-labels.npy", "test-rows.npy"])
def test_a_flipped_bit_of_an_imported_dataset_is_found(linclass, own, file):
    before = tree()
    flip(own / file, (own / file).stat().st_size // 20)
    assert file in repaired(linclass)["own"]["done"]
    assert tree() == before


def test_what_only_the_import_holds_is_said(linclass, own):
    flip(own / "train-rows.npy", -1, -2)
    flip(own / "dataset.json", 3)
    said = repaired(linclass, code=5)["own"]["done"]
    source = Path("own.npz").absolute()
    assert "train-rows.npy cannot be made again" in said
    assert f"`linclass import {source} --name own --force`" in said
    assert "not there" not in said
    source.unlink()
    assert f"{source}, which is not there now" in repaired(linclass, code=5)["own"]["done"]
    (own / "dataset.json").write_bytes((own / "dataset.json").read_bytes().replace(b'"classes"', b"classes"))
    before = tree()
    assert f"`linclass import {source} --name own --force`" in repaired(linclass, code=5)["own"]["done"]
    assert tree() == before
    (own / "dataset.json").unlink()
    assert verified(linclass)[2] == {"own"}
    assert "without dataset.json" in repaired(linclass, code=5)["own"]["done"]


def test_datasets_are_mended_before_what_is_made_of_them(linclass, own):
    linclass("train", "--data", "own", "--name", "mine")
    (features,) = (CACHE / "features").glob("*.h5")
    before = tree()
    flip(own / "test-rows.npy", -1)
    flip(own / "dataset.json", 30)
    flip(features, -1)
    (CACHE / "runs/mine/model.safetensors").unlink()
    assert "if its dataset can be mended" in linclass("cache", "repair", "--dry-run").out
    shown = linclass("cache", "repair", "--retrain")
    assert [line.split(": ")[1] for line in shown.out.splitlines()] == ["mended"] * 3
    assert [line[:7] for line in shown.err.splitlines() if "will " in line] == ["  will "] * 3
    assert tree() == before
    assert load_model(CACHE, "mine").classes == ("0", "1")
