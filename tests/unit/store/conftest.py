"""An empty store on SQLite, and one with a little of everything in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.rows import AttemptState
from jupyter_quantum.testing.rows import ADA, queue, run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty, migrated store."""
    store = Store(f"sqlite:///{tmp_path}/store.sqlite", artefacts=f"file://{tmp_path}/artefacts")
    store.migrate()
    yield store
    store.close()


def _live(tx: Tx) -> None:
    for cost in (100, 250):
        job = run(tx, queue(tx, 1000).id)
        tx.finish_attempt(f"{job.id}-1", AttemptState.COMPLETED, fence=1)
        tx.settle(job.id, 1, cost)
        tx.move(job.id, JobState.COMPLETED, actor="runner")
    queue(tx, 500)
    tx.move(queue(tx, 300).id, JobState.CANCELLED, actor=ADA)
    tx.number_events(tx.claim_leader("me", 60) or 0)


@pytest.fixture
def lived(store: Store) -> Store:
    """Two jobs completed, one queued, one cancelled; every event is numbered."""
    asyncio.run(store.write(_live))
    return store
