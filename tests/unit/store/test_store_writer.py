"""Many requests, one commit; each of them alone in what it does and says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, Unavailable
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.testing.rows import ADA, a_job, queue


@contextmanager
def commits(store: Store) -> Iterator[list[int]]:
    """One item for each transaction that the writer commits meanwhile."""
    seen: list[int] = []
    event.listen(store.engine, "commit", lambda _conn: seen.append(1))
    yield seen


async def held_up(store: Store, release: threading.Event) -> asyncio.Future[None]:
    """Keep the writer in a request, so that others have to wait."""
    inside = threading.Event()

    def work(_tx: Tx) -> None:
        inside.set()
        release.wait(10)

    waiting = asyncio.ensure_future(store.write(work))
    await asyncio.to_thread(inside.wait, 10)
    return waiting


async def test_waiting_requests_share_a_commit(store: Store) -> None:
    """Fifty requests that wait are one transaction."""
    release = threading.Event()
    with commits(store) as seen:
        first = await held_up(store, release)
        others = [asyncio.ensure_future(store.write(lambda tx: queue(tx, 1))) for _ in range(50)]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, *others)
    assert len(seen) == 1
    assert len(await store.read(lambda view: view.jobs(limit=None))) == 50


async def test_a_failing_request_does_not_spoil_its_neighbours(store: Store) -> None:
    """It raises at its caller and leaves nothing; the others of its group are on disk."""

    def fail(tx: Tx) -> None:
        queue(tx, 10)
        tx.flush()
        raise LookupError("mine")

    def illegal(tx: Tx) -> None:
        job = tx.add_job(a_job(), actor=ADA)
        tx.move(job.id, JobState.RUNNING, actor=ADA)

    def twice(tx: Tx) -> None:
        job = tx.add_job(a_job(), actor=ADA)
        tx.flush()
        tx.add_job(job, actor=ADA)

    release = threading.Event()
    with commits(store) as seen:
        first = await held_up(store, release)
        works = [fail, lambda tx: queue(tx, 10), illegal, lambda tx: queue(tx, 10), twice, lambda tx: queue(tx, 10)]
        others = [asyncio.ensure_future(store.write(work)) for work in works]
        await asyncio.sleep(0)
        release.set()
        answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert len(seen) == 1
    assert [type(answer).__name__ for answer in answers[1:]] == [
        "LookupError",
        "JobRow",
        "Conflict",
        "JobRow",
        "Conflict",
        "JobRow",
    ]
    assert len(await store.read(lambda view: view.jobs(limit=None))) == 3
    assert await store.read(verify) == []


async def test_a_request_sees_its_own_writes(store: Store) -> None:
    """Lists too, before anything is committed; readers see nothing of it yet."""

    def work(tx: Tx) -> tuple[int, int]:
        queue(tx, 1)
        return len(tx.jobs()), len(tx.entries())

    release = threading.Event()
    first = await held_up(store, release)
    second = asyncio.ensure_future(store.write(work))
    assert await store.read(lambda view: view.jobs()) == []
    release.set()
    await first
    assert await second == (1, 4)


async def test_a_cancelled_caller_does_no_harm(store: Store) -> None:
    """Its request is done all the same, and the next one answered."""
    release = threading.Event()
    first = await held_up(store, release)
    gone = asyncio.ensure_future(store.write(lambda tx: queue(tx, 1)))
    await asyncio.sleep(0)
    gone.cancel()
    release.set()
    await first
    assert await store.write(lambda tx: len(tx.jobs())) == 1


async def test_errors_of_the_database_are_ours(store: Store) -> None:
    """Users never see SQL."""

    def broken(tx: Tx) -> None:
        list(tx.query(text("SELECT nonsense")))  # type: ignore[arg-type]

    with pytest.raises(Unavailable) as caught:
        await store.write(broken)
    assert "nonsense" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OperationalError)


async def test_a_failed_commit_fails_the_whole_group(store: Store) -> None:
    """Nobody is told that something is on disk which is not."""

    def refuse(_conn: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk full"))

    event.listen(store.engine, "commit", refuse)
    answers = await asyncio.gather(*(store.write(lambda tx: queue(tx, 1)) for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    event.remove(store.engine, "commit", refuse)
    assert await store.read(lambda view: view.jobs()) == []
    await store.write(lambda tx: queue(tx, 1))


async def test_no_database_is_an_answer_too(tmp_path: Path) -> None:
    """Where nothing can be opened, callers are told; the writer lives on and serves when it can."""
    store = Store(f"sqlite:///{tmp_path}/later/store.sqlite", artefacts=f"file://{tmp_path}/artefacts")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await store.write(lambda tx: queue(tx, 1))
    store.migrate()
    await store.write(lambda tx: queue(tx, 1))
    store.close()


async def test_a_row_that_changed_meanwhile_is_a_conflict(store: Store) -> None:
    """Another process on the same database cannot be overwritten by what this one read before."""
    job = await store.write(lambda tx: queue(tx, 0))

    def work(tx: Tx) -> None:
        tx.job(job.id)
        tx.flush()
        tx._conn.execute(text("UPDATE jobs SET version = 99"))
        tx.move(job.id, JobState.CANCELLED, actor=ADA)

    with pytest.raises(Conflict):
        await store.write(work)
    assert await store.read(lambda view: view.job(job.id)) == job


async def test_a_closed_store_says_so(store: Store) -> None:
    """After the end: Unavailable, not a request that waits for ever."""
    await store.write(lambda tx: queue(tx, 0))
    store.close()
    with pytest.raises(Unavailable) as caught:
        await store.write(lambda tx: queue(tx, 0))
    assert caught.value.code == "store.closed"


def test_a_store_serves_one_loop_after_the_other(store: Store) -> None:
    """Futures belong to the loop that asked."""
    for _ in range(3):
        asyncio.run(store.write(lambda tx: queue(tx, 0)))
    assert len(asyncio.run(store.read(lambda view: view.jobs()))) == 3


async def test_entries_without_a_move_are_told(store: Store) -> None:
    """Money that moves on its own has an event too."""
    job = await store.write(lambda tx: queue(tx, 7))
    await store.write(lambda tx: tx.release(job.id))
    last = (await store.read(lambda view: view.job_events(job.id)))[-1]
    assert last.type == "ledger.changed"
    assert {(entry["kind"], entry["amount"]) for entry in last.data["entries"]} == {("release", 7)}
