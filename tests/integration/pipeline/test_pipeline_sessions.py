"""Sessions at the vendor, as the service keeps them: one a person, project and device; a job never fails for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.store.rows import AttemptRow
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.testing.vendor import MemoryVendor
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.runner import DeviceAnnouncement, Reported, SessionReport, TaskReport
from jupyter_quantum.wire.sessions import SessionRef, SessionView

from .conftest import ADA, BEN, House, person, request, running, until

BATCHES: dict[str, Any] = {"session": "batch", "batch": "batch"}


def far(**changes: Any) -> DeviceAnnouncement:
    """A vendor's machine that has sessions."""
    told = {"recovery": "searchable", "remote": True, "sessions": BATCHES, "slots": 4}
    return announcement("fake_torino", DeviceKind.EMULATOR, **(told | changes))


def ref(**changes: Any) -> SessionRef:
    return SessionRef(id=new_id("ses"), **changes)


async def submit(
    house: House, session: SessionRef | None, who: Any = ADA, wait_s: float = 10.0, **more: Any
) -> JobView:
    return await house.pipeline.submit(who, request("fake_torino", session=session, **more), key=None, wait_s=wait_s)


async def attempts(house: House, job: JobView) -> list[AttemptRow]:
    return await house.store.read(lambda view: view.attempts(job.id))


async def ended(house: House, session: SessionRef, who: Any = ADA) -> SessionView:
    """The session once it is over at the vendor."""

    async def over() -> SessionView | None:
        view = await house.pipeline.sessions.of(who, session.id)
        return view if all(one.state == "ended" for one in view.devices) else None

    found: SessionView = await until(over, 15.0)
    return found


async def test_jobs_share_one_and_closing_ends_it(house: House) -> None:
    """Two jobs are in one session at the vendor; closed, it takes no third, and ends there with what it used."""
    vendor, mine = MemoryVendor(), ref(kind="batch")
    vendor.usage_s = 1.5
    async with house.runner(far(), vendor=vendor):
        first, second = [await submit(house, mine) for _ in range(2)]
        assert (first.state, second.state) == (JobState.COMPLETED, JobState.COMPLETED)
        assert first.session == mine.id
        assert vendor.sessions == {"session-1": [f"{first.id}-1", f"{second.id}-1"]}
        assert [one.session for job in (first, second) for one in await attempts(house, job)] == ["session-1"] * 2
        view = await house.pipeline.sessions.of(ADA, mine.id)
        assert [(at.state, at.mode, at.vendor_session) for at in view.devices] == [("open", "batch", "session-1")]
        assert (await house.pipeline.sessions.close(ADA, mine.id)).state == "closed"
        with pytest.raises(Conflict) as refused:
            await submit(house, mine)
        assert refused.value.code == "session.closed"
        at = (await ended(house, mine)).devices[0]
    assert (vendor.ended, at.why, at.usage_s) == (["session-1"], "closed", 1.5)
    provenance = await house.pipeline.provenance(ADA, second.id)
    assert (provenance.attempts[0]["session"], provenance.attempts[0]["session_mode"]) == ("session-1", "batch")

    async def told() -> list[Any]:
        rows = await house.store.read(lambda view: view.events(0))
        return [row for row in rows if row.type == "session.ended"]

    over = await until(told)
    assert [(dict(one.data)["vendor_session"], dict(one.data)["usage_s"]) for one in over] == [("session-1", "1.500")]
    await house.ledger()


async def test_nobody_shares_a_session(house: House) -> None:
    """The same id from another person, or for another project, is another session at the vendor; none is shown."""
    vendor, mine = MemoryVendor(), ref()
    both = person("ada", "qcourse", "lab")
    house.directory.now[both.id] = both.groups
    async with house.runner(far(), vendor=vendor):
        await submit(house, mine)
        await submit(house, mine, BEN)
        await submit(house, mine, both, project="lab")
        assert [len(tags) for tags in vendor.sessions.values()] == [1, 1, 1]
        assert len(set(vendor.names.values())) == 3
        with pytest.raises(NotFound):
            await house.pipeline.sessions.of(BEN, ref().id)
        assert len((await house.pipeline.sessions.of(BEN, mine.id)).devices) == 1
        await house.pipeline.sessions.close(BEN, mine.id)
        assert (await ended(house, mine, BEN)).state == "closed"
        assert vendor.ended == ["session-2"]
        assert (await submit(house, mine)).state is JobState.COMPLETED


async def test_without_sessions_it_groups(house: House) -> None:
    """A device whose vendor has none runs the jobs as any other, unmarked; the session is shown, and ends."""
    vendor, mine = MemoryVendor(), ref()
    async with house.runner(far(sessions={}), vendor=vendor):
        job = await submit(house, mine)
        assert (job.state, job.marks, vendor.sessions) == (JobState.COMPLETED, [], {})
        await house.pipeline.sessions.close(ADA, mine.id)
        (at,) = (await ended(house, mine)).devices
    assert (at.vendor_session, at.mode, at.why) == (None, None, "closed")
    assert vendor.ended == []


@pytest.mark.parametrize("why", ["refused", "unsure", "unavailable"])
async def test_one_that_is_not_opened_fails_no_job(house: House, why: Any) -> None:
    """The job runs outside of it and is marked; a second opening is tried only where nothing was done."""
    vendor, mine = MemoryVendor(), ref()
    vendor.opens = SessionReport(why=why, words="no")
    async with house.runner(far(), vendor=vendor):
        first, second = [await submit(house, mine) for _ in range(2)]
    assert (first.state, first.marks) == (JobState.COMPLETED, ["without-session"])
    assert second.state is JobState.COMPLETED
    assert second.marks == ([] if why == "unavailable" else ["without-session"])
    assert len(vendor.sessions) == (1 if why == "unavailable" else 0)
    events = await house.store.read(lambda view: view.job_events(first.id))
    assert [dict(one.data).get("why") for one in events if dict(one.data).get("code") == "attempt.session"] == [why]
    assert vendor.runs == {f"{first.id}-1": 1, f"{second.id}-1": 1}


async def test_closed_early_by_the_vendor(house: House) -> None:
    """A session that takes no more runs: the same attempt runs outside of it, once, and no later one goes in."""
    vendor, mine = MemoryVendor(), ref()
    async with house.runner(far(), vendor=vendor):
        await submit(house, mine)
        vendor.end("session-1")
        second, third = [await submit(house, mine) for _ in range(2)]
        at = (await ended(house, mine)).devices[0]
    assert [(one.state, one.marks) for one in (second, third)] == [(JobState.COMPLETED, ["without-session"])] * 2
    assert (second.attempts, vendor.runs[f"{second.id}-1"]) == (1, 1)
    assert [one.session for one in await attempts(house, second)] == [None]
    assert at.why == "vendor"
    assert len(vendor.sessions["session-1"]) == 1


async def test_what_waited_in_it_runs_outside(settings: Settings) -> None:
    """The vendor ends a session with a job in it: the next attempt runs without, though no more tries were left."""
    vendor, mine = MemoryVendor(), ref()
    async with running(settings, max_attempts=1) as house, house.runner(far(), vendor=vendor) as runner:
        runner.hold()
        job = await submit(house, mine, wait_s=0.0)
        await until(lambda: vendor.sessions.get("session-1"))
        vendor.drops.add("session-1")
        vendor.end("session-1")
        runner.go()
        view = await house.pipeline.job(ADA, job.id)
        while view.ended is None:
            view = await house.pipeline.job(ADA, job.id, wait_s=5, version=view.version)
        assert (view.state, view.attempts, view.marks) == (JobState.COMPLETED, 2, ["without-session"])
        first, second = await attempts(house, job)
        assert (first.cost, first.session, second.session) == (0, "session-1", None)
        await house.ledger()


async def test_time_is_up(house: House) -> None:
    """After max_s it is ended at the vendor; a later job of it runs outside, marked."""
    vendor, mine = MemoryVendor(), ref(max_s=1)
    async with house.runner(far(), vendor=vendor):
        await submit(house, mine)
        at = (await ended(house, mine)).devices[0]
        late = await submit(house, mine)
    assert (vendor.ended, at.why) == (["session-1"], "expired")
    assert (late.state, late.marks) == (JobState.COMPLETED, ["without-session"])


async def test_the_devices_own_limit_holds(house: House) -> None:
    """An operator's limit ends a session though its owner named none."""
    vendor, mine = MemoryVendor(), ref()
    async with house.runner(far(session_s=1.0, sessions={"session": "dedicated"}), vendor=vendor):
        await submit(house, mine)
        at = (await ended(house, mine)).devices[0]
    assert (at.mode, at.why) == ("dedicated", "expired")


async def test_idle(settings: Settings) -> None:
    """Where no job runs for a while it is ended, and not while one runs."""
    vendor, mine = MemoryVendor(), ref()
    async with running(settings, session_idle_s=0.5) as house, house.runner(far(), vendor=vendor) as runner:
        runner.hold()
        job = await submit(house, mine, wait_s=0.0)
        await until(lambda: vendor.sessions.get("session-1"))
        for _ in range(3):
            await house.pipeline.sessions.turn()
        assert vendor.ended == []
        runner.go()
        at = (await ended(house, mine)).devices[0]
        assert (await house.pipeline.job(ADA, job.id)).state is JobState.COMPLETED
    assert (vendor.ended, at.why) == (["session-1"], "idle")


async def test_a_restart_finds_it_again(settings: Settings) -> None:
    """After a restart of service and runner, the next job goes into the same session, which is ended then."""
    vendor, mine = MemoryVendor(), ref()
    house = House(settings)
    await house.open()
    async with house.runner(far(), vendor=vendor):
        first = await submit(house, mine)
    await house.close()
    await house.open()
    async with house.runner(far(), vendor=vendor):
        second = await submit(house, mine)
        await house.pipeline.sessions.close(ADA, mine.id)
        await house.close()  # before anybody could tell the vendor
    await house.open()
    async with house.runner(far(), vendor=vendor):
        await ended(house, mine)
    await house.close()
    assert vendor.sessions == {"session-1": [f"{first.id}-1", f"{second.id}-1"]}
    assert set(vendor.ended) == {"session-1"}


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_runner_that_dies_in_between(settings: Settings, handed_over: bool) -> None:
    """Its session is known before the run is handed over: whoever comes next looks for the run, and opens no other."""
    vendor, mine = MemoryVendor(), ref()
    async with running(settings, lease_s=0.4) as house:
        slow = {"submit_s": 0.2, "indexing_s": 0.2}
        async with house.runner(far(**slow), vendor=vendor) as lost:
            lost.hold()
            vendor.stalls = None if handed_over else asyncio.Event()
            job = await submit(house, mine, wait_s=0.0)
            await until(lambda: vendor.sessions.get("session-1"))
            if handed_over:
                await until(lambda: vendor.runs)
            await lost.die()
        vendor.stalls = None
        async with house.runner(far(**slow), vendor=vendor) as next_one:
            await until(lambda: _is_done(house, job), 15.0)
            assert next_one.recovered == [f"{job.id}-1"]
    assert list(vendor.sessions) == ["session-1"]
    assert vendor.runs == {f"{job.id}-{1 if handed_over else 2}": 1}


class Twice:
    """The service to a runner whose word of a session's opening is sent twice, the first answer being lost."""

    def __init__(self, pipeline: Any) -> None:
        self.announce, self.lease, self._report = pipeline.announce, pipeline.lease, pipeline.report_task

    async def report_task(self, task_id: str, report: TaskReport) -> Reported:
        if report.state == "session":
            await self._report(task_id, report)
        return await self._report(task_id, report)


async def test_said_twice_is_said_once(house: House) -> None:
    """The second saying gets the same answer, and leaves nothing in the record."""
    mine = ref()
    async with MemoryRunner(Twice(house.pipeline), [far()]) as runner:
        job = await submit(house, mine)
        assert (job.state, job.marks) == (JobState.COMPLETED, [])
        assert runner.vendor.sessions == {"session-1": [f"{job.id}-1"]}
    events = await house.store.read(lambda view: view.job_events(job.id))
    assert [dict(one.data).get("code") for one in events].count("attempt.session") == 1


async def test_on_another_device_it_is_another_one(house: House) -> None:
    """A job that moves to another device takes its session along: one for each, closed together."""
    vendor, mine = MemoryVendor(), ref()
    other = far().model_copy(update={"name": "fake_fez"})
    async with house.runner(far(), other, vendor=vendor) as runner:
        await submit(house, mine)
        runner.fail_next("vendor.refused")
        moved = await submit(house, mine, wait_s=0.0, fallback=["fake_fez"])
        await until(lambda: _is_done(house, moved), 15.0)
        assert [len(tags) for tags in vendor.sessions.values()] == [1, 1]
        await house.pipeline.sessions.close(ADA, mine.id)
        view = await ended(house, mine)
    assert {one.device: one.vendor_session for one in view.devices} == {
        "fake_torino": "session-1",
        "fake_fez": "session-2",
    }
    assert sorted(vendor.ended) == ["session-1", "session-2"]


async def test_two_that_are_opened_at_once_are_one(house: House) -> None:
    """Of two runs that open it at the same moment one's session counts; the other is empty, and ended."""
    vendor, mine = MemoryVendor(), ref()
    async with house.runner(far(), vendor=vendor) as runner:
        runner.hold()
        jobs = [await submit(house, mine, wait_s=0.0) for _ in range(3)]
        await until(lambda: sum(map(len, vendor.sessions.values())) == 3)
        runner.go()
        for job in jobs:
            await until(lambda job=job: _is_done(house, job))
    used = [name for name, tags in vendor.sessions.items() if tags]
    assert len(used) == 1
    assert set(vendor.ended) == set(vendor.sessions) - set(used)


async def _is_done(house: House, job: JobView) -> bool:
    return (await house.pipeline.job(ADA, job.id)).state is JobState.COMPLETED
