"""The record's tree in a database: roots and proofs from a few stored hashes are those of the whole tree."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from jupyter_quantum.core import merkle
from jupyter_quantum.core.merkle import Frontier
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.store import Store, Tx, View, verify
from jupyter_quantum.store.rows import CheckpointRow, EventRow, Sought
from jupyter_quantum.store.tables import nodes
from jupyter_quantum.testing.rows import ADA

NOON = datetime(2026, 5, 12, 12, tzinfo=UTC)
BATCHES = (1, 2, 13, 1, 40, 16, 64, 3)


async def record(store: Store) -> list[EventRow]:
    """A record that grew in uneven batches."""

    def batch(tx: Tx, count: int) -> list[EventRow]:
        for at in range(count):
            tx.add_event("test.event", actor=ADA if at % 2 else "service", data={"at": at})
        return tx.number_events(tx.claim_leader("me", 60) or 0)

    return [event for count in BATCHES for event in await store.write(lambda tx, count=count: batch(tx, count))]


async def test_roots_and_proofs_are_those_of_the_tree(store: Store) -> None:
    """Every root; every inclusion in some sizes; every consistency with the whole."""
    events = await record(store)
    roots, edge = [merkle.EMPTY], Frontier()
    for event in events:
        edge.append(event.leaf)
        roots.append(edge.root)
    size = len(events)

    def check(view: View) -> None:
        assert (view.tree().size, view.tree().root) == (size, edge.root)
        for at, root in enumerate(roots):
            assert view.root_at(at) == root
            proof = view.consistency(at, size)
            assert merkle.consistent(at, size, root, roots[size], proof)
        for within in (1, 16, 57, size):
            for event in events[:within]:
                seq = event.seq or 0
                assert merkle.included(event.leaf, seq - 1, within, view.inclusion(seq, within)) == roots[within]

    await store.read(check)
    assert await store.read(verify) == []


@pytest.mark.parametrize(("seq", "size"), [(0, 4), (5, 4), (1, 999), (1, -1)])
async def test_what_is_not_in_the_tree_has_no_proof(store: Store, seq: int, size: int) -> None:
    """An event beyond the size, and a size beyond the tree."""
    await record(store)
    with pytest.raises(NotFound):
        await store.read(lambda view: view.inclusion(seq, size))
    with pytest.raises(NotFound):
        await store.read(lambda view: view.consistency(max(seq, size) + 1, min(seq, size)))


async def test_few_rows_are_stored(store: Store) -> None:
    """One node for about eight events."""
    events = await record(store)
    count = await store.read(lambda view: len(list(view.query(select(nodes.c.level)))))
    assert count <= len(events) / 8


async def test_checkpoints_are_kept_and_marked(store: Store) -> None:
    """Newest, by size, and those that still have to go somewhere; only the leader adds one."""
    fence = await store.write(lambda tx: tx.claim_leader("me", 60))
    assert fence is not None
    rows = [CheckpointRow(size, NOON + timedelta(minutes=size), f"origin\n{size}\n") for size in (3, 5, 9)]
    for row in rows:
        await store.write(lambda tx, row=row: tx.add_checkpoint(row, fence))  # type: ignore[misc]
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.add_checkpoint(replace(rows[0], size=10), fence + 1))
    await store.write(lambda tx: tx.checkpoint_copied(3, NOON))
    await store.write(lambda tx: tx.checkpoint_witnessed(9, NOON, "— w abc\n"))

    def check(view: View) -> None:
        assert view.checkpoint() == replace(rows[2], witnessed=NOON, cosignatures="— w abc\n")
        assert view.checkpoint(4) == rows[1]
        assert view.checkpoint(10) is None
        assert [row.size for row in view.checkpoints(uncopied=True)] == [5, 9]
        assert [row.size for row in view.checkpoints(unwitnessed=True, up_to=5)] == [3, 5]

    await store.read(check)


def _acts(tx: Tx) -> None:
    decision = {"effect": "refuse", "policies": ["shots", "tier"]}
    tx.add_event("a.one", actor=ADA, project="qcourse", data={"device": "aer", "code": "x", "decision": decision})
    tx.add_event("a.two", actor="service", principal=ADA, project="lab", data={"device": "aer"})
    tx.add_event("b.one", actor="service", job=None, data={"decision": {"effect": "allow", "policies": ["tier-2"]}})
    tx.now += timedelta(days=1)
    tx.add_event("b.two", actor="ben@1", project="lab", data={"code": "y"})
    tx.number_events(tx.claim_leader("me", 60) or 0)


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"who": ADA}, [2, 1]),
        ({"project": "lab"}, [4, 2]),
        ({"type": "a.*"}, [2, 1]),
        ({"type": "a.one"}, [1]),
        ({"type": "%.one"}, []),
        ({"device": "aer"}, [2, 1]),
        ({"effect": "refuse"}, [1]),
        ({"policy": "tier"}, [1]),
        ({"policy": "tier-2"}, [3]),
        ({"code": "y"}, [4]),
        ({"project": "lab", "code": "y", "device": "aer"}, []),
        ({"job": "job_1"}, []),
        ({"who": "nobody"}, []),
    ],
)
async def test_search_finds_what_matches(store: Store, sought: dict[str, str], found: list[int]) -> None:
    """By who, project, type, device, decision, code; all together."""
    await store.write(_acts)
    named = await store.pseudonym(ADA)
    who = None if "who" not in sought else (named if sought["who"] == ADA else sought["who"],)
    wanted = Sought(**(sought | {"who": who}))
    assert [event.seq for event in await store.read(lambda view: view.search(wanted))] == found


async def test_search_goes_by_time_and_pages(store: Store) -> None:
    """A range of time; pages from both ends."""
    await store.write(_acts)
    events = await store.read(lambda view: view.search(Sought()))
    late = Sought(since=events[0].time)
    assert [event.seq for event in await store.read(lambda view: view.search(late))] == [4]
    early = Sought(until=events[0].time)
    assert [event.seq for event in await store.read(lambda view: view.search(early, limit=2))] == [3, 2]
    assert [event.seq for event in await store.read(lambda view: view.search(early, before=2))] == [1]
    assert [event.seq for event in await store.read(lambda view: view.search(early, after=1))] == [2, 3]


async def test_a_name_leads_to_its_pseudonyms(store: Store) -> None:
    """The name, or the whole principal; of somebody forgotten neither is known."""
    await store.write(_acts)
    named = await store.pseudonym(ADA)
    for given in ("ada", ADA):
        assert await store.read(lambda view, given=given: view.pseudonyms(given)) == [named]  # type: ignore[misc]
    assert await store.read(lambda view: view.pseudonyms("ad")) == []
    assert await store.read(lambda view: view.people([named, "ppl_x"])) == {named: ADA}
    assert await store.write(lambda tx: tx.forget_name(ADA)) == named
    assert await store.read(lambda view: view.people([named])) == {}
    assert await store.read(lambda view: view.pseudonyms("ada")) == []
    assert await store.pseudonym(ADA) != named
    assert await store.read(verify) == []


async def test_payloads_hash_to_leaves(store: Store) -> None:
    """Anyone can compute the leaf from the text."""
    for event in await record(store):
        assert merkle.leaf_hash(event.payload.encode()) == event.leaf
        assert json.loads(event.payload)["id"] == event.id
