"""Stories of faults that pass, and of jobs that move to another device their owner allows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import InputError, NotFound
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import ApprovalDecision, JobView

from .conftest import ADA, GRACE, OTTO, House, request, running, until


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A service that tries again soon."""
    async with running(settings, retry_s=0.05) as made:
        yield made


async def ended(house: House, job: JobView) -> JobView:
    """Ada's job once it is final; the ledger is right then."""

    async def final() -> JobView | None:
        now = await house.pipeline.job(ADA, job.id)
        return now if now.ended is not None else None

    view: JobView = await until(final, 10.0)
    await house.ledger()
    return view


async def submit(house: House, device: str = "fake_torino", *, wait_s: float = 0.0, **fields: Any) -> JobView:
    """Ada's job."""
    return await house.pipeline.submit(ADA, request(device, **fields), key=None, wait_s=wait_s)


async def test_a_fault_that_may_pass_is_tried_again_a_few_times(house: House, runner: MemoryRunner) -> None:
    """With a pause between, said in words; each failed try is free; after the last one the job failed."""
    runner.fail_next("vendor.unavailable", retry=True)
    job = await submit(house)
    done = await ended(house, job)
    assert (done.state, done.attempts, done.cost) == (JobState.COMPLETED, 2, 420_500)
    for _ in range(3):
        runner.fail_next("vendor.unavailable", "The machine is away.", retry=True)
    failed = await ended(house, await submit(house))
    assert (failed.state, failed.attempts, failed.cost) == (JobState.FAILED, 3, 0)
    assert failed.error is not None
    assert failed.error["message"] == "The machine is away."


async def test_what_a_failing_device_used_is_not_charged(house: House, runner: MemoryRunner) -> None:
    """A machine that ran for a while and failed costs nothing, whatever its vendor counts."""
    runner.fail_next("job.device", "The cryostat is warm.", retry=True, used=0.5)
    done = await ended(house, await submit(house))
    assert (done.state, done.attempts, done.cost) == (JobState.COMPLETED, 2, 420_500)


async def test_while_it_waits_for_another_try_it_says_so(settings: Settings) -> None:
    """The reason is the fault that may pass, not a budget."""
    async with running(settings, retry_s=60.0) as house, house.runner() as runner:
        runner.fail_next("vendor.unavailable", retry=True)
        job = await submit(house)

        async def waits() -> bool:
            wait = (await house.pipeline.job(ADA, job.id)).wait
            return wait is not None and wait.reason == "wait.retry"

        await until(waits)
        wait = (await house.pipeline.job(ADA, job.id)).wait
        assert wait is not None
        assert wait.words is not None
        assert wait.words.startswith("fake_torino could not run this just now; it is tried again by itself")


async def test_what_the_user_caused_is_not_tried_again(house: House, runner: MemoryRunner) -> None:
    """Whatever a runner says about it."""
    runner.fail_next("job.memory", retry=True)
    failed = await submit(house, wait_s=5, fallback=["fake_fez"])
    assert (failed.state, failed.attempts, failed.moved_from) == (JobState.FAILED, 1, [])


async def test_a_device_that_fails_for_good_is_left(house: House, runner: MemoryRunner) -> None:
    """The job is validated, priced and held anew on the next device that takes it, and says where it comes from."""
    runner.fail_next("vendor.broken")
    job = await submit(house, fallback=["fake_fez"])
    done = await ended(house, job)
    assert (done.state, done.device, done.moved_from, done.fallback) == (
        JobState.COMPLETED,
        "fake_fez",
        ["fake_torino"],
        [],
    )
    assert (done.cost, done.attempts, done.executable == job.executable) == (420_500, 2, False)
    events = (await house.pipeline.provenance(ADA, job.id)).events
    (moved,) = [event["data"] for event in events if event["data"].get("code") == "job.moved"]
    assert (moved["from_device"], moved["device"], moved["why"]) == ("fake_torino", "fake_fez", "vendor.broken")


async def test_a_device_that_starts_nothing_is_left_after_the_owners_time(house: House, runner: MemoryRunner) -> None:
    """Paused for longer than the job may wait: it moves. Without a device to move to, it waits."""
    await house.pipeline.act_on_device(OTTO, "fake_torino", DeviceAction(action="isolate", reason="noise"))
    stays = await submit(house)
    moves = await submit(house, fallback=["campus_qpu", "fake_fez"], fallback_after=0.3)
    done = await ended(house, moves)
    assert (done.device, done.moved_from) == ("fake_fez", ["fake_torino"])  # the first one is dearer than the hold
    assert (await house.pipeline.job(ADA, stays.id)).state is JobState.QUEUED


async def test_an_approval_does_not_move_with_the_job(house: House, runner: MemoryRunner) -> None:
    """A device for which policy wants a person asks one, once; the hold is that device's then."""
    runner.fail_next("vendor.broken")
    job = await submit(house, fallback=["campus_qpu"], max_price=20 * CREDIT)

    async def asked() -> JobView | None:
        now = await house.pipeline.job(ADA, job.id)
        return now if now.state is JobState.AWAITING_APPROVAL else None

    asks: JobView = await until(asked)
    assert (asks.device, asks.on_hold) == ("campus_qpu", asks.price_at_most)
    (wanted,) = (await house.pipeline.approvals(GRACE)).approvals
    assert wanted.words.startswith("It was meant for fake_torino, and moves as its owner allowed.")
    await house.pipeline.decide(GRACE, wanted.id, ApprovalDecision(verdict="approve"))
    assert (await ended(house, job)).state is JobState.COMPLETED


async def test_where_no_device_takes_it_the_job_fails_and_says_why(house: House, runner: MemoryRunner) -> None:
    """A dearer device needs a max_price; the first device's own words come first."""
    runner.fail_next("vendor.broken", "The fridge is warm.")
    failed = await ended(house, await submit(house, fallback=["campus_qpu"]))
    assert (failed.state, failed.cost, failed.on_hold) == (JobState.FAILED, 0, 0)
    assert failed.error is not None
    assert failed.error["message"].startswith("The fridge is warm. No other device takes it. campus_qpu may cost ")


async def test_options_that_the_other_device_lacks_keep_a_job(house: House, runner: MemoryRunner) -> None:
    """Sent options are checked against each device; defaults that the first one filled in are not sent options."""
    bare = announcement(
        "fake_fez",
        DeviceKind.EMULATOR,
        options={"run": {"type": "object", "properties": {"shots": {}}, "additionalProperties": False}},
    )
    await runner.announce(bare)
    runner.fail_next("vendor.broken")
    done = await ended(house, await submit(house, fallback=["fake_fez"]))  # the seed was the first device's default
    assert (done.state, done.device) == (JobState.COMPLETED, "fake_fez")
    runner.fail_next("vendor.broken")
    kept = await ended(house, await submit(house, fallback=["fake_fez"], options={"seed_simulator": 7}))
    assert (kept.state, kept.device) == (JobState.FAILED, "fake_torino")


async def test_a_drained_device_is_passed_over_at_once(house: House, runner: MemoryRunner) -> None:
    """Intake looks for the first device that takes jobs; unknown and repeated devices are refused."""
    await house.pipeline.act_on_device(OTTO, "fake_torino", DeviceAction(action="drain"))
    done = await submit(house, wait_s=5, fallback=["fake_fez"])
    assert (done.state, done.device, done.moved_from) == (JobState.COMPLETED, "fake_fez", ["fake_torino"])
    with pytest.raises(NotFound):
        await submit(house, fallback=["fake_nowhere"])
    with pytest.raises(InputError):
        await submit(house, fallback=["fake_torino"])


async def test_a_restart_while_it_looks_for_another_device(settings: Settings) -> None:
    """What left its device and found no other one yet goes on looking in the service's next life."""
    house = House(settings)
    await house.open()
    only = announcement("fake_torino", DeviceKind.EMULATOR)
    async with house.runner(only) as runner:
        await MemoryRunner(house.pipeline, [announcement("fake_fez", DeviceKind.EMULATOR)], name="run_gone").announce()
        await house.pipeline.runner_lost("run_gone")
        runner.fail_next("vendor.broken")
        job = await submit(house, fallback=["fake_fez"])

        async def left() -> bool:
            wait = (await house.pipeline.job(ADA, job.id)).wait
            return wait is not None and wait.reason == "wait.moving"

        await until(left)
    await house.close()
    await house.open()
    async with house.runner(announcement("fake_fez", DeviceKind.EMULATOR)):
        assert (await ended(house, job)).device == "fake_fez"
    await house.close()


async def validates_again(house: House, **fields: Any) -> tuple[JobView, MemoryRunner]:
    """Ada's job that waits to be validated again for its device's new calibration, and a runner that never does it."""
    await house.pipeline.act_on_device(OTTO, "fake_torino", DeviceAction(action="pause"))
    job = await submit(house, **fields)
    await house.pipeline.runner_lost("run_torino")
    mute = MemoryRunner(house.pipeline, [announcement("fake_torino", DeviceKind.EMULATOR, epoch=2)], slots=0)
    await mute.__aenter__()
    await house.pipeline.act_on_device(OTTO, "fake_torino", DeviceAction(action="resume"))

    async def again() -> bool:
        return (await house.pipeline.job(ADA, job.id)).state is JobState.VALIDATED

    await until(again)
    return job, mute


async def test_a_device_that_goes_down_while_a_job_is_validated_again_is_left(house: House) -> None:
    """The job waits in the queue again, as long as its owner said from when it first did; then it moves, and runs."""
    torino, fez = (announcement(name, DeviceKind.EMULATOR) for name in ("fake_torino", "fake_fez"))
    async with house.runner(torino, name="run_torino"), house.runner(fez):
        job, mute = await validates_again(house, fallback=["fake_fez"], fallback_after=0.3)
        await mute.die()
        await house.pipeline.runner_lost(mute.name)
        done = await ended(house, job)
    assert (done.state, done.device, done.moved_from, done.cost) == (
        JobState.COMPLETED,
        "fake_fez",
        ["fake_torino"],
        420_500,
    )
    told = [event["data"].get("code") for event in (await house.pipeline.provenance(ADA, job.id)).events]
    assert told.index("promise.stale") < told.index("device.offline") < told.index("job.moved")


async def test_a_device_that_comes_back_after_it_went_down_gets_its_job(house: House) -> None:
    """Without another device the job waits for its own, says why, and is validated again before it runs there."""
    torino = announcement("fake_torino", DeviceKind.EMULATOR)
    async with house.runner(torino, name="run_torino"):
        job, mute = await validates_again(house)
        await mute.die()
        await house.pipeline.runner_lost(mute.name)

        async def waits() -> str | None:
            now = await house.pipeline.job(ADA, job.id)
            return now.wait.words if now.state is JobState.QUEUED and now.wait is not None else None

        assert "does not answer at the moment" in await until(waits)
    async with house.runner(announcement("fake_torino", DeviceKind.EMULATOR, epoch=2)) as back:
        done = await ended(house, job)
    assert (done.state, done.attempts, back.executed) == (JobState.COMPLETED, 1, [f"{job.id}-1"])
    assert done.executable != job.executable
