"""Real images for the tests of extractors."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest


@pytest.fixture(scope="session")
def cifar_images(cifar_archive):
    """500 training images of CIFAR-10, uint8 (500, 32, 32, 3), read without linclass."""
    with tarfile.open(cifar_archive) as archive:
        for member in archive:
            if member.name.endswith("data_batch_1.bin"):
                data = archive.extractfile(member).read(500 * 3073)
                planes = np.frombuffer(data, dtype=np.uint8).reshape(500, 3073)[:, 1:].reshape(500, 3, 32, 32)
                return planes.transpose(0, 2, 3, 1)
    raise AssertionError(f"{cifar_archive} has no data_batch_1.bin")
