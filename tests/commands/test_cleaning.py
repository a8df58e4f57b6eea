"""What `cache clean` finds, and what it leaves alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

from linclass_cli import cleaning
from linclass_cli.atomic import temporary_name
from tests.commands.test_line import FAST
from tests.stale import gone, stale_name


def found(linclass, *options):
    return {Path(one["path"]).name: one for one in linclass("cache", "clean", *options, "--json").json}


def test_nothing_to_clean(linclass):
    assert linclass("cache", "clean", "--json").json == []
    linclass("train", *FAST, "--loss", "ridge")
    assert linclass("cache", "clean", "--yes", "--json").json == []
    assert "nothing to remove" in linclass("cache", "clean").out


def test_what_a_killed_process_left_goes_when_asked_for(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    features, runs = Path("cache/features"), Path("cache/runs")
    stale = stale_name(features / "x.h5")
    stale.write_bytes(b"x" * 2_000_000)
    folder = stale_name(runs / "run9")
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    ours = temporary_name(features / "y.h5")  # of this process, which is alive
    ours.write_text("y")
    others = [
        features / ".hidden",
        features / f"x.{gone()}-0123abcd.tmp",
        runs / ".x.tmp",
        features / "notes.h5",
    ]
    for path in others:
        path.write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*")}
    shown = linclass("cache", "clean").out
    assert {path: path.stat().st_mtime_ns for path in Path("cache").rglob("*")} == before
    assert "2 to remove, 2.0 MB; nothing is removed yet" in shown
    assert str(stale) in shown
    dry = found(linclass)
    assert set(dry) == {stale.name, folder.name}
    assert not any(one["removed"] for one in dry.values())
    assert all(one["removed"] for one in found(linclass, "--yes").values())
    left = set(Path("cache").rglob("*"))
    assert set(before) - left == {stale, folder, folder / "run.json"}
    assert ours in left
    assert set(others) <= left


def test_damaged_features_and_those_of_datasets_that_are_gone_go(linclass, monkeypatch):
    linclass("train", *FAST, "--loss", "ridge")
    (path,) = Path("cache/features").glob("*.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (one,) = found(linclass).values()
    assert (one["kind"], "damaged" in one["why"], one["bytes"]) == ("features", True, len(whole))
    path.write_bytes(whole)
    assert found(linclass) == {}
    real = cleaning.describe_dataset

    def another(name, cache):
        info = real(name, cache)
        return type(info)(**{**info.__dict__, "digest": "0" * 64})

    monkeypatch.setattr(cleaning, "describe_dataset", another)
    assert "another one by now" in found(linclass)[path.name]["why"]
    monkeypatch.setattr(cleaning, "describe_dataset", lambda *_: real("nowhere", Path("cache")))
    assert "textures, is gone" in found(linclass, "--yes")[path.name]["why"]
    assert not path.exists()
    assert [run["run"] for run in linclass("runs", "list", "--json").json] == ["run1"]


def test_parts_of_downloads_go_when_the_dataset_is_there(linclass):
    folder = Path("cache/datasets/.downloads")
    folder.mkdir(parents=True)
    for name in ("textures-x.tar.part", "textures-x.tar.part.json", "mnist-x.gz.part", "other.part"):
        (folder / name).write_text("x")
    assert set(found(linclass, "--yes")) == {"textures-x.tar.part", "textures-x.tar.part.json"}
    assert sorted(path.name for path in folder.iterdir()) == ["mnist-x.gz.part", "other.part"]


def test_what_has_changed_since_it_was_found_stays(tmp_path):
    path = stale_name(tmp_path / "features" / "x.h5")
    path.parent.mkdir()
    path.write_text("x")
    (one,) = cleaning.find_rubbish(tmp_path)
    os.utime(path, ns=(1, 1))
    assert cleaning.remove_rubbish(one) is False
    assert path.exists()
    (one,) = cleaning.find_rubbish(tmp_path)
    assert cleaning.remove_rubbish(one) is True
    assert cleaning.remove_rubbish(one) is False


def test_links_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "photo").write_text("x")
    cache = tmp_path / "cache"
    (cache / "runs").mkdir(parents=True)
    link = stale_name(cache / "runs" / "a")
    link.symlink_to(precious)
    (one,) = cleaning.find_rubbish(cache)
    assert cleaning.remove_rubbish(one)
    assert not link.is_symlink()
    assert (precious / "photo").is_file()
    assert json.dumps(one.why)
