"""What several parts of the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
