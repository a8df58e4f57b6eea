"""The server of forked children and copies of a template folder, as fixtures."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.data.conftest import MEMBERS, make_tar, register_tiny
from tests.faults.forge import Forge, make_sources, make_template


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Bench:
    """The forge, the sources, and copies of the template."""

    def __init__(self, base: Path, forge: Forge, sources: Path, address: str) -> None:
        self.base, self.forge, self.sources, self.address = base, forge, sources, address
        self.template = base / "template"
        self._copies = 0

    def copy(self, place: Path | None = None) -> Path:
        self._copies += 1
        return shutil.copytree(self.template, (place or self.base) / f"copy{self._copies}")


@pytest.fixture(scope="session")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    base = tmp_path_factory.mktemp("faults")
    sources = base / "sources"
    make_sources(sources)
    tar = make_tar([(f"tiny/{name}", content) for name, content in MEMBERS.items()], "w")
    (sources / "tiny.tar").write_bytes(tar)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(sources)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/tiny.tar"
    forge = Forge(address)
    bench = Bench(base, forge, sources, address)
    make_template(forge, bench.template, sources)
    yield bench
    forge.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def bench(_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The bench, with the dataset ``tiny`` known here as it is in the forge."""
    register_tiny(monkeypatch, (_bench.sources / "tiny.tar").read_bytes(), (_bench.address,))
    return _bench
