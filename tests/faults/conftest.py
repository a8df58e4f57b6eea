"""Commands in this process, datasets and servers of the tests of ``data``."""

from __future__ import annotations

from tests.commands.conftest import linclass  # noqa: F401
from tests.data.conftest import _no_proxy, quick, tiny, tiny_tar, web  # noqa: F401
from tests.faults.bench import _bench, bench  # noqa: F401
