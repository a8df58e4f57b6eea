"""The Python API: its names are there, and its document runs and says the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import linclass_cli

DOCUMENT = Path(__file__).parent.parent / "docs" / "api.md"


def test_every_name_is_there_and_no_other():
    assert sorted([*linclass_cli._PLACES, "__version__"]) == linclass_cli.__all__
    for name in linclass_cli.__all__:
        value = getattr(linclass_cli, name)
        assert value.__doc__
        assert name in dir(linclass_cli)
    with pytest.raises(AttributeError, match="nothing"):
        linclass_cli.nothing  # noqa: B018


def test_the_document_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("LINCLASS_CACHE_DIR", "LINCLASS_SEED", "LINCLASS_THREADS", "LINCLASS_PRESET"):
        monkeypatch.delenv(name, raising=False)
    names: dict[str, object] = {}
    compared = 0
    for block in re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, str(DOCUMENT), "exec"), names)
        for said, expected in re.findall(r"^(\S.*?)  # → (.*)$", block, re.MULTILINE):
            assert repr(eval(said, names)) == expected, said
            compared += 1
    assert compared == 14
    out = capsys.readouterr().out
    assert "did you mean softmax" in out
    assert "photos/2.png " in out


def test_a_wrong_key_is_an_error():
    with pytest.raises(linclass_cli.LinclassError, match="did you mean model.l2"):
        linclass_cli.load_config({"model.l3": 1})


def test_importing_the_package_loads_nothing():
    script = (
        "import sys, linclass_cli; print(*[n for n in sys.modules if n.startswith(('linclass', 'numpy'))])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["linclass_cli"]
