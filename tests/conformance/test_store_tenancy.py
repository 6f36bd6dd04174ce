"""Requests, declared tenants, memberships, exchanged tokens: on both databases, also from two writers at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.store import Store
from jupyter_quantum.store.rows import DeclaredRow, MembershipRow, RequestRow, WorkloadRow
from jupyter_quantum.testing.rows import ADA, queue

NOW = datetime(2026, 5, 12, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=7)


def asked(**changes: object) -> RequestRow:
    fields = {"id": new_id("req"), "kind": "tea", "principal": ADA, "asked_by": "ada", "role": "lead"}
    return RequestRow(**fields | {"created": NOW, "expires": LATER, "project": "qcourse"} | changes)  # type: ignore[arg-type]


def member(**changes: object) -> MembershipRow:
    fields = {"id": new_id("mem"), "principal": ADA, "name": "ada", "role": "user", "kind": "member", "start": NOW}
    return MembershipRow(**fields | {"granted_by": "grace@1", "project": "vqe"} | changes)  # type: ignore[arg-type]


async def test_a_request_is_decided_once(store: Store) -> None:
    """It is found by every filter, decided, and then not again; each step is an event without a name in it."""
    row = asked()
    await store.write(lambda tx: tx.add_request(row))
    same = await store.read(lambda view: view.requests(state="open", kind="tea", projects=["qcourse"], roles=["lead"]))
    assert same == [row]
    assert await store.read(lambda view: view.requests(expired_by=NOW)) == []
    assert await store.read(lambda view: view.requests(expired_by=LATER + timedelta(1))) == [row]
    after = await store.write(lambda tx: tx.decide_request(row.id, "approved", actor="grace@1", outcome='{"x":1}'))
    assert (after.state, after.decided_by, after.outcome) == ("approved", "grace@1", '{"x":1}')
    with pytest.raises(Conflict) as again:
        await store.write(lambda tx: tx.decide_request(row.id, "rejected", actor="grace@1"))
    assert again.value.code == "request.decided"
    with pytest.raises(NotFound):
        await store.read(lambda view: view.request("req_x"))


async def test_tenants_are_applied_on_the_version_that_was_seen(store: Store, url: str, tmp_path: Path) -> None:
    """Of two writers on the same version one applies; the other's rows are not there."""
    second = Store(url, artefacts=f"file://{tmp_path}/artefacts")

    def row(name: str) -> DeclaredRow:
        return DeclaredRow(f"project:{name}", "project", name, "{}")

    async def apply(where: Store, name: str) -> int:
        return await where.write(
            lambda tx: tx.apply_tenants([row(name)], [], expect=0, digest="d", actor="root@1", changes=[])
        )

    both = await asyncio.gather(apply(store, "a"), apply(second, "b"), return_exceptions=True)
    assert sorted(getattr(one, "code", one) for one in both if isinstance(one, Conflict)) == ["tenants.version"]
    kept = await store.read(lambda view: view.declared())
    assert len(kept) == 1
    assert (await store.read(lambda view: view.revision("tenants"))).version == 1
    await store.write(
        lambda tx: tx.apply_tenants([row("c")], [kept[0].id], expect=1, digest="d", actor="root@1", changes=[])
    )
    assert [one.name for one in await store.read(lambda view: view.declared())] == ["c"]
    second.close()


async def test_memberships_come_and_go(store: Store) -> None:
    """In force between their moments; ended once; found by whom, where and what waits for a review."""
    first, glass = member(end=LATER), member(kind="breakglass", project=None, role="operator")
    await store.write(lambda tx: tx.add_membership(first, actor="grace@1"))
    await store.write(lambda tx: tx.add_membership(glass, actor=ADA))
    assert (await store.read(lambda view: view.revision("members"))).version == 2
    alive = await store.read(lambda view: view.memberships(alive_at=NOW))
    assert {one.id for one in alive} == {first.id, glass.id}
    assert await store.read(lambda view: view.memberships(project="vqe", alive_at=LATER)) == []
    assert [first.in_force(when) for when in (NOW - timedelta(1), NOW, LATER)] == [False, True, False]
    unseen = await store.read(lambda view: view.memberships(unreviewed=True))
    assert [one.id for one in unseen] == [glass.id]
    await store.write(lambda tx: tx.review_membership(glass.id, actor="grace@1", review="fine"))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.review_membership(glass.id, actor="hedy@1", review="too"))
    await store.write(lambda tx: tx.end_membership(glass.id, actor="grace@1"))
    with pytest.raises(Conflict) as over:
        await store.write(lambda tx: tx.end_membership(glass.id, actor="grace@1"))
    assert over.value.code == "membership.over"


async def test_a_foreign_token_is_spent_once(store: Store, url: str, tmp_path: Path) -> None:
    """Also where two replicas get it at the same moment; what has expired is forgotten."""
    second = Store(url, artefacts=f"file://{tmp_path}/artefacts")
    until = datetime.now(UTC) + timedelta(minutes=5)

    async def spend(where: Store) -> None:
        await where.write(lambda tx: tx.spend_token("h", until))

    both = await asyncio.gather(spend(store), spend(second), return_exceptions=True)
    assert [one.code for one in both if isinstance(one, Conflict)] == ["token.replayed"]
    await store.write(lambda tx: tx.forget_spent())
    with pytest.raises(Conflict):
        await spend(store)
    await store.write(lambda tx: tx.spend_token("old", NOW))
    await store.write(lambda tx: tx.forget_spent())
    await store.write(lambda tx: tx.spend_token("old", NOW))
    second.close()


async def test_workloads_tokens(store: Store) -> None:
    """Found by hash and by id while they last; a revoked one is not listed."""
    row = WorkloadRow("hash", new_id("wlt"), "ci:x@workload:0:vqe", "vqe", "https://ci", NOW, LATER)
    await store.write(lambda tx: tx.add_workload(row))
    assert await store.read(lambda view: view.workload("hash")) == row
    assert await store.read(lambda view: view.workload_of(row.id)) == row
    assert await store.read(lambda view: view.workloads("vqe", alive_at=NOW)) == [row]
    await store.write(lambda tx: tx.revoke_workload(row, actor="grace@1"))
    assert await store.read(lambda view: view.workloads("vqe", alive_at=NOW)) == []
    assert await store.read(lambda view: view.workload("nothing")) is None


async def test_who_is_at_work(store: Store) -> None:
    """Each principal and project once, with how much is open and on hold."""
    for _ in range(2):
        await store.write(lambda tx: queue(tx, 1_000_000))
    states = frozenset(JobState) - FINAL
    assert await store.read(lambda view: view.at_work(states)) == [(ADA, "qcourse")]
    assert await store.read(lambda view: view.open_jobs("qcourse", states)) == (2, 2_000_000)
    assert await store.read(lambda view: view.open_jobs("nowhere", states)) == (0, 0)
