"""Pseudonyms: the record holds no name, and what is remembered of them is what was committed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import jupyter_quantum.store.migrate as migrations
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.store.names import Names
from jupyter_quantum.testing.rows import ADA, queue

BEN = "ben@2026-05-13T09:00:00Z"


async def test_the_record_holds_no_name(store: Store) -> None:
    """Actor and principal are pseudonyms, in the columns and in what is hashed."""
    job = await store.write(lambda tx: queue(tx, 0, []))
    await store.write(lambda tx: tx.add_event("x", actor=BEN, principal=ADA, job=job.id))
    named = {await store.pseudonym(ADA), await store.pseudonym(BEN), "service", None}
    for row in await store.read(lambda view: view.job_events(job.id)):
        whole = json.loads(row.payload)
        assert {row.actor, row.principal, whole["actor"], whole["principal"]} <= named
        assert "ada" not in row.payload


async def test_what_was_rolled_back_is_not_remembered(store: Store) -> None:
    """A pseudonym of a failed request is nobody's; the next request makes another."""
    made: list[str] = []

    def fail(tx: Tx) -> None:
        made.append(tx.named(ADA))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await store.write(fail)
    assert store.names.get(ADA) is None
    assert await store.pseudonym(ADA) != made[0]
    assert store.names.get(ADA) == await store.read(lambda view: view.pseudonym(ADA))


def test_forgetting_wins_over_what_was_read_before() -> None:
    """A request that began before somebody was forgotten brings nobody back; old knowledge lapses by itself."""
    now = 0.0
    names = Names(lambda: now)
    names.learn({ADA: "ppl_1", BEN: "ppl_2"}, names.generation)
    began = names.generation
    names.learn({}, began, [ADA])
    names.learn({ADA: "ppl_1"}, began)
    assert (names.get(ADA), names.get(BEN)) == (None, "ppl_2")
    now = 61.0
    assert names.get(BEN) is None


def _migrate(store: Store, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    with store.engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


_OLD = sa.text(
    "INSERT INTO events (id, time, type, actor, payload, leaf, principal, project, job, seq, chain) "
    "VALUES (:id, 1, 'job.moved', :actor, :payload, :leaf, :principal, 'qcourse', :job, :seq, :leaf)"
)


def _old_event(at: int, numbered: bool) -> dict[str, object]:
    whole = {
        "id": f"evt_{at}",
        "time": "1970-01-01T00:00:00.000001+00:00",
        "type": "job.moved",
        "project": "qcourse",
        "job": None,
        "actor": BEN if at % 2 else "service",
        "principal": ADA,
        "data": {"by": "ben", "entries": [{"account": f"user:{ADA}:qcourse:2026-05"}]},
    }
    return {
        "id": f"evt_{at}",
        "actor": whole["actor"],
        "principal": ADA,
        "payload": json.dumps(whole),
        "leaf": b"old",
        "seq": at if numbered else None,
        "job": None,
    }


async def test_old_records_are_written_anew(tmp_path: Path) -> None:
    """Events of the first version lose their names, keep their numbers, and verify."""
    store = Store(f"sqlite:///{tmp_path}/old.sqlite", artefacts=f"file://{tmp_path}/artefacts")
    _migrate(store, "0001")
    with store.engine.begin() as conn:
        conn.execute(_OLD, [_old_event(at, at < 8) for at in range(1, 11)])
    store.migrate()
    events = await store.read(lambda view: view.events(0))
    assert [event.seq for event in events] == list(range(1, 8))
    ada, ben = await store.pseudonym(ADA), await store.pseudonym(BEN)
    assert [event.actor for event in events[:2]] == [ben, "service"]
    for event in events:
        assert event.principal == ada
        assert f"user:{ada}:qcourse:2026-05" in event.payload
        assert "ada@" not in event.payload
        assert "ben" not in event.payload
    fence = await store.write(lambda tx: tx.claim_leader("me", 60))
    assert len(await store.write(lambda tx: tx.number_events(fence or 0))) == 3
    assert await store.read(verify) == []
    store.close()
