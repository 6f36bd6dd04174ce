"""Sessions, on every database behind the store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.reads.sessions import SessionUse, session_key
from jupyter_quantum.store.rows import EventRow, JobRow, SessionRow
from jupyter_quantum.testing.rows import ADA, a_job

BEN = "ben@2026-05-12T09:00:00Z"


async def joined(store: Store, job: JobRow, max_s: float | None = None) -> SessionRow:
    """A new job and its session."""

    def work(tx: Tx) -> SessionRow:
        row = tx.join_session(job, "batch", max_s)
        tx.add_job(job, actor=job.principal)
        return row

    return await store.write(work)


async def test_one_a_person_project_and_device(store: Store) -> None:
    """Jobs with the same four share a row; another person, project or device has another, and its own id."""
    name = new_id("ses")
    first, second = [await joined(store, a_job(session=name), 60.0) for _ in range(2)]
    assert (first.id, first.state, first.max_s, first.kind) == (second.id, "new", 60.0, "batch")
    changes: list[dict[str, Any]] = [{"device": "fake_fez"}, {"project": "lab"}, {"principal": BEN}]
    others = [await joined(store, a_job(session=name, **change)) for change in changes]
    assert len({first.id, *(row.id for row in others)}) == 4
    assert first.id == session_key(ADA, "qcourse", "fake_torino", name)
    mine = await store.read(lambda view: view.sessions_of(ADA, name))
    assert {row.id for row in mine} == {first.id, others[0].id, others[1].id}


async def test_its_life(store: Store) -> None:
    """Opened once, closed, ended once, with one event that says what the vendor counts; nothing is undone."""
    job = a_job(session=new_id("ses"))
    row = await joined(store, job)
    opened = await store.write(lambda tx: tx.open_session(row.id, handle="v1", mode="batch"))
    assert (opened.state, opened.handle, opened.opened is not None) == ("open", "v1", True)
    with pytest.raises(Conflict) as twice:
        await store.write(lambda tx: tx.open_session(row.id, handle="v2", mode="batch"))
    assert twice.value.code == "session.state"
    assert [one.id for one, _ in await store.read(lambda view: view.live_sessions())] == [row.id]
    closing = await store.write(lambda tx: tx.close_session(row.id, "idle"))
    assert (closing.state, closing.why) == ("closing", "idle")
    assert (await store.write(lambda tx: tx.close_session(row.id, "vendor"))).why == "idle"
    over = [await store.write(lambda tx: tx.end_session(row.id, "closed", 2.5)) for _ in range(2)]
    assert [(one.state, one.why, one.usage_s) for one in over] == [("ended", "idle", 2.5)] * 2
    assert await store.read(lambda view: view.live_sessions()) == []

    def told(tx: Tx) -> list[EventRow]:
        tx.claim_leader("me", 60)
        tx.number_events(1)
        return [event for event in tx.events(0) if event.type == "session.ended"]

    (event,) = await store.write(told)
    said = {"vendor_session": "v1", "mode": "batch", "why": "idle", "usage_s": "2.500", "device": "fake_torino"}
    assert dict(event.data) == said | {"session": job.session}


async def test_what_was_never_opened_just_ends(store: Store) -> None:
    """A session that only groups has nothing to be told of."""
    row = await joined(store, a_job(session=new_id("ses")))
    assert (await store.write(lambda tx: tx.close_session(row.id, "idle"))).state == "ended"


async def test_closed_by_its_owner(store: Store) -> None:
    """It takes no more jobs on any device, those that it has are counted, and the next device is closed as well."""
    name = new_id("ses")
    job = a_job(session=name)
    await joined(store, job)
    rows = await store.write(lambda tx: tx.close_sessions(ADA, name))
    assert [row.closed is not None for row in rows] == [True]
    for later in (a_job(session=name), a_job(session=name, device="fake_fez")):
        with pytest.raises(Conflict) as refused:
            await joined(store, later)
        assert refused.value.code == "session.closed"
    assert await store.write(lambda tx: tx.close_sessions(BEN, name)) == []
    moved = replace(job, device="fake_fez")
    there = await store.write(lambda tx: tx.seat(moved))
    assert there is not None
    assert (there.device, there.closed, there.kind) == ("fake_fez", rows[0].closed, "batch")
    assert await store.write(lambda tx: tx.seat(a_job())) is None


async def test_what_is_left_to_do_in_it(store: Store) -> None:
    """Jobs that have not ended are counted, those of another person or device are not."""
    name = new_id("ses")
    row = await joined(store, a_job(session=name))
    await joined(store, a_job(session=name, device="fake_fez"))
    await joined(store, a_job(session=name, principal=BEN))
    assert await store.read(lambda view: view.session_use(row)) == SessionUse(1, None)
    live = await store.read(lambda view: view.live_sessions())
    assert [use for _, use in live] == [SessionUse(1, None)] * 3
    with pytest.raises(NotFound):
        await store.read(lambda view: view.session("sha256:nobody"))


async def test_a_person_is_forgotten_here_too(store: Store) -> None:
    """The row stays, and names a pseudonym."""
    job = a_job(session=new_id("ses"))

    def work(tx: Tx) -> str:
        tx.join_session(job, "session", None)
        return tx.forget(ADA)[0]

    pseudonym = await store.write(work)
    rows = await store.read(lambda view: view.sessions_of(pseudonym, job.session or ""))
    assert [row.principal for row in rows] == [pseudonym]
    assert await store.read(lambda view: view.sessions_of(ADA, job.session or "")) == []
