"""Stories of people: approvals, cancelling, leaving, and who sees what live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, JobCancelled, JobRejected, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import ApprovalDecision, ApprovalView, EventView, JobView
from jupyter_quantum.wire.reports import ReportRequest

from .conftest import ADA, BEN, EVE, GRACE, HEDY, LISE, OTTO, Groups, House, person, request, running, until

APPROVE = ApprovalDecision(verdict="approve")


async def ask(house: House, who: Principal = ADA) -> tuple[JobView, ApprovalView]:
    """A job on the QPU that needs a lead, and its request."""
    job = await house.pipeline.submit(who, request("campus_qpu", reason="for the thesis"), key=None, wait_s=0)
    (asked,) = (await house.pipeline.approvals(who)).approvals
    return job, asked


async def ended(house: House, job_id: str, who: Principal = ADA) -> JobView:
    """The job once it is final."""

    async def final() -> JobView | None:
        job = await house.pipeline.job(who, job_id)
        return job if job.ended is not None else None

    found: JobView = await until(final)
    await house.ledger()
    return found


async def test_an_approved_job_goes_on_by_itself(house: House, runner: MemoryRunner) -> None:
    """Hold first, a lead's click, then it runs and is settled; the approver is in the provenance."""
    job, asked = await ask(house)
    assert (job.state, job.on_hold, job.approval) == (JobState.AWAITING_APPROVAL, 6_580_000, asked.id)
    assert job.wait is not None
    assert job.wait.words is not None
    assert job.wait.words.startswith("Sent to the leads of qcourse. It runs by itself once approved; ")
    assert asked.words == "Needs a lead's approval because the estimate, 6.11 credits, is over 5."
    assert (asked.reason, asked.may_decide) == ("for the thesis", False)
    assert runner.executed == []
    (seen,) = (await house.pipeline.approvals(GRACE)).approvals
    assert seen.may_decide
    assert seen.project_left == 100_000_000 - 6_580_000
    decided = await house.pipeline.decide(GRACE, asked.id, APPROVE)
    assert (decided.state, decided.decided_by) == ("approved", "grace")
    done = await ended(house, job.id)
    assert (done.state, done.cost) == (JobState.COMPLETED, 6_108_000)
    assert done.decision is not None
    assert done.decision.policies == ["hardware-when-validated"]
    assert (await house.pipeline.provenance(ADA, job.id)).approver == "grace"
    with pytest.raises(Conflict) as caught:
        await house.pipeline.decide(GRACE, asked.id, APPROVE)
    assert caught.value.code == "approval.decided"


async def test_a_rejection_says_why_and_releases(house: House, runner: MemoryRunner) -> None:
    """It needs a reason, which the owner reads; nothing stays on hold."""
    job, asked = await ask(house)
    with pytest.raises(InputError):
        await house.pipeline.decide(GRACE, asked.id, ApprovalDecision(verdict="reject", note=" "))
    await house.pipeline.decide(GRACE, asked.id, ApprovalDecision(verdict="reject", note="Use the emulator first."))
    done = await ended(house, job.id)
    assert (done.state, done.on_hold, done.cost) == (JobState.REJECTED, 0, None)
    assert done.error is not None
    assert done.error["message"] == 'Rejected by grace: "Use the emulator first." Nothing was charged.'
    with pytest.raises(JobRejected):
        await house.pipeline.result(ADA, job.id)


async def test_who_may_decide(house: House, runner: MemoryRunner) -> None:
    """Not the asker, even as a lead by now; not a token; not another project's people, for whom it does not exist."""
    job, asked = await ask(house, replace(GRACE, groups=frozenset({"qcourse"})))
    decide = house.pipeline.decide
    with pytest.raises(Refused, match="You asked for this, so another lead must decide"):
        await decide(GRACE, asked.id, APPROVE)
    for stranger in (BEN, LISE, OTTO, EVE):
        with pytest.raises(NotFound):
            await decide(stranger, asked.id, APPROVE)
        assert (await house.pipeline.approvals(stranger)).approvals == []
    with pytest.raises(Refused) as caught:
        await decide(replace(HEDY, interactive=False), asked.id, APPROVE)
    assert caught.value.code == "approval.interactive"
    await decide(HEDY, asked.id, APPROVE)
    assert (await ended(house, job.id, GRACE)).state is JobState.COMPLETED


async def test_leads_spend_their_own_budget_without_asking(house: House, runner: MemoryRunner) -> None:
    """What a member must ask for, a lead of the project just runs; the hold and the price are the same."""
    job = await house.pipeline.submit(GRACE, request("campus_qpu"), key=None, wait_s=20)
    assert (job.state, job.approval) == (JobState.COMPLETED, None)
    assert job.cost


async def test_an_own_request_cannot_be_approved_by_its_user(house: House, runner: MemoryRunner) -> None:
    """A user who is no lead is told the same."""
    _, asked = await ask(house)
    with pytest.raises(Refused) as caught:
        await house.pipeline.decide(replace(ADA, interactive=True), asked.id, APPROVE)
    assert caught.value.code == "approval.own"


async def test_a_request_expires(settings: Settings) -> None:
    """Nobody decides: the job is rejected, the hold released."""
    async with running(settings, approval_expiry_s=0.1) as house, house.runner():
        job, _ = await ask(house)
        done = await ended(house, job.id)
        assert done.state is JobState.REJECTED
        assert done.error is not None
        assert done.error["code"] == "approval.expired"
        (seen,) = (await house.pipeline.approvals(ADA, state="all")).approvals
        assert seen.state == "expired"


async def test_an_approval_for_somebody_who_left_runs_nothing(house: House, runner: MemoryRunner) -> None:
    """Membership is asked again when the approval is given."""
    job, asked = await ask(house)
    house.directory.now[ADA.id] = frozenset()
    await house.pipeline.decide(GRACE, asked.id, APPROVE)
    done = await ended(house, job.id)
    assert done.state is JobState.REJECTED
    assert done.error is not None
    assert done.error["code"] == "owner.left"
    assert runner.executed == []


async def test_cancel_in_every_state(house: House, runner: MemoryRunner) -> None:
    """Awaiting approval, queued, running: each ends at once, holds nothing and frees its slot."""
    cancel = house.pipeline.cancel
    job, _ = await ask(house)
    assert (await cancel(ADA, job.id)).state is JobState.CANCELLED
    (seen,) = (await house.pipeline.approvals(ADA, state="all")).approvals
    assert seen.state == "withdrawn"
    runner.hold()
    first = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    second = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    assert second.state is JobState.QUEUED
    assert second.wait is not None
    assert (second.wait.place, second.wait.reason) == (1, "wait.device")
    third = await house.pipeline.submit(BEN, request("fake_torino"), key=None, wait_s=0)
    assert (await cancel(ADA, second.id)).state is JobState.CANCELLED
    await until(lambda: runner.executed)
    stopped = await cancel(ADA, first.id)
    assert (stopped.state, stopped.on_hold, stopped.cost) == (JobState.CANCELLED, 0, 0)
    await until(lambda: runner.stopped)
    runner.go()
    assert (await ended(house, third.id, BEN)).state is JobState.COMPLETED
    assert runner.executed == [f"{first.id}-1", f"{third.id}-1"]
    for job_id in (first.id, third.id):
        with pytest.raises(Conflict) as caught:
            await cancel(ADA if job_id == first.id else BEN, job_id)
        assert caught.value.code == "job.final"
    with pytest.raises(JobCancelled):
        await house.pipeline.result(ADA, first.id)
    await house.ledger()


async def test_who_left_does_not_run(house: House, runner: MemoryRunner) -> None:
    """A job whose owner left the project, or is gone, is taken back when its turn comes."""
    await house.pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="pause"))
    left = await house.pipeline.submit(ADA, request("fake_fez"), key=None, wait_s=0)
    gone = await house.pipeline.submit(BEN, request("fake_fez"), key=None, wait_s=0)
    house.directory.now[ADA.id] = frozenset({"other"})
    del house.directory.now[BEN.id]
    await house.pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="resume"))
    for job, who, code in ((left, ADA, "owner.left"), (gone, BEN, "owner.gone")):
        done = await ended(house, job.id, who)
        assert (done.state, done.on_hold) == (JobState.CANCELLED, 0)
        assert done.error is not None
        assert done.error["code"] == code
    assert runner.executed == []


async def test_who_left_leaves_the_projects_things_behind(house: House, runner: MemoryRunner) -> None:
    """Jobs, results, reports, requests and live events of a project are absent to their owner once outside of it."""
    pipeline = house.pipeline
    job = await pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
    report = await pipeline.report(ADA, ReportRequest(circuits=request().circuits, devices=["aer"]))
    _, asked = await ask(house)
    outside = replace(ADA, groups=frozenset({"other"}))
    for look in (pipeline.job, pipeline.result, pipeline.source, pipeline.provenance, pipeline.cancel):
        with pytest.raises(NotFound):
            await look(outside, job.id)
    with pytest.raises(NotFound):
        await pipeline.get_report(outside, report.id)
    assert (await pipeline.jobs(outside)).jobs == []
    assert (await pipeline.approvals(outside, state="all")).approvals == []
    heard: list[EventView] = []

    async def listen() -> None:
        async for event in pipeline.events(outside, after=0):
            heard.append(event)  # noqa: PERF401 (it is looked at while it fills)

    listening = asyncio.create_task(listen())
    await pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="pause"))
    await asyncio.sleep(0.3)
    listening.cancel()
    assert not [event for event in heard if event.job is not None]
    assert (await pipeline.job(GRACE, job.id)).id == job.id
    assert {one.id for one in (await pipeline.jobs(ADA)).jobs} == {job.id, asked.job.id}


async def test_who_has_just_joined_runs_and_is_told(house: House, runner: MemoryRunner) -> None:
    """What is remembered of somebody's groups may be older than their joining: a no is asked again."""

    async def before(_: str) -> frozenset[str]:
        return frozenset({"other"})

    async def now(_: str) -> frozenset[str]:
        return ADA.groups

    house.directory.groups_of, house.directory.refreshed = before, now  # type: ignore[method-assign]
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
    assert (await ended(house, job.id)).state is JobState.COMPLETED


async def test_projects_take_turns(house: House, runner: MemoryRunner) -> None:
    """A project that submitted ten jobs first does not make another wait for all ten."""
    runner.hold()
    flood = [await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0) for _ in range(6)]
    late = await house.pipeline.submit(LISE, request("fake_torino"), key=None, wait_s=0)
    runner.go()
    await ended(house, flood[-1].id)
    order = [tag.rpartition("-")[0] for tag in runner.executed]
    assert order.index(late.id) <= 2
    assert [job for job in order if job != late.id] == [job.id for job in flood]


async def test_live_events_are_filtered_and_resume(house: House, runner: MemoryRunner) -> None:
    """Everybody sees their own; a reader who comes back gets what was missed, in order, without gaps."""
    mine: list[EventView] = []
    foreign: list[EventView] = []

    async def collect(stream: AsyncIterator[EventView], into: list[EventView]) -> None:
        async for event in stream:
            into += [event]

    readers = [
        asyncio.create_task(collect(house.pipeline.events(ADA, after=None), mine)),
        asyncio.create_task(collect(house.pipeline.events(LISE, after=None), foreign)),
    ]
    await asyncio.sleep(0.1)
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
    await until(lambda: any(event.data.get("state") == "completed" for event in mine))
    moves = [event for event in mine if event.type == "job.moved"]
    assert [event.data["state"] for event in moves] == [
        "draft",
        "validated",
        "queued",
        "scheduled",
        "running",
        "completed",
    ]
    await until(lambda: any(event.type == "quota.changed" for event in mine))
    assert all(JobView.model_validate(event.data).id == job.id for event in moves)
    assert {event.type for event in foreign} <= {"device.changed"}
    for reader in readers:
        reader.cancel()
    again: list[EventView] = []
    resumed = asyncio.create_task(collect(house.pipeline.events(ADA, after=moves[1].seq), again))
    await until(lambda: len([event for event in again if event.type == "job.moved"]) == 4)
    assert [event.seq for event in again if event.type == "job.moved"] == [event.seq for event in moves[2:]]
    led: list[EventView] = []
    lead = asyncio.create_task(collect(house.pipeline.events(GRACE, after=0), led))
    await until(lambda: any(event.job == job.id for event in led))
    await ask(house)
    await until(lambda: any(event.type == "approval.changed" for event in led))
    shown = next(event for event in led if event.type == "approval.changed")
    assert ApprovalView.model_validate(shown.data).may_decide
    await house.pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="pause"))
    await until(lambda: any(event.data.get("state") == "paused" for event in led))
    for reader in (resumed, lead):
        reader.cancel()


async def test_a_meter_that_moves_tells_nothing_of_strangers(house: House, runner: MemoryRunner) -> None:
    """The event about one's budget carries id and time of an event of one's own project, never of another's."""
    seen: list[EventView] = []

    async def collect() -> None:
        async for event in house.pipeline.events(BEN, after=0):
            seen.extend([event])

    lise = [house.pipeline.submit(LISE, request("fake_torino", 1), key=None, wait_s=5) for _ in range(4)]
    await asyncio.gather(*lise, house.pipeline.submit(ADA, request("fake_fez", 1), key=None, wait_s=5))
    await house.pipeline.submit(LISE, request("fake_torino", 1), key=None, wait_s=5)
    reader = asyncio.create_task(collect())
    await until(lambda: any(event.type == "quota.changed" for event in seen))
    reader.cancel()
    rows = {row.id: row for row in await house.store.read(lambda view: view.events(0))}
    assert {rows[event.id].project for event in seen} <= {"qcourse", None}


async def test_a_name_may_be_an_address(settings: Settings) -> None:
    """Hubs with names like ada@example.org: records tell the whole name."""
    ada, grace = person("ada@one.example", "qcourse"), person("grace@one.example", *GRACE.groups, interactive=True)
    groups = Groups({who.id: who.groups for who in (ada, grace)})
    house = House(settings, groups)
    pipeline = await house.open()
    async with house.runner():
        asked = await pipeline.submit(ada, request("campus_qpu"), key=None, wait_s=0)
        (open_one,) = (await pipeline.approvals(grace)).approvals
        decided = await pipeline.decide(grace, open_one.id, APPROVE)
        done = await ended(house, asked.id, ada)
        found = await pipeline.provenance(ada, asked.id)
    assert (decided.decided_by, found.approver, done.owner) == ("grace@one.example", "grace@one.example", ada.name)
    assert {event["actor"] for event in found.events} >= {"ada@one.example", "grace@one.example", "service"}
    await house.close()


async def test_me(house: House) -> None:
    """Roles come from groups, never from names."""
    assert (await house.pipeline.me(GRACE)).projects == {"qcourse": "lead"}
    assert (await house.pipeline.me(OTTO)).roles == ["operator"]
    assert (await house.pipeline.me(EVE)).projects == {}
    assert (await house.pipeline.devices(EVE)).devices == []
