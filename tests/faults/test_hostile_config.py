"""Settings of every type and text, by file, environment and flag: in their range, or one line and exit 3."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linclass_cli.config import Config, config_of, leaves
from linclass_cli.errors import SettingsError
from linclass_cli.features import FEATURES
from linclass_cli.sections import Setting
from linclass_cli.settings import env_name, resolve
from linclass_cli.visible import visible
from tests.tiers import slow

KEYS = dict(leaves())
QUIET = {
    "derandomize": True,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}
FEW, MANY = settings(max_examples=40, **QUIET), settings(max_examples=300, **QUIET)
NUMBERS = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, 1, -1, 2**31, 2**63 - 1, 2**63, 10**400, 5e-324, 1e308, -0.0])
)
TEXTS = (
    st.text(max_size=30)
    | st.text(alphabet="0123456789.:,-+e_ ٣²", max_size=20)
    | st.from_regex(r"\A(\d{1,7},){0,9}\d{0,7}\Z")
    | st.sampled_from(["\x1b[2J", "\u202e", "a\nb", "", " ", "nan", "inf", "1e400", "9" * 5000, "x" * 5000])
    | st.sampled_from(
        ["1:2:3", "0:1:5", "1e-308:1e308:9", "5e-324:1e308:2", "1:2:99999", ",", "1,,2", "1:2:٣"]
    )
    | st.sampled_from(
        [str(choice) for one in KEYS.values() for choice in one.choices] + ["hog+hue", "hog+hog"]
    )
)
DATES = st.datetimes() | st.dates() | st.times()
VALUES = st.recursive(
    NUMBERS | TEXTS | st.booleans() | DATES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """The value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(key)} = {toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return hex(value) if isinstance(value, int) and value >= 0 else repr(value)


def within(one: Setting, value: Any) -> bool:
    """Whether a value that was accepted is of the kind, and in the range, that the setting declares."""
    low = [value >= one.bounds["ge"]] if "ge" in one.bounds else []
    low += [value > one.bounds["gt"]] if "gt" in one.bounds else []
    high = [value <= one.bounds["le"]] if "le" in one.bounds else []
    high += [value < one.bounds["lt"]] if "lt" in one.bounds else []
    if one.choices:
        words = value.split(one.joined) if one.joined else [value]
        return set(words) <= set(one.choices)
    if one.kind in (int, float, bool):
        finite = one.kind is not float or abs(value) < float("inf")
        even = "multiple_of" not in one.bounds or value % one.bounds["multiple_of"] == 0
        return type(value) is one.kind and finite and even and all(low) and all(high)
    if one.words:
        return type(value) is str and re.fullmatch(r"(([0-9.]+,)*[0-9.]+)?", value) is not None
    if one.kind is str:
        return type(value) is str and len(value) <= one.bounds["max_length"] and "\0" not in value
    return 1 <= len(value) <= 1000 and all(0 <= x < float("inf") for x in value)


def hold(key: str, found: Any) -> None:
    """What must be true of a way into the config: a value in its range, or one clear line."""
    try:
        config: Config = found().config
    except SettingsError as error:
        text = str(error)
        named = key.rpartition(".")[2] in text or env_name(key) in text
        assert named or "is larger than 16,384 bytes" in text  # which says nothing of what is in it
        assert len(visible(" ".join(text.split()))) < 1200
        return
    section, _, name = key.rpartition(".")
    value = getattr(getattr(config, section) if section else config, name)
    assert within(KEYS[key], value)
    assert config_of({key: value}) is not None
    json.dumps(config.record(), allow_nan=False)


LONG = "0x" + "f" * 5000  # more digits than Python writes
# What the choices of a section must be, for a setting that belongs to some of them only.
OWNERS = {
    "sgd": {"solver.name": "sgd"},
    "lbfgs": {"solver.name": "lbfgs"},
    "smoothed": {"solver.name": "smoothed", "model.loss": "hinge"},
    **{name: {"feature.name": name} for name in FEATURES if name not in ("hog", "vectors")},
}


def owner(key: str) -> dict[str, str]:
    return next((OWNERS[one] for one in KEYS[key].only_for if one in OWNERS), {})


@slow
@pytest.mark.parametrize("key", KEYS)
@given(value=VALUES)
@FEW
def test_a_file(tmp_path, key, value):
    try_in_a_file(tmp_path / "x.toml", key, toml(value))


@pytest.mark.parametrize("key", KEYS)
def test_a_file_with_what_json_and_floats_cannot_hold(tmp_path, key):
    for text in (LONG, f"[{LONG}]", f"[[{LONG}]]", "[[1]]", "[2000-01-01]", "1e400", "[nan]"):
        try_in_a_file(tmp_path / "x.toml", key, text)


def try_in_a_file(file: Path, key: str, literal: str) -> None:
    section, _, name = key.rpartition(".")
    lines: dict[str, list[str]] = {section: [f"{name} = {literal}"]}
    for other, text in owner(key).items():
        lines.setdefault(other.partition(".")[0], []).append(f"{other.partition('.')[2]} = {toml(text)}")
    text = "\n".join([*lines.pop("", []), *(f"[{s}]\n" + "\n".join(inner) for s, inner in lines.items())])
    file.write_bytes(text.encode())
    hold(key, lambda: resolve({}, file=file, environment={}))


@pytest.mark.parametrize("key", KEYS)
@given(text=TEXTS)
@FEW
def test_the_environment_and_flags(key, text):
    others = {key: ("--other", value) for key, value in owner(key).items()}
    flag = "--" + key.rpartition(".")[2]
    hold(key, lambda: resolve({**others, key: (flag, text)}, environment={}))
    if "\0" not in text:
        hold(key, lambda: resolve(others, environment={env_name(key): text}))


@given(name=st.text(max_size=40), value=VALUES)
@MANY
def test_keys_that_are_none(tmp_path, name, value):
    if name in KEYS or name in {key.partition(".")[0] for key in KEYS}:
        return
    file = tmp_path / "x.toml"
    file.write_bytes(f"{toml(name)} = {toml(value)}".encode())
    with pytest.raises(SettingsError, match="unknown key|is larger than 16,384 bytes"):
        resolve({}, file=file, environment={})


@given(
    content=st.binary(max_size=200)
    | st.text(alphabet="[]{}=.,\"'#\n abseed01\\u", max_size=200).map(str.encode)
)
@MANY
def test_files_of_anything(tmp_path, content):
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with contextlib.suppress(SettingsError):
        resolve({}, file=file, environment={})


DEEP = 5000
BOMBS = {
    "lists in lists": b"seed = " + b"[" * DEEP + b"]" * DEEP,
    "some lists in lists": b"seed = " + b"[" * 300 + b"]" * 300,
    "tables in tables": b"a = " + b"{a=" * DEEP + b"1" + b"}" * DEEP,
    "a key of many parts": b".".join([b"a"] * 2000) + b" = 1",
    "a table of many parts": b"[" + b".".join([b"a"] * DEEP) + b"]",
    "many tables": b"[[a]]\n" * 2500,
    "many keys": b"".join(b"k%d=1\n" % i for i in range(1500)),
    "a long key": b"x" * 16_000 + b" = 1",
    "a long number": b"seed = " + b"9" * 16_000,
    "large": b"#" * 2_000_000,
    "no UTF-8": b"seed = 1 # \xff",
    "UTF-16": "seed = 1".encode("utf-16"),
    "NUL": b"seed = 1\0",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(linclass, name):
    Path("linclass.toml").write_bytes(BOMBS[name])
    began = time.monotonic()
    result = linclass("config", "show")
    assert result.code == 3
    assert "linclass.toml" in result.error
    assert len(result.error) < 1700
    assert time.monotonic() - began < 10


def test_what_is_no_file(linclass, monkeypatch):
    os.mkfifo("fifo")
    Path("folder").mkdir()
    Path("round").symlink_to("round")
    for path in ("fifo", "folder", "round", "/dev/zero", "/dev/stdin"):
        assert linclass("config", "show", "--config", path).code == 3
        monkeypatch.setenv("LINCLASS_CONFIG", path)
        assert linclass("config", "show").code == 3
        monkeypatch.delenv("LINCLASS_CONFIG")
    os.mkfifo("linclass.toml")  # not asked for: passed over
    assert linclass("config", "show").code == 0
    assert linclass("config", "show", "--config", "/dev/null").code == 0


def test_messages_hold_no_escape_sequences(linclass, monkeypatch):
    Path("linclass.toml").write_text('"\\u001b[2J\\n\\u202e" = 1')
    result = linclass("config", "show")
    assert result.code == 3
    assert r"\x1b[2J" in result.error
    assert result.error.isprintable()
    Path("linclass.toml").write_text('[data]\nname = "\\u001b[2J"')
    assert "\x1b" not in linclass("config", "show").out
    assert linclass("train").error.isprintable()
    monkeypatch.setenv("LINCLASS_\x1b[2J", "1")
    assert linclass("config", "show").error.isprintable()
