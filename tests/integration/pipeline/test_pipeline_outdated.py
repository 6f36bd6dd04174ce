"""Stories of jobs that were leased before their device was calibrated anew: they never ran, and go on by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.runner import Reported, TaskReport

from .conftest import ADA, House, request, running
from .test_pipeline_recovery import ended, seen

OLD, NEW = (announcement("fake_torino", DeviceKind.EMULATOR, epoch=epoch) for epoch in (1, 2))


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[House]:
    """A service on each database that tries again soon."""
    changes: dict[str, Any] = {"retry_s": 0.1, "retry_most_s": 0.1}
    if request.param == "postgresql":
        changes["db_url"] = request.getfixturevalue("postgres").migrated()
    async with running(settings, **changes) as made:
        yield made


async def leased_before(house: House, runner: MemoryRunner, **fields: Any) -> JobView:
    """Ada's job, validated for a calibration that is past when its turn comes; the service is not told of the new one.

    The device is busy with another job when it is submitted.
    """
    runner.hold()
    first = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    await seen(house, first, lambda now: now.state is JobState.RUNNING)
    job = await house.pipeline.submit(ADA, request("fake_torino", **fields), key=None, wait_s=0)
    assert job.state is JobState.QUEUED
    runner.calibrate(NEW)
    return job


class Overtaken:
    """The service, which hears of a calibration just before a run's report that it has changed."""

    def __init__(self, house: House) -> None:
        self.announce, self.lease = house.pipeline.announce, house.pipeline.lease
        self.runner: MemoryRunner
        self._house = house

    async def report_task(self, task_id: str, report: TaskReport) -> Reported:
        """The announcement first, where there is one."""
        if report.error is not None and report.error.code == "calibration.changed":
            await self.runner.announce()
        return await self._house.pipeline.report_task(task_id, report)


async def codes(house: House, job: JobView) -> list[tuple[str | None, str | None]]:
    """What the record says of the job's moves, code and why."""
    events = (await house.pipeline.provenance(ADA, job.id)).events
    return [(event["data"].get("code"), event["data"].get("why")) for event in events if event["data"].get("code")]


async def test_a_job_that_was_leased_before_a_calibration_goes_on_by_itself(house: House) -> None:
    """It is validated again for the new one and runs once; what never ran costs nothing, and the record tells it."""
    async with house.runner(OLD) as runner:
        job = await leased_before(house, runner)
        runner.go()
        await seen(house, job, lambda now: now.attempts > 0 and now.state is not JobState.SCHEDULED)
        await runner.announce()
        done = await ended(house, job)
    assert (done.state, done.cost, done.price, done.error) == (JobState.COMPLETED, 420_500, 420_500, None)
    assert done.executable != job.executable
    ran = [tag for tag in runner.executed if tag.startswith(job.id)]
    assert ran == [f"{job.id}-{done.attempts}"]
    never = (await house.pipeline.provenance(ADA, job.id)).attempts[:-1]
    assert {(one["state"], one["cost"], one["error"]["code"]) for one in never} == {
        ("failed", 0, "calibration.changed")
    }
    told = await codes(house, job)
    assert told.count(("attempt.retry", "calibration.changed")) == len(never)
    assert told[-2:] == [("promise.stale", None), ("validated.again", None)]


async def test_where_the_service_knows_the_calibration_it_goes_on_at_once(settings: Settings) -> None:
    """No pause: it is validated again as soon as its worker has said no. The next try would come in an hour."""
    async with running(settings, retry_s=3600.0) as house:
        service = Overtaken(house)
        async with MemoryRunner(service, [OLD]) as runner:
            service.runner = runner
            job = await leased_before(house, runner)
            runner.go()
            done = await ended(house, job)
        assert (done.state, done.attempts, done.cost) == (JobState.COMPLETED, 2, 420_500)


async def test_what_was_promised_holds_after_the_new_calibration(house: House) -> None:
    """Below the range that it was validated with, the job is refused with both numbers, and its hold is given back."""
    async with house.runner(OLD) as runner:
        job = await leased_before(house, runner)
        runner.success = 0.5
        runner.go()
        await seen(house, job, lambda now: now.attempts > 0 and now.state is not JobState.SCHEDULED)
        await runner.announce()
        done = await ended(house, job)
    assert (done.state, done.on_hold, done.cost) == (JobState.REJECTED, 0, 0)
    assert done.error is not None
    assert done.error["code"] == "promise.changed"
    assert "success is now 0.50 (was 0.95)" in done.error["message"]


async def test_a_runner_that_never_says_what_it_has_is_tried_a_few_times(house: House) -> None:
    """Without an announcement every try is refused by the worker: the last one ends it, free of charge."""
    async with house.runner(OLD) as runner:
        job = await leased_before(house, runner)
        runner.go()
        done = await ended(house, job)
    assert (done.state, done.attempts, done.cost, done.on_hold) == (JobState.FAILED, 3, 0, 0)
    assert done.error is not None
    assert done.error["code"] == "calibration.changed"
