"""Decisions with their facts, envelopes and what jobs take from them, on every database."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, QuotaExceeded
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.rows import DecisionRow, EnvelopeRow, JobRow
from jupyter_quantum.store.tables import envelopes
from jupyter_quantum.store.verify import verify
from jupyter_quantum.testing.rows import ADA, a_job, budgets, claims, queue, run

GRACE = "grace@2026-01-01T00:00:00Z"
NOW = datetime.now(UTC)


def an_envelope(**changes: Any) -> EnvelopeRow:
    """A budget of ten for qcourse on fake_torino, until tomorrow, asked for by ada."""
    row = EnvelopeRow(
        id=new_id("env"),
        kind="budget",
        project="qcourse",
        device="fake_torino",
        principal=ADA,
        asked_by="ada",
        decided_by=GRACE,
        origin="req_1",
        created=NOW,
        until=NOW + timedelta(days=1),
        amount=10,
    )
    return replace(row, **changes)


async def approved(store: Store, **changes: Any) -> EnvelopeRow:
    """One in force."""
    return await store.write(lambda tx: tx.add_envelope(an_envelope(**changes)))


def use(tx: Tx, envelope: str, amount: int) -> tuple[JobRow, bool]:
    """A queued job that goes on in an envelope, where it may."""
    job = queue(tx, amount)
    taken = tx.use_envelope(envelope, job.id, amount)
    return tx.job(job.id), taken


async def test_a_decision_is_kept_with_its_facts_and_without_a_name(store: Store) -> None:
    """The person is a pseudonym in the row and in the context; the job's decisions come back in their order."""
    context = json.dumps({"user": "ada", "shots": 1000})

    def write(tx: Tx, job: str, effect: str) -> str:
        row = DecisionRow(new_id("dec"), tx.now, "submit", ADA, "qcourse", context, effect, "sha256:0", "Words.")
        tx.add_decision(replace(row, job=job))
        return tx.named(ADA)

    job = (await store.write(lambda tx: tx.add_job(a_job(), actor=ADA))).id
    for effect in ("needs_approval", "allow"):
        pseudonym = await store.write(lambda tx, effect=effect: write(tx, job, effect))
    found = await store.read(lambda view: view.job_decisions(job))
    assert [row.effect for row in found] == ["needs_approval", "allow"]
    assert {row.person for row in found} == {pseudonym}
    assert json.loads(found[0].context) == {"user": pseudonym, "shots": 1000}
    since = await store.read(lambda view: list(view.decisions(NOW - timedelta(hours=1))))
    assert since == found[::-1]
    assert await store.read(lambda view: list(view.decisions(NOW + timedelta(hours=1)))) == []


async def test_an_envelope_may_be_revoked_once(store: Store) -> None:
    """What is revoked covers nothing, and events tell both acts without a name."""
    row = await approved(store)
    assert await store.read(lambda view: view.envelopes(project="qcourse", state="approved", after=NOW)) == [row]
    await store.write(lambda tx: tx.revoke_envelope(row.id, actor=GRACE, note="Enough."))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.revoke_envelope(row.id, actor=GRACE))
    assert (await store.write(lambda tx: use(tx, row.id, 1)))[1] is False
    assert await store.read(lambda view: view.envelopes(project="qcourse", state="approved")) == []


async def test_what_is_not_spent_goes_back(store: Store) -> None:
    """A job takes its bound; when it ends, its cost stays and the rest is free again."""
    row = await approved(store)
    job, taken = await store.write(lambda tx: use(tx, row.id, 8))
    assert (taken, job.envelope) == (True, row.id)
    assert (await store.write(lambda tx: use(tx, row.id, 3)))[1] is False
    assert (await store.read(lambda view: view.envelope(row.id))).left == 2

    def end(tx: Tx) -> None:
        run(tx, job.id)
        tx.settle(job.id, 1, 5)
        tx.move(job.id, JobState.COMPLETED, actor="runner")

    assert await store.read(verify) == []
    await store.write(end)
    assert await store.read(verify) == []
    after = await store.read(lambda view: view.envelope(row.id))
    assert (after.held, after.used, after.left) == (0, 5, 5)
    (used,) = await store.read(lambda view: view.envelope_uses(row.id))
    assert (used.job, used.held, used.cost) == (job.id, 8, 5)
    second, taken = await store.write(lambda tx: use(tx, row.id, 5))
    await store.write(lambda tx: tx.move(second.id, JobState.CANCELLED, actor=ADA))
    assert taken
    assert (await store.read(lambda view: view.envelope(row.id))).left == 5

    def overdraw(tx: Tx) -> None:
        tx._conn.execute(update(envelopes).values(used=11))

    await store.write(overdraw)
    assert len(await store.read(verify)) == 2


async def test_a_job_may_leave_its_envelope(store: Store) -> None:
    """What it held goes back at once, and its end changes nothing more."""
    row = await approved(store)
    job, _ = await store.write(lambda tx: use(tx, row.id, 8))
    left = await store.write(lambda tx: tx.leave_envelope(tx.job(job.id)))
    assert left.envelope is None
    assert (await store.read(lambda view: view.envelope(row.id))).left == 10
    await store.write(lambda tx: tx.move(job.id, JobState.CANCELLED, actor=ADA))
    assert (await store.read(lambda view: view.envelope(row.id))).left == 10


@pytest.mark.parametrize("changes", [{"until": NOW - timedelta(seconds=1)}, {"amount": 4}])
async def test_what_has_ended_or_is_used_up_covers_nothing(store: Store, changes: dict[str, Any]) -> None:
    """Past its end, or too small for the job."""
    row = await approved(store, **changes)
    assert (await store.write(lambda tx: use(tx, row.id, 5)))[1] is False


async def test_parallel_jobs_never_overdraw_an_envelope(store: Store) -> None:
    """Twenty at once against room for five: exactly five."""
    row = await approved(store)
    found = await asyncio.gather(*(store.write(lambda tx: use(tx, row.id, 2)) for _ in range(20)))
    assert sum(taken for _, taken in found) == 5
    assert (await store.read(lambda view: view.envelope(row.id))).left == 0


async def test_a_hold_can_be_raised(store: Store) -> None:
    """A dearer run takes the difference in each account, or nothing; releasing gives all of it back."""
    job = await store.write(lambda tx: queue(tx, 4, budgets(10, 10)))
    raised = await store.write(lambda tx: tx.raise_hold(job.id, claims(9, budgets(10, 10))))
    assert (raised.held, raised.on_hold) == (9, 9)
    with pytest.raises(QuotaExceeded):
        await store.write(lambda tx: tx.raise_hold(job.id, claims(11, budgets(10, 10))))
    assert (await store.write(lambda tx: tx.raise_hold(job.id, claims(5, budgets(10, 10))))).on_hold == 9
    await store.write(lambda tx: tx.move(job.id, JobState.CANCELLED, actor=ADA))
    accounts = await store.read(lambda view: view.accounts(project="qcourse"))
    assert [(account.held, account.used) for account in accounts] == [(0, 0), (0, 0)]
