"""What several kinds of tests share: one Chromium a module; one demo hub and one PostgreSQL a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from jupyter_quantum.testing.demo import DemoHub, demo_hub
from jupyter_quantum.testing.postgres import Postgres

_SHARED = {
    "tests/acceptance/": "demo",
    "tests/integration/client/": "demo",
    "tests/integration/story/": "story",
    "tests/integration/tenancy/": "tenancy",
    "tests/integration/hub/": "hub",
}
"""Directories whose tests share a hub: they stay together, and go first, since they take longest."""
_AXE = Path(__file__).resolve().parents[1] / "labextension/node_modules/axe-core/axe.min.js"
_CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _group(nodeid: str) -> str:
    """Tests of one group run in one process, in order: whoever shares a hub, otherwise a module."""
    return next((name for place, name in _SHARED.items() if nodeid.startswith(place)), nodeid.partition("::")[0])


class _Together(LoadScopeScheduling):
    """Hands out whole groups."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Used with ``-n``."""
    return _Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups that share a hub first, so that two processes end at about the same time."""
    order = {name: at for at, name in enumerate(_SHARED.values())}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that JUPYTER_QUANTUM_CHROMIUM names.

    One a module: Playwright keeps an event loop running, and no asynchronous test works beside it.
    """
    path = os.environ.get("JUPYTER_QUANTUM_CHROMIUM") or shutil.which("chromium")
    assert path, "no Chromium: as root, apt-get install -y chromium (make test does)"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_CHROMIUM))
        yield running
        running.close()


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoHub]:
    """The running demo of this session. Browser tests act as ada, the client's tests as ben."""
    with demo_hub() as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return _AXE.read_text()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started by the first test that asks; each takes a database of its own."""
    with Postgres() as server:
        yield server
