"""Real schedulers and workers, each a process."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.cluster.processes import Processes
from tests.commands.conftest import linclass  # noqa: F401

pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """What the command line does: no word of Dask's on stderr. And no address of another test's."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    monkeypatch.delenv("LINCLASS_CLUSTER", raising=False)


@pytest.fixture(scope="session")
def four(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler with four workers of one thread, for tests that leave them as they are."""
    processes = Processes(tmp_path_factory.mktemp("four"))
    try:
        for _ in range(4):
            processes.worker()
        yield processes.ready(4)
    finally:
        processes.close()


@pytest.fixture
def processes(tmp_path_factory) -> Iterator[Processes]:
    """A scheduler without workers, for a test of its own."""
    own = Processes(tmp_path_factory.mktemp("processes"))
    try:
        yield own
    finally:
        own.close()
