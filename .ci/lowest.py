"""The lowest versions that pyproject.toml allows, for pip: every ``name>=X`` becomes ``name==X``."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path(__file__).parent.with_name("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for wanted in sum(
    (extras[name] for name in extras if name not in ("lint", "bench")), project["dependencies"]
):
    if ">=" in wanted:
        print(wanted.replace(">=", "=="))
