"""Mistakes of the user: one line, the contract's exit code, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAST = ("--data", "textures", "--feature", "hog", "--pixels-per-cell", "16", "--cells-per-block", "2")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "--loss", "sofmax"], 3, 'model.loss = "sofmax" (from --loss)'),
        (["train", "--feature", "hgo"], 3, "did you mean hog"),
        (["train", "--learning-rate", "0.1"], 3, "newton (what auto chooses here) has no learning_rate"),
        (["train", "--l2", "-1"], 3, "allowed is a finite number >= 0"),
        (["cv", "--folds", "1"], 3, "cv.folds = 1 (from --folds): allowed is a whole number >= 2"),
        (["cv", "--folds", "many"], 3, 'cv.folds = "many" (from --folds): allowed is a whole number'),
        (["train", "--l2", "abc"], 3, 'model.l2 = "abc" (from --l2): allowed is a finite number'),
        (["train", "--l2", "inf"], 3, "a finite number"),
        (["train", "--lss", "hinge"], 2, "--lss"),
        (["tran"], 2, "did you mean train?"),
        (["train"], 4, "linclass download cifar10"),
        (["train", "--data", "cifar"], 4, "did you mean"),
        (["extract", "--data", "textures", "--pixels-per-cell", "32"], 3, "32"),
        (["extract", "--data", "textures", "--feature", "hue"], 3, "colour"),
        (["download", "nothing"], 4, "nothing"),
        (["download", "cifar10", "--from", "/no/such/file"], 4, "/no/such/file"),
        (["plot", "run42"], 4, "no run run42"),
        (["plot", "../x"], 3, "no name for a run"),
        (["plot", "run1", "--kind", "pie"], 3, "--kind pie: allowed is auto, curves, cv"),
        (["train", "--preset", "cours"], 4, "did you mean course"),
        (["train", "--config", "no.toml"], 4, "no config file no.toml"),
        (["download", "cifar10", "--from", "http://[bad"], 6, "not a usable address"),
        (["runs", "list", "--cache-dir", "x" * 300], 6, "cannot read or write"),
        (["runs", "show", "x"], 4, "no run x"),
        (["train", *FAST, "--name", "a/b"], 3, "no name for a run"),
    ],
)
def test_a_mistake_is_one_line_and_the_exit_code(linclass, arguments, code, words):
    result = linclass(*arguments)
    assert words in result.error
    assert result.code == code
    assert result.out == ""
    assert not list(Path("cache/runs").glob("*"))


def test_no_arguments_show_the_help_and_are_wrong_usage(linclass):
    result = linclass()
    assert result.code == 2
    assert "demo" in result.out + result.err


def test_a_truncated_archive(linclass):
    Path("a.tar.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(100))
    result = linclass("download", "cifar10", "--from", "a.tar.gz")
    assert result.code == 5
    assert "a.tar.gz" in result.error


def test_a_flipped_byte_in_a_feature_file(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    (path,) = Path("cache/features").glob("*.h5")
    content = bytearray(path.read_bytes())
    content[100_000] ^= 4
    path.write_bytes(content)
    for command in (
        ["train", *FAST, "--loss", "ridge"],
        ["extract", *FAST],
        ["cv", *FAST],
        ["cache", "verify"],
    ):
        result = linclass(*command)
        assert result.code == 5
        assert "linclass extract --force" in result.error
    assert path.read_bytes() == bytes(content)
    assert [p.name for p in Path("cache/runs").iterdir()] == ["run1"]
    assert linclass("extract", *FAST, "--force").code == 0
    assert linclass("cache", "verify").code == 0


def test_a_damaged_run(linclass):
    linclass("train", *FAST, "--loss", "ridge")
    path = Path("cache/runs/run1/history.jsonl")
    path.write_text(path.read_text().replace("1", "2"))
    result = linclass("plot", "run1")
    assert result.code == 5
    assert "history.jsonl is damaged" in result.error
    listed = linclass("runs", "list")
    assert listed.code == 0
    assert "warning" in listed.err


def test_a_name_that_is_taken(linclass):
    linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    before = Path("cache/runs/a/run.json").read_bytes()
    result = linclass("train", *FAST, "--loss", "ridge", "--name", "a")
    assert result.code == 3
    assert "choose another --name" in result.error
    assert Path("cache/runs/a/run.json").read_bytes() == before


def test_a_cache_that_is_a_file(linclass):
    Path("cache").write_text("precious")
    result = linclass("extract", *FAST)
    assert result.code == 6
    assert "a file stands where a folder is needed" in result.error
    assert Path("cache").read_text() == "precious"


def test_a_folder_that_cannot_be_written(linclass, monkeypatch):
    """Root may write everywhere, so the operating system's refusal is put in its mouth."""
    real = Path.mkdir

    def refuse(self, *args, **kwargs):
        if "cache" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    result = linclass("extract", *FAST)
    assert result.code == 6
    assert "permission denied" in result.error


def test_a_bug_keeps_its_traceback(linclass, monkeypatch):
    from linclass_cli import feature_plan

    monkeypatch.setattr(feature_plan, "plan_features", lambda config: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        linclass("extract", *FAST)


def spawn(*arguments: str, cwd: Path, **options) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LINCLASS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "linclass_cli", *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has it ignored, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_cleanly(tmp_path, number, code):
    options = (*FAST, "--solver", "sgd", "--epochs", "1000000")
    process = spawn("train", *options, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/runs/run1")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "nothing is half written; the same command starts again" in err
    assert list((tmp_path / "cache" / "runs").iterdir()) == []
    assert [path.suffix for path in tmp_path.glob("cache/features/*")] in ([], [".h5"])


def test_module_version_and_help_of_a_fresh_process(tmp_path):
    for arguments, words in ((["--version"], "linclass 0.1"), (["--help"], "From images to figures")):
        process = spawn(*arguments, cwd=tmp_path)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert words in out


def test_every_command_ends_its_help_in_an_example(linclass):
    commands = [
        [c]
        for c in (
            "download",
            "import",
            "extract",
            "train",
            "cv",
            "plot",
            "predict",
            "export",
            "demo",
            "runs",
            "cache",
            "config",
        )
    ]
    commands += [["warmup"], ["runs", "list"], ["runs", "show"], ["cache", "list"], ["cache", "verify"]]
    commands += [["config", "show"], ["config", "init"], []]
    for command in commands:
        assert f"Example: linclass {' '.join(command[:1])}" in linclass(*command, "--help").out
