"""Stories of attempts at a vendor whose runner or service was lost: never run twice, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.store.rows import AttemptRow
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.testing.vendor import MemoryVendor
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.runner import DeviceAnnouncement, ExecuteTask, Reported, TaskReport

from .conftest import ADA, House, request, running, until

QUICK: dict[str, Any] = {"lease_s": 0.4}


def at_vendor(recovery: str, **changes: Any) -> DeviceAnnouncement:
    """A vendor's machine; its price is fake_torino's."""
    slow = {"submit_s": 0.2, "indexing_s": 0.2}
    return announcement("fake_torino", DeviceKind.EMULATOR, recovery=recovery, remote=True, **(slow | changes))


@asynccontextmanager
async def lab(settings: Settings, **changes: Any) -> AsyncIterator[House]:
    """A service whose leases are short."""
    async with running(settings, **(QUICK | changes)) as house:
        yield house


async def seen(house: House, job: JobView, check: Callable[[JobView], Any]) -> JobView:
    """Ada's job once it is as wanted."""

    async def found() -> JobView | None:
        now = await house.pipeline.job(ADA, job.id)
        return now if check(now) else None

    view: JobView = await until(found, 10.0)
    return view


async def ended(house: House, job: JobView) -> JobView:
    """Ada's job once it is final; the ledger is right then."""
    view = await seen(house, job, lambda now: now.ended is not None)
    await house.ledger()
    return view


async def attempts(house: House, job: JobView) -> list[AttemptRow]:
    """Its attempts."""
    return await house.store.read(lambda view: view.attempts(job.id))


async def submitted(house: House, runner: MemoryRunner, **fields: Any) -> JobView:
    """Ada's job, at the vendor and not done yet."""
    runner.hold()
    job = await house.pipeline.submit(ADA, request("fake_torino", **fields), key=None, wait_s=0)
    return await seen(house, job, lambda now: now.state is JobState.RUNNING)


@pytest.mark.parametrize("recovery", ["idempotent", "searchable", "opaque"])
async def test_what_the_vendor_confirmed_is_found_by_its_id(settings: Settings, recovery: str) -> None:
    """A runner that dies after *started*: another one finds the same attempt, whose result and cost are the job's."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        async with house.runner(at_vendor(recovery), vendor=vendor) as runner:
            job = await submitted(house, runner)
        await house.pipeline.runner_lost(runner.name)
        looked = await seen(house, job, lambda now: now.wait is not None)
        assert looked.state is JobState.RUNNING
        assert looked.wait is not None
        assert looked.wait.words == (
            "The runner of fake_torino stopped answering; fake_torino is asked whether it has this run. "
            "It will not be run twice."
        )
        async with house.runner(at_vendor(recovery), vendor=vendor) as fresh:
            done = await ended(house, job)
            assert (done.state, done.attempts, done.cost, done.wait) == (JobState.COMPLETED, 1, 420_500, None)
            assert (fresh.recovered, fresh.executed) == ([f"{job.id}-1"], [])
        assert vendor.runs == {f"{job.id}-1": 1}
        (attempt,) = await attempts(house, job)
        assert (attempt.handles, attempt.runner, attempt.recoveries) == ('["vendor-1"]', fresh.name, 1)


class Patient:
    """A service as a runner sees it that says again what was not taken."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def report_task(self, task_id: str, report: TaskReport) -> Reported:
        for _ in range(5):
            try:
                return await self._service.report_task(task_id, report)  # type: ignore[no-any-return]
            except Unavailable:
                await asyncio.sleep(0.05)
        raise AssertionError("the service never took it")


async def test_a_result_outlives_a_database_that_does_not_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that could not be written is taken when it comes again: the job ends with its result, charged once."""
    async with lab(settings, lease_s=5.0) as house, house.runner(at_vendor("opaque")) as runner:
        monkeypatch.setattr(runner, "_service", Patient(house.pipeline))
        write, failures = house.store.write, [1, 1]

        async def away(work: Any) -> Any:
            if "_done" in work.__qualname__ and failures:
                failures.pop()
                raise Unavailable("The database did not answer.", code="store.unavailable")
            return await write(work)

        monkeypatch.setattr(house.pipeline._context.store, "write", away)
        done = await ended(house, await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0))
        assert (done.state, done.attempts, done.cost, failures) == (JobState.COMPLETED, 1, 420_500, [])
        assert runner.vendor.runs == {f"{done.id}-1": 1}


@pytest.mark.parametrize("recovery", ["idempotent", "searchable"])
async def test_a_restart_finds_what_runs_at_the_vendor(settings: Settings, recovery: str) -> None:
    """The service dies while a run is at the vendor: the same attempt goes on, once, and keeps its slot meanwhile."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        async with house.runner(at_vendor(recovery), vendor=vendor) as runner:
            job = await submitted(house, runner)
            waits = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await house.close()
        await house.open()
        async with house.runner(at_vendor(recovery), vendor=vendor) as fresh:
            fresh.hold()
            await until(lambda: fresh.recovered)
            assert (await house.pipeline.job(ADA, waits.id)).state is JobState.QUEUED
            fresh.go()
            assert [(await ended(house, one)).state for one in (job, waits)] == [JobState.COMPLETED] * 2
        assert vendor.runs == {f"{job.id}-1": 1, f"{waits.id}-1": 1}


async def lost_before_the_answer(house: House, recovery: str, vendor: MemoryVendor, *, handed: bool) -> JobView:
    """Ada's job, whose runner died while it handed it over: after the vendor had it, or before."""
    vendor.stalls = asyncio.Event()
    async with house.runner(at_vendor(recovery), vendor=vendor) as runner:
        job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await until(lambda: runner.executed)
        if handed:
            vendor.submit(f"{job.id}-1")
    vendor.stalls = None
    await house.pipeline.runner_lost(runner.name)
    return job


async def test_what_reached_the_vendor_is_found_by_its_tag(settings: Settings) -> None:
    """A runner that dies before it hears back from the vendor: found by tag, not submitted again."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        job = await lost_before_the_answer(house, "searchable", vendor, handed=True)
        async with house.runner(at_vendor("searchable"), vendor=vendor) as fresh:
            done = await ended(house, job)
            assert (done.state, done.attempts, fresh.executed) == (JobState.COMPLETED, 1, [])
        assert vendor.runs == {f"{job.id}-1": 1}


async def test_what_never_reached_the_vendor_is_tried_again(settings: Settings) -> None:
    """Absent is believed only after lease, submission and indexing; then a new attempt runs, the first one is free."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        job = await lost_before_the_answer(house, "searchable", vendor, handed=False)
        (lost,) = await attempts(house, job)
        async with house.runner(at_vendor("searchable"), vendor=vendor) as fresh:
            done = await ended(house, job)
            assert (done.state, done.attempts, done.cost) == (JobState.COMPLETED, 2, 420_500)
            assert (fresh.recovered, fresh.executed) == ([f"{job.id}-1"], [f"{job.id}-2"])
        first, second = await attempts(house, job)
        assert (first.state.value, first.cost) == ("failed", 0)
        assert lost.absent_after is not None
        assert second.created >= lost.absent_after
        assert vendor.runs == {f"{job.id}-2": 1}


async def test_a_vendor_that_lists_late_is_asked_late(settings: Settings) -> None:
    """A submission whose answer was lost is looked for once the vendor has had its time to list it, and not before."""
    vendor = MemoryVendor()
    slow = at_vendor("searchable", indexing_s=1.0)
    async with lab(settings) as house:
        async with house.runner(slow, vendor=vendor) as runner:
            runner.hold()
            vendor.silent = vendor.hides = True  # the runner cannot tell: it is looked for at once, and not there yet
            job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
            await until(lambda: runner.executed)
            assert vendor.runs == {f"{job.id}-1": 1}
            await seen(house, job, lambda now: now.wait is not None)
            await asyncio.sleep(0.8)
            assert runner.recovered == []
            vendor.hides = False
            runner.go()
            assert (await ended(house, job)).state is JobState.COMPLETED
        assert vendor.runs == {f"{job.id}-1": 1}


async def test_nobody_to_look_is_waited_for_in_words(settings: Settings) -> None:
    """While no runner serves the device, the job says what it waits for, and nothing is given up."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        async with house.runner(at_vendor("searchable"), vendor=vendor) as runner:
            job = await submitted(house, runner)
        await house.pipeline.runner_lost(runner.name)
        await seen(house, job, lambda now: now.wait is not None)
        for _ in range(2):  # restarts in between change nothing
            await house.close()
            await house.open()
            assert (await seen(house, job, lambda now: now.wait is not None)).state is JobState.RUNNING
        async with house.runner(at_vendor("searchable"), vendor=vendor):
            assert (await ended(house, job)).state is JobState.COMPLETED
        assert vendor.runs == {f"{job.id}-1": 1}


async def test_an_opaque_vendor_that_was_not_heard_is_unknown(settings: Settings) -> None:
    """Without an id and without a search nobody looks: unknown, nothing is run again, also after a restart."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        job = await lost_before_the_answer(house, "opaque", vendor, handed=True)
        now = await seen(house, job, lambda now: now.error is not None)
        assert now.error is not None
        assert (now.state, now.error["code"]) == (JobState.RUNNING, "attempt.unknown")
        await house.close()
        await house.open()
        async with house.runner(at_vendor("opaque"), vendor=vendor) as fresh:
            other = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
            assert other.state is JobState.COMPLETED  # its slot is free
            assert fresh.executed == [f"{other.id}-1"]
        assert (await house.pipeline.job(ADA, job.id)).on_hold == job.on_hold


async def test_cancelling_at_a_vendor_is_charged_by_its_word(settings: Settings) -> None:
    """The runner takes it back there; the job is cancelled once that is known, for what the vendor counts."""
    vendor = MemoryVendor()
    vendor.counts = 0.5
    async with lab(settings) as house, house.runner(at_vendor("searchable"), vendor=vendor) as runner:
        job = await submitted(house, runner)
        asked = await house.pipeline.cancel(ADA, job.id)
        assert (asked.state, asked.cancel_asked is not None) == (JobState.RUNNING, True)
        done = await ended(house, job)
        assert (done.state, done.on_hold, done.vendor_seconds) == (JobState.CANCELLED, 0, 0.5)
        assert done.cost == 20_000 + 1000 * 400 + 250
        assert vendor.cancelled == [f"{job.id}-1"]
        other = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        assert (await seen(house, other, lambda now: now.state is JobState.RUNNING)).attempts == 1


async def test_cancelling_what_is_looked_for_takes_it_back_where_it_is_found(settings: Settings) -> None:
    """A run whose runner is gone is found and taken back; one that was never there costs nothing."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        async with house.runner(at_vendor("searchable"), vendor=vendor) as runner:
            there = await submitted(house, runner)
        await house.pipeline.runner_lost(runner.name)
        await house.pipeline.cancel(ADA, there.id)
        async with house.runner(at_vendor("searchable"), vendor=vendor) as fresh:
            assert (await ended(house, there)).state is JobState.CANCELLED
            assert (fresh.executed, vendor.cancelled) == ([], [f"{there.id}-1"])
        await house.pipeline.runner_lost(fresh.name)
        absent = await lost_before_the_answer(house, "searchable", vendor, handed=False)
        await house.pipeline.cancel(ADA, absent.id)
        async with house.runner(at_vendor("searchable"), vendor=vendor) as last:
            done = await ended(house, absent)
            assert (done.state, done.cost, done.attempts, last.executed) == (JobState.CANCELLED, 0, 1, [])


async def test_the_time_limit_counts_on_the_device(settings: Settings) -> None:
    """A task's clock allows for the vendor's queue; the device is told its own limit."""
    async with lab(settings, vendor_wait_s=1000.0) as house:
        runner = house.runner(at_vendor("searchable"))
        tasks: list[Any] = []
        runner._begin = tasks.append  # type: ignore[method-assign]
        async with runner:
            sent = house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
            asking = asyncio.ensure_future(sent)
            await until(lambda: tasks)
            following = (await runner._answer(tasks[0])).next
            await asking
            assert following is not None
            assert isinstance(following.do, ExecuteTask)
            assert (following.timeout_s, following.do.device_s) == (1060.2, 60.0)
