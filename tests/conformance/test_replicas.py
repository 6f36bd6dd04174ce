"""Two writers on one PostgreSQL, as two replicas of the service are: neither loses nor doubles what the other does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import Conflict, InputError, QuotaExceeded
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.testing.postgres import Postgres
from jupyter_quantum.testing.rows import ADA, a_job, queue


@pytest.fixture
def pair(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two stores on one empty database."""
    url = postgres.migrated()
    stores = (Store(url, artefacts=f"file://{tmp_path}/a"), Store(url, artefacts=f"file://{tmp_path}/a"))
    yield stores
    for store in stores:
        store.close()


async def test_fifty_at_once_on_two_replicas(pair: tuple[Store, Store]) -> None:
    """Exactly ten pass a quota for ten, however the two get in each other's way."""

    async def submit(store: Store) -> bool:
        try:
            await store.write(lambda tx: queue(tx, 5 * CREDIT))
        except QuotaExceeded:
            return False
        return True

    passed = await asyncio.gather(*(submit(pair[k % 2]) for k in range(50)))
    assert sum(passed) == 10
    assert await pair[0].read(verify) == []


async def test_a_deadlock_is_nobodys_failure(pair: tuple[Store, Store]) -> None:
    """Two requests that lock the same rows in opposite order both pass: one of them runs again."""
    jobs = [await pair[0].write(lambda tx: queue(tx, 1)) for _ in range(2)]
    met = threading.Barrier(2, timeout=10)
    tries = [0, 0]

    def work(mine: int, tx: Tx) -> None:
        tries[mine] += 1
        tx.amend(jobs[mine].id, actor=ADA, name="first")
        tx.flush()
        if tries == [1, 1] or tries[1 - mine] == 0:
            met.wait()
        tx.amend(jobs[1 - mine].id, actor=ADA, name="second")

    await asyncio.gather(*(pair[k].write(lambda tx, k=k: work(k, tx)) for k in range(2)))  # type: ignore[misc]
    assert sum(tries) > 2
    assert [row.version for row in await pair[0].read(lambda view: view.jobs())] == [4, 4]


async def test_a_move_is_made_once(pair: tuple[Store, Store]) -> None:
    """Of two cancellations at the same moment one wins; the other sees a job that has ended."""
    job = await pair[0].write(lambda tx: queue(tx, 1))
    answers = await asyncio.gather(
        *(store.write(lambda tx: tx.move(job.id, JobState.CANCELLED, actor=ADA)) for store in pair),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "JobRow"]
    assert await pair[0].read(verify) == []


async def test_one_leads_and_numbers(pair: tuple[Store, Store]) -> None:
    """The second replica gets no lease, and its old fence numbers nothing."""
    await pair[0].write(lambda tx: queue(tx, 1))
    fence = await pair[0].write(lambda tx: tx.claim_leader("one", 60))
    assert fence is not None
    assert await pair[1].write(lambda tx: tx.claim_leader("two", 60)) is None
    with pytest.raises(Conflict):
        await pair[1].write(lambda tx: tx.number_events(fence - 1))
    await pair[0].write(lambda tx: tx.number_events(fence))
    assert await pair[1].read(verify) == []


async def test_a_text_that_cannot_be_kept_is_the_callers(pair: tuple[Store, Store]) -> None:
    """PostgreSQL keeps no NUL character; who sends one is told, and nobody else is harmed."""
    with pytest.raises(InputError):
        await pair[0].write(lambda tx: tx.add_job(a_job(name="a\0b"), actor=ADA))
    await pair[0].write(lambda tx: queue(tx, 1))


async def test_two_services_may_migrate_at_once(postgres: Postgres, tmp_path: Path) -> None:
    """One makes the tables, the other waits and finds them there."""
    url = postgres.empty()
    stores = [Store(url, artefacts=f"file://{tmp_path}/a") for _ in range(2)]
    await asyncio.gather(*(asyncio.to_thread(store.migrate) for store in stores))
    await stores[1].write(lambda tx: queue(tx, 1))
    for store in stores:
        store.close()
