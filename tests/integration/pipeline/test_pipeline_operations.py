"""Stories of operators: attempts that nobody can tell about, devices that are isolated and come back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.settings import Isolation
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.testing.vendor import MemoryVendor
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.operations import Resolution

from .conftest import ADA, BEN, OTTO, House, request, until
from .test_pipeline_recovery import at_vendor, ended, lab, lost_before_the_answer, seen


async def unknown(house: House, vendor: MemoryVendor, recovery: str = "opaque") -> JobView:
    """Ada's job, of which nobody can tell."""
    job = await lost_before_the_answer(house, recovery, vendor, handed=True)
    return await seen(house, job, lambda now: now.error is not None)


async def test_an_operator_says_that_it_ran(settings: Settings) -> None:
    """Listed with what it takes to find it at the vendor; then failed for what the operator says, at most the hold."""
    async with lab(settings) as house:
        job = await unknown(house, MemoryVendor())
        (found,) = (await house.pipeline.resolving.unknown(OTTO)).attempts
        assert (found.tag, found.device, found.owner, found.on_hold) == (f"{job.id}-1", "fake_torino", "ada", 450_000)
        assert not found.can_look
        resolve = house.pipeline.resolving.resolve
        for charge in (None, CREDIT):
            with pytest.raises(InputError):
                await resolve(OTTO, found.tag, Resolution(verdict="ran", charge=charge))
        await resolve(OTTO, found.tag, Resolution(verdict="ran", charge=20_000, note="seen on their page"))
        done = await ended(house, job)
        assert (done.state, done.cost, done.on_hold) == (JobState.FAILED, 20_000, 0)
        assert done.error is not None
        assert done.error["message"] == "fake_torino ran this, but the result is lost. Charged: 0.02 credits."
        with pytest.raises(Conflict) as caught:
            await resolve(OTTO, found.tag, Resolution(verdict="not_run"))
        assert caught.value.code == "attempt.state"
        events = (await house.pipeline.provenance(ADA, job.id)).events
        (told,) = [event for event in events if event["type"] == "attempt.resolved"]
        assert (told["data"]["verdict"], told["data"]["note"]) == ("ran", "seen on their page")


async def test_an_operator_says_that_it_did_not_run(settings: Settings) -> None:
    """The attempt costs nothing, and the job runs in another one."""
    async with lab(settings) as house:
        job = await unknown(house, MemoryVendor())
        await house.pipeline.resolving.resolve(OTTO, f"{job.id}-1", Resolution(verdict="not_run"))
        async with house.runner(at_vendor("opaque")):
            done = await ended(house, job)
            assert (done.state, done.attempts, done.cost, done.error) == (JobState.COMPLETED, 2, 420_500, None)


async def test_an_operator_has_it_looked_for_again(settings: Settings) -> None:
    """A vendor that could not be asked before is asked again; the same attempt completes."""
    vendor = MemoryVendor()
    async with lab(settings) as house:
        job = await unknown(house, vendor)
        async with house.runner(at_vendor("searchable"), vendor=vendor) as runner:  # it lists its jobs by now
            await house.pipeline.resolving.resolve(OTTO, f"{job.id}-1", Resolution(verdict="look"))
            done = await ended(house, job)
            assert (done.state, done.attempts, runner.executed) == (JobState.COMPLETED, 1, [])
        assert vendor.runs == {f"{job.id}-1": 1}


async def test_two_operators_decide_once(settings: Settings) -> None:
    """Of two verdicts at once one holds; a cancelled job is not queued again; nobody else may decide."""
    async with lab(settings) as house:
        job = await unknown(house, MemoryVendor())
        resolve = house.pipeline.resolving.resolve
        with pytest.raises(Refused):
            await resolve(ADA, f"{job.id}-1", Resolution(verdict="not_run"))
        with pytest.raises(NotFound):
            await resolve(OTTO, "job_absent-1", Resolution(verdict="not_run"))
        asked = await house.pipeline.cancel(ADA, job.id)
        assert (asked.state, asked.cancel_asked is not None) == (JobState.RUNNING, True)
        both = [Resolution(verdict="not_run"), Resolution(verdict="ran", charge=0)]
        answers = await asyncio.gather(*(resolve(OTTO, f"{job.id}-1", one) for one in both), return_exceptions=True)
        assert sorted(isinstance(one, Conflict) for one in answers) == [False, True]
        done = await ended(house, job)
        assert (done.state, done.cost, done.on_hold) == (JobState.CANCELLED, 0, 0)


async def test_the_vendors_seconds_are_charged_and_the_difference_is_shown(settings: Settings) -> None:
    """What the vendor counts is what it costs, never more than the hold; operators see where it differs."""
    vendor = MemoryVendor()
    vendor.counts, vendor.marks = 3.1, ["partial", "<b>"]
    async with lab(settings) as house, house.runner(at_vendor("searchable"), vendor=vendor):
        job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
        assert (job.state, job.cost, job.seconds, job.vendor_seconds) == (JobState.COMPLETED, 421_550, 1.0, 3.1)
        assert job.marks == ["partial"]
        (found,) = (await house.pipeline.resolving.differences(OTTO)).differences
        assert found.words == "The vendor counted 3.1 s, we 1 s; the vendor's were charged."
        vendor.counts = 1000.0
        dear = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
        assert dear.cost == dear.price_at_most == 450_000
        moved = [event["data"] for event in (await house.pipeline.provenance(ADA, job.id)).events][-1]
        assert (moved["vendor_s"], moved["usage_s"], moved["marks"]) == (3.1, 1.0, ["partial"])
        await house.ledger()


async def test_a_calibration_that_changed_during_a_run_is_marked(settings: Settings) -> None:
    """The result says that the device was calibrated anew while it was made."""
    async with lab(settings) as house, house.runner(at_vendor("searchable")) as runner:
        runner.hold()
        job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await seen(house, job, lambda now: now.state is JobState.RUNNING)
        await runner.announce(at_vendor("searchable", epoch=2))
        runner.go()
        assert (await ended(house, job)).marks == ["drift"]


def qpu(epoch: int = 1, error: float = 0.01) -> Any:
    """fake_fez, with one two-qubit gate of this error."""
    cz = {"name": "cz", "kind": "gate", "params": [], "num_qubits": 2, "props": [[[0, 1], 1e-7, error]]}
    target = {"num_qubits": 30, "operations": [cz]}
    return announcement("fake_fez", DeviceKind.EMULATOR, epoch=epoch, target=target)


async def fails(house: House, runner: MemoryRunner, code: str, times: int, who: Any = ADA) -> None:
    """Jobs that fail with this code."""
    for _ in range(times):
        runner.fail_next(code)
        job = await house.pipeline.submit(who, request("fake_fez"), key=None, wait_s=5)
        assert job.state is JobState.FAILED


async def state(house: House) -> tuple[str, str | None]:
    """State of fake_fez, and why."""
    view = await house.pipeline.device(OTTO, "fake_fez")
    return view.state, view.state_reason


async def test_a_device_that_fails_again_and_again_is_isolated(settings: Settings) -> None:
    """Three faults of its own in a row isolate it; users' own mistakes do not; waiting jobs are told why."""
    async with lab(settings, isolation=Isolation(in_a_row=3)) as house, house.runner(qpu()) as runner:
        await fails(house, runner, "job.memory", 4)
        await fails(house, runner, "vendor.refused", 4)
        await fails(house, runner, "vendor.failed", 2)
        assert await state(house) == ("ready", None)
        await fails(house, runner, "vendor.failed", 1, BEN)

        async def isolated() -> bool:
            return await state(house) == ("isolated", "3 jobs failed one after the other")

        await until(isolated)
        job = await house.pipeline.submit(ADA, request("fake_fez"), key=None, wait_s=0)
        assert (job.state, job.wait and job.wait.words) == (
            JobState.QUEUED,
            "Waiting because fake_fez is isolated: 3 jobs failed one after the other. "
            "It goes on once the operators resume it.",
        )
        await house.pipeline.act_on_device(replace(OTTO, interactive=False), "fake_fez", DeviceAction(action="resume"))
        assert (await ended(house, job)).state is JobState.COMPLETED
        await fails(house, runner, "vendor.failed", 2)  # a clean slate: two do not count on from three
        assert await state(house) == ("ready", None)


async def test_one_person_takes_a_device_from_nobody(settings: Settings) -> None:
    """Whoever has circuits that the device fails on does not isolate it for others; failures of two people do."""
    async with lab(settings, isolation=Isolation(in_a_row=3, least=3)) as house, house.runner(qpu()) as runner:
        done = await house.pipeline.submit(BEN, request("fake_fez"), key=None, wait_s=5)
        assert done.state is JobState.COMPLETED
        await fails(house, runner, "job.device", 4)
        await house.pipeline._runners.health.judge("fake_fez")
        assert await state(house) == ("ready", None)
        await fails(house, runner, "job.device", 1, BEN)
        await house.pipeline._runners.health.judge("fake_fez")
        assert (await state(house))[0] == "isolated"


async def test_isolate_drain_recalibrate_resume(settings: Settings) -> None:
    """What runs finishes; nothing starts until the next calibration, and then it resumes by itself."""
    async with lab(settings) as house, house.runner(qpu()) as runner:
        runner.hold()
        job = await house.pipeline.submit(ADA, request("fake_fez"), key=None, wait_s=0)
        await until(lambda: runner.executed)
        waits = await house.pipeline.submit(ADA, request("fake_fez"), key=None, wait_s=0)
        act = house.pipeline.act_on_device
        await act(OTTO, "fake_fez", DeviceAction(action="isolate", reason="strange results"))
        runner.go()
        assert (await ended(house, job)).state is JobState.COMPLETED
        await act(OTTO, "fake_fez", DeviceAction(action="drain"))
        view = await act(OTTO, "fake_fez", DeviceAction(action="recalibrate", reason="in calibration"))
        assert (view.state, view.awaits_calibration) == ("drained", True)
        await act(OTTO, "fake_fez", DeviceAction(action="isolate", reason="in calibration"))
        await act(OTTO, "fake_fez", DeviceAction(action="recalibrate"))
        await runner.announce(qpu())
        assert await state(house) == ("isolated", "in calibration")
        await runner.announce(qpu(epoch=2))
        assert await state(house) == ("ready", None)
        assert (await ended(house, waits)).state is JobState.COMPLETED


async def test_a_calibration_that_drifts_isolates_until_one_passes(settings: Settings) -> None:
    """Errors three times as large isolate the device; it resumes by itself with a calibration that passes the check."""
    rules = Isolation(drift=3.0, resume=True, error=0.02)
    async with lab(settings, isolation=rules) as house, house.runner(qpu()) as runner:
        await runner.announce(qpu(2, 0.02))
        assert await state(house) == ("ready", None)
        await runner.announce(qpu(3, 0.1))
        assert await state(house) == ("isolated", "the median two-qubit error is 1.0e-01; it was 2.0e-02 before")
        await runner.announce(qpu(4, 0.03))
        assert (await state(house))[0] == "isolated"
        await runner.announce(qpu(5, 0.015))
        assert await state(house) == ("ready", None)
