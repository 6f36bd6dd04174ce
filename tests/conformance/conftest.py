"""The databases that the suite of ``test_store.py`` runs on: SQLite and PostgreSQL, always."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_quantum.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, migrated already where that is quicker."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.sqlite"
    migrated: str = request.getfixturevalue("postgres").migrated()
    return migrated


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store."""
    store = Store(url, artefacts=f"file://{tmp_path}/artefacts")
    store.migrate()
    yield store
    store.close()
