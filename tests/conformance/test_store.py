"""What every database behind the store must do. Another URL is plugged in through conftest.py."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_quantum.core.jobs import ACTIVE, JobState
from jupyter_quantum.core.ledger import Kind
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import Conflict, NotFound, QuotaExceeded
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.store.books import BOOKS
from jupyter_quantum.store.rows import ApprovalRow, AttemptState, DeviceRow, JobRow, ReportRow
from jupyter_quantum.testing.rows import ADA, ADA_NAME, FUNDS, MONTH, a_job, an_attempt, budgets, claims, queue, run

S = JobState
NOON = datetime(2026, 5, 12, 12, tzinfo=UTC)


async def balances(store: Store) -> list[tuple[int, int]]:
    """Used and held of the project's and the user's account."""
    return [(row.used, row.held) for row in await store.read(lambda view: view.accounts())]


# -- lifecycle ---------------------------------------------------------------------------------------------------------


async def test_a_job_comes_back_as_it_was_stored(store: Store) -> None:
    """Every field survives, times and JSON text included."""
    job = a_job(pubs='[{"circuit": 0}]', created=NOON.replace(microsecond=123456), seconds=0.1, wait="{}")
    await store.write(lambda tx: tx.add_job(job, actor=ADA))
    assert await store.read(lambda view: view.job(job.id)) == job


async def test_each_move_is_one_event(store: Store) -> None:
    """Events tell the life in order, with version, state, who did it and what was put on hold."""

    def work(tx: Tx) -> JobRow:
        return run(tx, queue(tx, 3 * CREDIT).id)

    job = await store.write(work)
    events = await store.read(lambda view: view.job_events(job.id))
    assert [event.data["state"] for event in events] == ["draft", "validated", "queued", "scheduled", "running"]
    assert [event.data["version"] for event in events] == [0, 1, 2, 3, 4] == list(range(job.version + 1))
    assert [entry["kind"] for entry in events[2].data["entries"]] == ["hold", "hold"]
    assert events[3].actor == "scheduler"
    named = await store.read(lambda view: view.pseudonym(ADA))
    assert (events[0].principal, events[0].actor, events[0].project) == (named, named, "qcourse")


async def test_moves_fill_in_times(store: Store) -> None:
    """Submitted, started and ended are the moments of the moves."""

    def work(tx: Tx) -> tuple[JobRow, datetime]:
        job = run(tx, queue(tx, 0).id)
        return tx.move(job.id, S.FAILED, actor="runner"), tx.now

    job, now = await store.write(work)
    assert job.submitted == job.started == job.ended == job.changed == now


async def test_only_the_table_of_moves_is_allowed(store: Store) -> None:
    """A move that the table does not have raises job.move and changes nothing."""
    job = await store.write(lambda tx: tx.add_job(a_job(), actor=ADA))
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.move(job.id, S.RUNNING, actor=ADA))
    assert caught.value.code == "job.move"
    assert await store.read(lambda view: view.job(job.id)) == job


async def test_a_stale_version_is_refused(store: Store) -> None:
    """Who decided on an older version must look again."""
    job = await store.write(lambda tx: queue(tx, 0))
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.move(job.id, S.CANCELLED, actor=ADA, expect_version=job.version - 1))
    assert caught.value.code == "job.version"


async def test_nothing_queues_without_a_hold(store: Store) -> None:
    """Not even on a free device: its hold is 0."""
    job = await store.write(lambda tx: tx.add_job(a_job(state=S.DRAFT), actor=ADA))
    await store.write(lambda tx: tx.move(job.id, S.VALIDATED, actor=ADA))
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.move(job.id, S.QUEUED, actor=ADA))
    assert caught.value.code == "ledger.no_hold"


@pytest.mark.parametrize("column", ["state", "owner", "on_hold", "cost", "nonsense"])
async def test_callers_cannot_write_the_stores_columns(store: Store, column: str) -> None:
    """Who owns a job, what it holds and where it is are not for callers to change."""
    job = await store.write(lambda tx: queue(tx, 0))
    changes: dict[str, Any] = {column: 1}
    with pytest.raises(TypeError):
        await store.write(lambda tx: tx.amend(job.id, actor=ADA, **changes))


async def test_amend_grows_the_version(store: Store) -> None:
    """A change that is no move is told too."""
    job = await store.write(lambda tx: queue(tx, 0))
    after = await store.write(lambda tx: tx.amend(job.id, actor=ADA, type="job.cancel_asked", cancel_asked=tx.now))
    assert after.version == job.version + 1
    assert after.cancel_asked == after.changed
    assert (await store.read(lambda view: view.job_events(job.id)))[-1].type == "job.cancel_asked"


async def test_waits_are_written_without_noise(store: Store) -> None:
    """The scheduler's words change neither version nor events, and go away when the job starts."""
    job = await store.write(lambda tx: queue(tx, 0))
    await store.write(lambda tx: tx.set_waits({job.id: '{"place":3}'}))
    kept = await store.read(lambda view: view.job(job.id))
    assert kept == replace(job, wait='{"place":3}')
    assert (await store.write(lambda tx: run(tx, job.id))).wait is None


async def test_lists_are_newest_first_in_pages(store: Store) -> None:
    """Filters combine; ``before`` goes on where a page ended."""

    def work(tx: Tx) -> list[str]:
        # Ids of one millisecond are in no order of their own.
        ids = sorted(queue(tx, 0, name=f"n{at}").id for at in range(5))
        tx.move(ids[4], S.CANCELLED, actor=ADA)
        queue(tx, 0, principal="ben@1", project="other")
        return ids

    ids = await store.write(work)
    first = await store.read(lambda view: view.jobs(principal=ADA, states=ACTIVE, limit=3))
    assert [job.id for job in first] == [ids[3], ids[2], ids[1]]
    rest = await store.read(lambda view: view.jobs(project="qcourse", states=ACTIVE, before=first[-1].id))
    assert [job.id for job in rest] == [ids[0]]
    assert len(await store.read(lambda view: view.jobs(device="fake_torino", limit=None))) == 6


async def test_absent_things_are_absent(store: Store) -> None:
    """Every single thing raises the same NotFound; an account that was never used is None."""
    for find in ("job", "attempt", "report", "approval", "device"):
        with pytest.raises(NotFound):
            await store.read(lambda view, find=find: getattr(view, find)("nothing"))  # type: ignore[misc]
    assert await store.read(lambda view: view.account("user:nobody")) is None


async def test_the_same_key_finds_the_same_job(store: Store) -> None:
    """Same key and body: the first job; another body: a conflict; another principal's key is theirs."""
    job = a_job(idempotency="k1", body="sha256:a")
    await store.write(lambda tx: tx.add_job(job, actor=ADA))
    assert await store.read(lambda view: view.idempotent(ADA, "k1", "sha256:a")) == job.id
    assert await store.read(lambda view: view.idempotent("ben@1", "k1", "sha256:a")) is None
    with pytest.raises(Conflict) as caught:
        await store.read(lambda view: view.idempotent(ADA, "k1", "sha256:b"))
    assert caught.value.code == "idempotency.mismatch"
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.add_job(a_job(idempotency="k1", body="sha256:a"), actor=ADA))


# -- money -------------------------------------------------------------------------------------------------------------


async def test_hold_settle_release(store: Store) -> None:
    """What it cost is used, the rest is free again, in both accounts."""
    job = await store.write(lambda tx: run(tx, queue(tx, 5 * CREDIT).id))
    assert await balances(store) == [(0, 5 * CREDIT)] * 2

    def end(tx: Tx) -> JobRow:
        tx.finish_attempt(f"{job.id}-1", AttemptState.COMPLETED, fence=1)
        tx.settle(job.id, 1, 2 * CREDIT)
        return tx.move(job.id, S.COMPLETED, actor="runner")

    ended = await store.write(end)
    assert (ended.cost, ended.on_hold, ended.held) == (2 * CREDIT, 0, 5 * CREDIT)
    assert await balances(store) == [(2 * CREDIT, 0)] * 2
    entries = await store.read(lambda view: view.entries(job=job.id))
    assert [(e.kind, e.part, e.to_part, e.amount) for e in entries if e.account == e.to_account == FUNDS] == [
        ("hold", "available", "held", 5 * CREDIT),
        ("settle", "held", "used", 2 * CREDIT),
        ("release", "held", "available", 3 * CREDIT),
    ]
    assert await store.read(verify) == []


@pytest.mark.parametrize("end", [S.FAILED, S.CANCELLED])
async def test_a_failure_of_ours_costs_nothing(store: Store, end: JobState) -> None:
    """Settled with 0, everything is released with the final state."""

    def work(tx: Tx) -> JobRow:
        job = run(tx, queue(tx, CREDIT).id)
        tx.finish_attempt(f"{job.id}-1", AttemptState.FAILED, fence=1)
        tx.settle(job.id, 1, 0)
        return tx.move(job.id, end, actor="runner")

    job = await store.write(work)
    assert (job.cost, job.on_hold) == (0, 0)
    assert await balances(store) == [(0, 0)] * 2


async def test_quota_refuses_with_what_is_left(store: Store) -> None:
    """The account with the least left is named, with its numbers; nothing is on hold, and the request may go on."""
    await store.write(lambda tx: queue(tx, 45 * CREDIT))

    def work(tx: Tx) -> tuple[QuotaExceeded, JobRow]:
        job = tx.add_job(a_job(), actor=ADA)
        with pytest.raises(QuotaExceeded) as caught:
            tx.hold(job.id, claims(6 * CREDIT + 600_000))
        return caught.value, tx.move(job.id, S.REJECTED, actor="service", error='{"code": "quota.exceeded"}')

    error, job = await store.write(work)
    assert error.code == "quota.exceeded"
    assert error.details == {
        "left": 5 * CREDIT,
        "needed": 6_600_000,
        "account": MONTH,
        "unit": "credits",
        "scope": "user",
        "name": ADA_NAME,
        "resets": "2026-06-01T00:00:00+00:00",
        "until": "2026-06-01T00:00:00+00:00",
    }
    assert error.message == "This run may cost 6.60 credits; 5.00 are left until 1 June."
    assert job.state is S.REJECTED
    assert await balances(store) == [(0, 45 * CREDIT)] * 2


async def test_a_second_account_that_refuses_frees_the_first(store: Store) -> None:
    """In all accounts or in none: the project's hold is undone when the user's month is used up."""
    with pytest.raises(QuotaExceeded):
        await store.write(lambda tx: queue(tx, 2 * CREDIT, budgets(user=CREDIT)))

    def work(tx: Tx) -> None:
        job = tx.add_job(a_job(), actor=ADA)
        with pytest.raises(QuotaExceeded):
            tx.hold(job.id, claims(2 * CREDIT, budgets(user=CREDIT)))

    await store.write(work)
    assert await balances(store) == [(0, 0)] * 2
    assert await store.read(verify) == []


async def test_hold_and_settle_happen_once(store: Store) -> None:
    """A second hold of a job, a second settlement of an attempt, one without an attempt: all refused."""
    job = await store.write(lambda tx: run(tx, queue(tx, CREDIT).id))
    await store.write(lambda tx: tx.settle(job.id, 1, 10))
    for again in (
        lambda tx: tx.hold(job.id, claims(1)),
        lambda tx: tx.settle(job.id, 1, 10),
        lambda tx: tx.settle(job.id, 2, 10),
    ):
        with pytest.raises(Conflict):
            await store.write(again)
    assert await balances(store) == [(10, CREDIT - 10)] * 2


async def test_nobody_pays_more_than_agreed(store: Store) -> None:
    """What a run costs beyond its hold is not charged."""
    job = await store.write(lambda tx: run(tx, queue(tx, CREDIT).id))
    after = await store.write(lambda tx: tx.settle(job.id, 1, 9 * CREDIT))
    assert (after.cost, after.on_hold) == (CREDIT, 0)


async def test_a_free_job_makes_no_entries(store: Store) -> None:
    """Simulators touch no account."""

    def work(tx: Tx) -> JobRow:
        job = run(tx, queue(tx, 0).id)
        tx.settle(job.id, 1, 0)
        return tx.move(job.id, S.COMPLETED, actor="runner")

    job = await store.write(work)
    assert (job.held, job.cost) == (0, 0)
    assert await store.read(lambda view: (view.entries(), view.accounts())) == ([], [])


async def test_a_new_limit_is_an_entry(store: Store) -> None:
    """The operator's new limit counts at once and can be traced."""
    await store.write(lambda tx: queue(tx, CREDIT))
    await store.write(lambda tx: queue(tx, CREDIT, budgets(project=200 * CREDIT)))
    await store.write(lambda tx: queue(tx, CREDIT, budgets(project=150 * CREDIT)))
    await store.write(lambda tx: queue(tx, CREDIT, budgets(project=200 * CREDIT)))
    entries = await store.read(lambda view: view.entries(account=FUNDS, kind=Kind.GRANT))
    assert [(entry.part, entry.amount) for entry in entries] == [
        ("source", 100 * CREDIT),
        ("source", 100 * CREDIT),
        ("available", 50 * CREDIT),
        ("source", 50 * CREDIT),
    ]
    row = await store.read(lambda view: view.account(FUNDS))
    assert row is not None
    assert (row.limit, row.available) == (200 * CREDIT, 196 * CREDIT)
    assert await store.read(verify) == []


async def test_fifty_at_once_against_a_quota_for_ten(store: Store) -> None:
    """Exactly ten pass, whatever the order."""

    async def submit() -> bool:
        try:
            await store.write(lambda tx: queue(tx, 5 * CREDIT))
        except QuotaExceeded:
            return False
        return True

    passed = await asyncio.gather(*(submit() for _ in range(50)))
    assert sum(passed) == 10
    assert await balances(store) == [(0, 50 * CREDIT)] * 2
    assert await store.read(verify) == []


# -- attempts ----------------------------------------------------------------------------------------------------------


async def test_a_retry_is_a_new_attempt(store: Store) -> None:
    """The hold stays, the second attempt has the next number and is settled on its own."""

    def work(tx: Tx) -> JobRow:
        job = run(tx, queue(tx, CREDIT).id)
        tx.finish_attempt(f"{job.id}-1", AttemptState.FAILED, fence=1)
        tx.settle(job.id, 1, 0)
        tx.move(job.id, S.QUEUED, actor="service")
        run(tx, job.id)
        tx.finish_attempt(f"{job.id}-2", AttemptState.COMPLETED, fence=2)
        tx.settle(job.id, 2, 400)
        return tx.move(job.id, S.COMPLETED, actor="runner")

    job = await store.write(work)
    attempts = await store.read(lambda view: view.attempts(job.id))
    assert [(attempt.number, attempt.state, attempt.cost) for attempt in attempts] == [
        (1, AttemptState.FAILED, 0),
        (2, AttemptState.COMPLETED, 400),
    ]
    assert (job.attempts, job.cost) == (2, 400)
    assert await store.read(verify) == []


@pytest.mark.parametrize("state", [AttemptState.SCHEDULED, AttemptState.RUNNING, AttemptState.UNKNOWN])
async def test_no_second_attempt_while_one_may_run(store: Store, state: AttemptState) -> None:
    """Also not while nobody knows whether the device ran the first."""

    def work(tx: Tx) -> None:
        job = run(tx, queue(tx, CREDIT).id)
        tx.finish_attempt(f"{job.id}-1", state, fence=None)
        tx.move(job.id, S.QUEUED, actor="service")
        tx.add_attempt(an_attempt(tx.job(job.id)))

    with pytest.raises(Conflict) as caught:
        await store.write(work)
    assert caught.value.code == "attempt.open"


async def test_an_old_fence_changes_nothing(store: Store) -> None:
    """A runner that lost its lease, or whose attempt has ended, is refused."""
    job = await store.write(lambda tx: run(tx, queue(tx, 0).id))
    tag = f"{job.id}-1"
    for fence in (0, 2):
        with pytest.raises(Conflict) as caught:
            await store.write(lambda tx, fence=fence: tx.update_attempt(tag, fence=fence, lease_until=tx.now))  # type: ignore[misc]
        assert caught.value.code == "fence"
    await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.UNKNOWN, fence=None))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.COMPLETED, fence=1))
    ended = await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.FAILED, fence=None, charged=True))
    assert ended.charged
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.COMPLETED, fence=1))


async def test_expired_leases_are_found(store: Store) -> None:
    """Open attempts whose lease has ended, and only those."""
    job = await store.write(lambda tx: run(tx, queue(tx, 0).id))
    until = (await store.read(lambda view: view.attempt(f"{job.id}-1"))).lease_until
    assert await store.read(lambda view: view.open_attempts(expired_by=until)) == []
    found = await store.read(lambda view: view.open_attempts(expired_by=until + timedelta(seconds=1)))
    assert [attempt.job for attempt in found] == [job.id]
    await store.write(lambda tx: tx.finish_attempt(f"{job.id}-1", AttemptState.FAILED, fence=None))
    assert await store.read(lambda view: view.open_attempts()) == []


# -- reports, approvals, devices ---------------------------------------------------------------------------------------


async def test_reports_are_kept(store: Store) -> None:
    """A report comes back as it was stored."""
    report = ReportRow("rep_1", ADA, "ada", "qcourse", NOON, a_job().kind, "bell", "sha256:0", body="{}")
    await store.write(lambda tx: tx.add_report(report, actor=ADA))
    assert await store.read(lambda view: view.report("rep_1")) == report


async def test_an_approval_is_decided_once(store: Store) -> None:
    """Whoever comes second is told; events tell both acts."""

    def ask(tx: Tx) -> ApprovalRow:
        job = tx.add_job(a_job(), actor=ADA)
        row = ApprovalRow("apr_1", job.id, "qcourse", "lead", ADA, "ada", "over 5", NOON, NOON + timedelta(hours=4))
        return tx.add_approval(row, actor=ADA)

    asked = await store.write(ask)
    assert await store.read(lambda view: view.approvals(projects=["qcourse"])) == [asked]
    assert await store.read(lambda view: view.approvals(projects=[])) == []
    assert await store.read(lambda view: view.approvals(expired_by=NOON)) == []
    assert await store.read(lambda view: view.approvals(job=asked.job, principal=ADA)) == [asked]
    done = await store.write(lambda tx: tx.decide_approval("apr_1", "rejected", actor="grace@1", note="Later."))
    assert (done.state, done.decided_by, done.note) == ("rejected", "grace@1", "Later.")
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.decide_approval("apr_1", "approved", actor="grace@1"))
    assert caught.value.code == "approval.decided"
    events = await store.read(lambda view: view.job_events(asked.job))
    assert [event.data["state"] for event in events[1:]] == ["open", "rejected"]


async def test_a_runner_cannot_undo_the_operator(store: Store) -> None:
    """Announcing again updates what the runner says; pause and admission stay; seen alone is no event."""
    device = DeviceRow("aer", "{}", "run_1", NOON, admitted=False)
    await store.write(lambda tx: tx.put_device(device, actor="run_1"))
    await store.write(lambda tx: tx.set_device_state("aer", "paused", actor="otto@1", reason="dust"))
    again = replace(device, admitted=True, announcement='{"slots":2}', seen=NOON + timedelta(minutes=1))
    kept = await store.write(lambda tx: tx.put_device(again, actor="run_1"))
    assert (kept.state, kept.reason, kept.admitted, kept.announcement) == ("paused", "dust", False, '{"slots":2}')
    await store.write(lambda tx: tx.put_device(replace(again, seen=NOON), actor="run_1"))
    await store.write(lambda tx: tx.claim_leader("me", 10))
    assert len(await store.write(lambda tx: tx.number_events(1))) == 3


async def test_an_offline_device_comes_back(store: Store) -> None:
    """Offline is what we found out, not what the operator said: a new announcement ends it."""
    device = DeviceRow("aer", "{}", "run_1", NOON)
    await store.write(lambda tx: tx.put_device(device, actor="run_1"))
    await store.write(lambda tx: tx.set_device_state("aer", "offline", actor="service"))
    await store.write(lambda tx: tx.put_device(device, actor="run_1"))
    assert (await store.read(lambda view: view.devices())) == [device]


# -- events and the lead -----------------------------------------------------------------------------------------------


async def test_events_are_numbered_without_gaps(store: Store) -> None:
    """Also where writers and the leader work at the same time, and where requests fail between."""

    async def one(at: int) -> None:
        def work(tx: Tx) -> None:
            tx.add_event("test.event", actor=f"n{at}")
            if at % 5 == 0:
                raise RuntimeError("changed my mind")

        await asyncio.gather(store.write(work), return_exceptions=True)

    fence = await store.write(lambda tx: tx.claim_leader("me", 60))
    assert fence is not None
    for start in range(0, 60, 20):
        numbering = [store.write(lambda tx: tx.number_events(fence)) for _ in range(3)]
        await asyncio.gather(*(one(at) for at in range(start, start + 20)), *numbering)
    await store.write(lambda tx: tx.number_events(fence))
    events = await store.read(lambda view: view.events(0))
    assert [event.seq for event in events] == list(range(1, 49))
    assert [event.seq for event in await store.read(lambda view: view.events(40, limit=3))] == [41, 42, 43]
    assert await store.read(lambda view: view.last_seq()) == 48
    assert await store.read(verify) == []


async def test_one_leads(store: Store) -> None:
    """The lease belongs to one holder until it ends; a new holder has a higher fence, and the old one is out."""
    start = datetime.now(UTC)

    def claim(tx: Tx, holder: str, at: float) -> int | None:
        tx.now = start + timedelta(seconds=at)
        return tx.claim_leader(holder, 10)

    assert await store.write(lambda tx: claim(tx, "one", 0)) == 1
    assert await store.write(lambda tx: claim(tx, "two", 5)) is None
    assert await store.write(lambda tx: claim(tx, "one", 9)) == 1
    assert await store.write(lambda tx: claim(tx, "two", 20)) == 2
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.number_events(1))
    assert caught.value.code == "fence"
    assert await store.write(lambda tx: claim(tx, "two", 40)) == 3


async def test_payloads_are_canonical(store: Store) -> None:
    """Sorted keys, no spaces, text as it is: anyone can compute the leaf again."""
    event = await store.write(lambda tx: tx.add_event("x", actor="ö", data={"b": 1, "a": [1.5, None]}))
    assert event.payload == json.dumps(
        json.loads(event.payload), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert "ö" in event.payload
    assert event.data == {"a": [1.5, None], "b": 1}


# -- attempts at a vendor, jobs that move ------------------------------------------------------------------------------


async def test_an_attempt_is_taken_over_under_a_new_fence(store: Store) -> None:
    """The same attempt goes on; who had it may say nothing any more, and absence is believed from the first loss on."""
    job = await store.write(lambda tx: run(tx, queue(tx, 0).id))
    tag = f"{job.id}-1"
    first = await store.write(lambda tx: tx.take_over(tag, fence=50, until=tx.now, absent_after=NOON))
    assert (first.fence, first.state, first.recoveries) == (50, AttemptState.RUNNING, 1)
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.update_attempt(tag, fence=1, handles='["x"]'))
    await store.write(lambda tx: tx.update_attempt(tag, fence=50, handles='["x"]'))
    later = NOON + timedelta(hours=1)
    await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.UNKNOWN, fence=50))
    assert [one.tag for one in await store.read(lambda view: view.unknown_attempts())] == [tag]
    again = await store.write(lambda tx: tx.take_over(tag, fence=51, until=tx.now, absent_after=later))
    assert (again.state, again.absent_after, again.handles) == (AttemptState.RUNNING, NOON, '["x"]')
    await store.write(lambda tx: tx.finish_attempt(tag, AttemptState.FAILED, fence=51))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.take_over(tag, fence=52, until=tx.now, absent_after=later))


async def test_a_hold_moves_with_its_job(store: Store) -> None:
    """Given back and taken anew in one step, from other accounts; where that does not fit, all stays as it was."""
    job = await store.write(lambda tx: queue(tx, 3 * CREDIT))
    (month, funds) = budgets()
    other = replace(funds, id=FUNDS.replace("qcourse", "other"))

    def move(tx: Tx, amount: int) -> JobRow:
        tx.move(job.id, S.VALIDATED, actor="service", moved_from='["aer"]')
        tx.retake(job.id, claims(amount, [month, other]))
        return tx.move(job.id, S.QUEUED, actor="service")

    with pytest.raises(QuotaExceeded):
        await store.write(lambda tx: move(tx, 51 * CREDIT))
    assert (await store.read(lambda view: view.job(job.id))).on_hold == 3 * CREDIT
    moved = await store.write(lambda tx: move(tx, 5 * CREDIT))
    assert (moved.on_hold, json.loads(moved.accounts)) == (
        5 * CREDIT,
        {MONTH: 5 * CREDIT, FUNDS: 0, other.id: 5 * CREDIT},
    )
    assert await store.read(lambda view: [said for check in BOOKS.values() for said in check(view)]) == []
    done = await store.write(lambda tx: tx.move(job.id, S.CANCELLED, actor=ADA))
    assert done.on_hold == 0
    assert await store.read(lambda view: [said for check in BOOKS.values() for said in check(view)]) == []


async def test_what_was_charged_does_not_move(store: Store) -> None:
    """A job that was charged for an attempt keeps its device's accounts."""
    job = await store.write(lambda tx: run(tx, queue(tx, 3 * CREDIT).id))
    await store.write(lambda tx: tx.settle(job.id, 1, CREDIT))
    with pytest.raises(Conflict):
        await store.write(lambda tx: tx.retake(job.id, claims(CREDIT)))


async def test_outcomes_of_a_device_are_read_newest_first(store: Store) -> None:
    """How its attempts ended, and where a vendor's seconds differ; jobs that may move are found."""

    def work(tx: Tx) -> list[str]:
        found = []
        for seconds, state in ((1.0, AttemptState.COMPLETED), (3.0, AttemptState.FAILED)):
            job = queue(tx, 0)
            attempt = tx.add_attempt(an_attempt(job, device="qpu"))
            more: dict[str, Any] = {"usage": 1.0, "vendor_s": seconds, "error": "{}"}
            tx.finish_attempt(attempt.tag, state, fence=None, **more)
            found.append(attempt.tag)
        return found

    first, second = await store.write(work)
    seen = await store.read(lambda view: view.outcomes("qpu", NOON, limit=5))
    assert [one.failed for one in seen] == [True, False]
    assert await store.read(lambda view: view.outcomes("aer", NOON, limit=5)) == []
    assert [one.tag for one in await store.read(lambda view: view.counted_otherwise(NOON, 0.02, 0.05))] == [second]
    mobile = await store.write(lambda tx: queue(tx, 0, fallback='["aer"]'))
    assert [one.id for one in await store.read(lambda view: view.may_move())] == [mobile.id]
    assert first != second
