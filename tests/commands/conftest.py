"""Commands run in this process, on the embedded pictures, in a cache of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from linclass_cli.cli import app


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr of a command that failed; nothing on stdout."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


Run = Callable[..., Result]


@pytest.fixture
def linclass(tmp_path, monkeypatch, capsys) -> Run:
    """``linclass("train", "--l2", "1")``: run a command in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("LINCLASS_CACHE_DIR", "LINCLASS_SEED", "LINCLASS_THREADS", "LINCLASS_PRESET"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app(list(arguments), prog_name="linclass")
        captured = capsys.readouterr()
        return Result(int(end.value.code or 0), captured.out, captured.err)

    return run
