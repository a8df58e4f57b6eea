"""What several parts of the tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.faults.tally import TRIED, tried

# The same examples on every machine; HYPOTHESIS_PROFILE=long draws many more, and others each time.
_slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=40, suppress_health_check=_slow)
settings.register_profile(
    "long", deadline=None, max_examples=3000, print_blob=True, suppress_health_check=_slow
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def cifar_archive() -> Path:
    """The archive of the real CIFAR-10 (binary); skips where LINCLASS_TEST_DATA names no folder with it."""
    folder = os.environ.get("LINCLASS_TEST_DATA")
    if not folder:
        pytest.skip("LINCLASS_TEST_DATA is not set")
    archive = Path(folder) / "cifar-10-binary.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    return archive


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    """Before processes share the tests: they would compile the same kernels, each for itself."""
    if os.environ.get("NUMBA_DISABLE_JIT") != "1":
        subprocess.run([sys.executable, "-m", "linclass_cli", "warmup", "--quiet"], check=False)


def pytest_runtest_logreport(report):
    # Where processes share the tests, each tells, and then the one that started them: that one counts.
    started_them = "PYTEST_XDIST_WORKER" not in os.environ
    if started_them and report.when == "call" and report.passed and "test_hostile_" in report.nodeid:
        tried("hostile input")


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tried"] = dict(TRIED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a process that shared the tests has tried; nothing of one that ended too early to say."""
    TRIED.update(getattr(node, "workeroutput", {}).get("tried", {}))


def pytest_terminal_summary(terminalreporter):
    for kind, faults in sorted(TRIED.items()):
        terminalreporter.write_line(f"faults survived: {kind}: {faults:,}")
