"""The databases that the suite of ``test_store.py`` runs on.

SQLite always; ``JUPYTER_QUANTUM_TEST_STORES`` adds others: URLs of empty databases, separated by spaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_quantum.store import Store

URLS = ["sqlite:///{tmp}/store.sqlite", *os.environ.get("JUPYTER_QUANTUM_TEST_STORES", "").split()]


@pytest.fixture(params=URLS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store."""
    store = Store(request.param.format(tmp=tmp_path), artefacts=f"file://{tmp_path}/artefacts")
    store.migrate()
    yield store
    store.close()
