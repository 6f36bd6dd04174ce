"""Keys that change and data that goes, on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.store.artefacts import INLINE
from jupyter_quantum.store.crypt import Wrapped
from jupyter_quantum.store.rows import ExportRow, JobRow
from jupyter_quantum.store.tables import artefacts
from jupyter_quantum.testing.rows import ADA, a_job, queue
from jupyter_quantum.wire.base import digest_of

SMALL, LARGE = b"small", b"large" * INLINE
LATER = timedelta(days=400)


async def kept(store: Store) -> set[str]:
    """Digests that the course keeps."""
    query = select(artefacts.c.digest).where(artefacts.c.tenant == "qcourse")
    return {row[0] for row in await store.read(lambda view: list(view.query(query)))}


def ended(tx: Tx, source: bytes, result: bytes) -> JobRow:
    """A job that was cancelled, with artefacts."""
    job = a_job(source=tx.put_blob("qcourse", source), pubs='[{"circuit": 0, "parameters": [0.5]}]')
    tx.add_job(job, actor=ADA)
    changes = {"result": tx.put_blob("qcourse", result), "prepared": '{"device": "aer", "pubs": [1]}'}
    return tx.move(job.id, JobState.CANCELLED, actor=ADA, **changes)


async def test_everything_follows_a_new_key(store: Store, tmp_path: Path) -> None:
    """Small and large are sealed again, the old file goes, and the old key still opens what it sealed elsewhere."""
    for raw in (SMALL, LARGE):
        await store.artefacts.put("qcourse", raw)
    apart = await store.write(lambda tx: tx.seal("qcourse", "webhooks", "w", b"secret"))
    before = [path for path in (tmp_path / "artefacts").rglob("*") if path.is_file()]
    new = await store.write(lambda tx: tx.rotate_key("qcourse", actor=ADA))
    assert [data.pending for data in await store.read(lambda view: view.kept())] == [2]
    for row in await store.read(lambda view: view.to_seal(10)):
        await store.seal_again(row)
    await store.scrub()
    assert [data.pending for data in await store.read(lambda view: view.kept())] == [0]
    assert not any(path.exists() for path in before)
    for raw in (SMALL, LARGE):
        assert await store.artefacts.get("qcourse", digest_of(raw)) == raw
    keys = await store.read(lambda view: list(view.query(select(artefacts.c.key).distinct())))
    assert [row[0] for row in keys] == [new.id]
    assert await store.read(lambda view: view.open("qcourse", "webhooks", "w", apart)) == b"secret"


async def test_a_key_is_wrapped_anew_once(store: Store) -> None:
    """The second of two that wrap the same key changes nothing."""
    key = await store.write(lambda tx: tx.add_key("qcourse"))
    store.keyring.master.rotate()
    wrapped = store.keyring.master.rewrap("qcourse", Wrapped(key.master, key.wrapped))
    assert await store.write(lambda tx: tx.rewrapped(key, wrapped))
    assert not await store.write(lambda tx: tx.rewrapped(key, wrapped))
    store.keyring.drop(key.id)
    await store.artefacts.put("qcourse", SMALL)


async def test_shredding_spares_the_neighbours(store: Store) -> None:
    """What the tenant kept is unreadable and says so; what it keeps from now on is readable; twice is the same."""
    job = await store.write(lambda tx: ended(tx, SMALL, b"result"))
    await store.artefacts.put("qcourse", LARGE)
    await store.artefacts.put("lab", SMALL)
    for _ in range(2):
        for key in await store.write(lambda tx: tx.shred("qcourse", actor=ADA)):
            store.keyring.drop(key.id)
        for raw in (SMALL, LARGE, b"result"):
            with pytest.raises(Conflict) as gone:
                await store.artefacts.get("qcourse", digest_of(raw))
            assert gone.value.code == "data.shredded"
        await store.artefacts.put("qcourse", SMALL)
        assert await store.artefacts.get("qcourse", digest_of(SMALL)) == SMALL
    assert await store.artefacts.get("lab", digest_of(SMALL)) == SMALL
    row = await store.read(lambda view: view.job(job.id))
    assert (row.pubs, row.prepared) == ("[]", '{"device": "aer"}')
    assert await store.read(verify) == []


async def test_nothing_is_shredded_under_open_jobs(store: Store) -> None:
    """A job that waits keeps its project's keys."""
    await store.write(lambda tx: (queue(tx, 0), tx.put_blob("qcourse", SMALL)))
    with pytest.raises(Conflict) as refused:
        await store.write(lambda tx: tx.shred("qcourse", actor=ADA))
    assert refused.value.code == "data.open_jobs"


async def test_what_is_due_goes_class_by_class(store: Store) -> None:
    """Inputs, then results: archived; what another job refers to stays; an open job is refused."""
    one, two = await store.write(lambda tx: (ended(tx, SMALL, b"one"), ended(tx, SMALL, b"two")))
    later = datetime.now(UTC) + LATER
    assert await store.read(lambda view: view.count_due("qcourse", "inputs", later)) == 2
    assert await store.read(lambda view: view.count_due("qcourse", "inputs", later - 2 * LATER)) == 0
    row = await store.write(lambda tx: tx.erase(one.id, ["inputs", "logs"], actor="service", why="retention"))
    assert (row.state, row.erased, row.pubs) == (JobState.CANCELLED, "inputs,logs", "[]")
    due = await store.read(lambda view: view.due("qcourse", "inputs", later, limit=5))
    assert [job.id for job in due] == [two.id]
    assert await store.read(lambda view: view.unused(later)) == []
    row = await store.write(lambda tx: tx.erase(one.id, ["results"], actor="service", why="retention"))
    assert (row.state, row.erased) == (JobState.ARCHIVED, "inputs,logs,results")
    rows = await store.read(lambda view: view.unused(later))
    assert [row.digest for row in rows] == [digest_of(b"one")]
    assert await store.write(lambda tx: tx.drop(rows)) == 1
    assert await kept(store) == {digest_of(SMALL), digest_of(b"two")}
    waiting = await store.write(lambda tx: queue(tx, 0))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.erase(waiting.id, ["inputs"], actor=ADA, why="asked"))
    assert await store.read(verify) == []


async def test_what_is_kept_again_meanwhile_stays(store: Store) -> None:
    """Between looking and removing, somebody keeps the same bytes again: they stay. Young files are left alone."""
    await store.artefacts.put("qcourse", SMALL)
    await store.artefacts.put("qcourse", LARGE)
    rows = await store.read(lambda view: view.unused(datetime.now(UTC) - timedelta(minutes=1)))
    assert [row.digest for row in rows] == [digest_of(SMALL)]
    await store.artefacts.put("qcourse", SMALL)
    assert await store.write(lambda tx: tx.drop(rows)) == 0
    assert await store.artefacts.get("qcourse", digest_of(SMALL)) == SMALL


async def test_an_export_moves_once(store: Store) -> None:
    """The second of two that hand out the same export is refused."""
    job = await store.write(lambda tx: ended(tx, SMALL, b"one"))
    now = datetime.now(UTC)
    row = ExportRow(
        "exp_1", job.id, "qcourse", ADA, "ada", "t", "[]", "", now, now, "ready", "allowed", request="req_1"
    )
    await store.write(lambda tx: tx.add_export(row))
    assert await store.read(lambda view: view.export_of("req_1")) == row
    await store.write(lambda tx: tx.move_export(row, "taken", actor=ADA))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.move_export(row, "taken", actor=ADA))
    found = await store.read(lambda view: view.exports(projects=["qcourse"], states=["taken"]))
    assert [one.id for one in found] == ["exp_1"]
