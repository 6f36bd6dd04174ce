"""A stand-in service, and a real Jupyter server that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.lab.server import Server
from tests.unit.lab.standin import Standin


@pytest.fixture(scope="module")
def service() -> Iterator[Standin]:
    """The stand-in; tests that change it put it back."""
    standin = Standin()
    yield standin
    standin.close()


@pytest.fixture(scope="module")
def server(service: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module's tests."""
    running = Server(tmp_path_factory.mktemp("home"), service.url)
    yield running
    running.close()
