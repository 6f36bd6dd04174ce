"""Stories of what a run costs that gave a part of its result, or none: real rows, real ledger, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.core.tenancy import QuotaSpec
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import announcement
from jupyter_quantum.testing.vendor import MemoryVendor
from jupyter_quantum.wire.jobs import JobView, Pub

from .conftest import ADA, COURSE, OTHER, OTTO, House, running
from .conftest import request as asked
from .test_pipeline_recovery import at_vendor, ended, seen

TASK, SHOT, SECOND = 20_000, 400, 500
"""Prices on fake_torino, micro-credits."""
QUOTAS = [QuotaSpec("user", 10**6, "shots"), QuotaSpec("user", 10**9, "simulator_seconds")]


@pytest.fixture(params=["sqlite", "postgresql"])
async def house(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[House]:
    """A service on each database, with budgets of shots and of time on simulators."""
    changes: dict[str, Any] = {"projects": {"qcourse": replace(COURSE, quotas=QUOTAS), "lab": OTHER}, "max_attempts": 1}
    if request.param == "postgresql":
        changes["db_url"] = request.getfixturevalue("postgres").migrated()
    async with running(settings, **changes) as made:
        yield made


async def run(house: House, device: str = "fake_torino", pubs: int = 0, **fields: Any) -> JobView:
    """Ada's job to its end: a sampler of so many PUBs of 1 000 shots, or a run; the books are right then."""
    if pubs:
        fields |= {"kind": JobKind.SAMPLER, "pubs": [Pub(circuit=0, shots=1000)] * pubs}
    return await ended(house, await house.pipeline.submit(ADA, asked(device, **fields), key=None, wait_s=0))


async def used(house: House) -> dict[str, int]:
    """What Ada has used of each of her budgets; nothing is on hold."""
    quota = await house.pipeline.quota(ADA)
    found = [meter for meter in (*quota.meters, *quota.others) if meter.scope == "user"]
    assert [meter.held for meter in found] == [0] * len(found)
    return {meter.unit: meter.used for meter in found}


async def charge(house: House, job: JobView) -> dict[str, Any]:
    """What the provenance says that the last attempt was charged for."""
    found: dict[str, Any] = (await house.pipeline.provenance(ADA, job.id)).attempts[-1]["charge"]
    return found


@pytest.mark.parametrize(("counts", "seconds"), [(2.0, 4.0), (None, 2.0)])
async def test_only_what_came_is_charged(house: House, counts: float | None, seconds: float) -> None:
    """Two of three PUBs: their circuits, shots and seconds (the vendor's where it tells); the rest is given back."""
    vendor = MemoryVendor()
    vendor.lacks, vendor.counts = frozenset({1}), counts
    async with house.runner(at_vendor("searchable"), vendor=vendor):
        job = await run(house, pubs=3)
    cost = 2 * TASK + 2000 * SHOT + int(seconds * SECOND)
    assert (job.state, job.cost, job.on_hold, job.marks) == (JobState.COMPLETED, cost, 0, ["partial"])
    assert await used(house) == {"credits": cost, "shots": 2000, "simulator_seconds": int(seconds * 1000)}
    told = await charge(house, job)
    assert (told["end"], told["missing"]) == ("answered", [1])
    assert told["priced"] == told["counted"] == {"tasks": 2, "executions": 2000, "seconds": seconds}
    assert [(one["answered"], one["vendor_s"], one["why"]) for one in told["parts"]] == [
        (True, counts, ""),
        (False, counts, "the readout was lost"),
        (True, counts, ""),
    ]
    event = (await house.pipeline.provenance(ADA, job.id)).events[-1]["data"]
    assert (event["missing"], event["charged_for"]["executions"]) == ([1], 2000)
    own = {one["kind"]: one["amount"] for one in event["entries"] if one["account"].startswith("credits/user/")}
    assert job.price_at_most is not None
    assert own == {"settle": cost, "release": job.price_at_most - cost}  # with the move, in one transaction


async def test_all_that_came_costs_what_it_did(house: House) -> None:
    """A whole result of several PUBs costs all of them, and says that nothing is missing."""
    async with house.runner(at_vendor("searchable")):
        job = await run(house, pubs=3)
    assert (job.cost, job.marks) == (3 * TASK + 3000 * SHOT + SECOND, [])
    assert (await charge(house, job))["missing"] == []


async def test_a_part_never_costs_more_than_the_hold(house: House) -> None:
    """A vendor that counts more than was agreed to for the part that it gave is paid the hold, as for a whole."""
    vendor = MemoryVendor()
    vendor.lacks, vendor.counts = frozenset({0, 2}), 1e6
    async with house.runner(at_vendor("searchable"), vendor=vendor):
        job = await run(house, pubs=3)
    assert job.cost == job.price_at_most
    assert (await charge(house, job))["priced"]["seconds"] == 1e6


async def test_a_result_of_which_nothing_came_is_none(house: House) -> None:
    """Every PUB missing: the job failed, and nothing is charged."""
    vendor = MemoryVendor()
    vendor.lacks, vendor.counts = frozenset({0, 1}), 3.0
    async with house.runner(at_vendor("searchable"), vendor=vendor):
        job = await run(house, pubs=2)
    assert (job.state, job.cost) == (JobState.FAILED, 0)
    assert job.error is not None
    assert (job.error["code"], job.error["hint"]) == ("result.shape", "Not charged.")
    assert await used(house) == {"credits": 0, "shots": 0, "simulator_seconds": 0}


async def test_the_difference_says_which_seconds_were_charged(house: House) -> None:
    """An operator sees the vendor's count, ours, and how much of it was paid for."""
    vendor = MemoryVendor()
    vendor.lacks, vendor.counts = frozenset({1}), 5.0
    async with house.runner(at_vendor("searchable"), vendor=vendor):
        await run(house, pubs=2)
    (found,) = (await house.pipeline.resolving.differences(OTTO)).differences
    assert found.words == "The vendor counted 10 s, we 2 s; 5 s were charged."


@pytest.mark.parametrize("code", ["job.time", "job.memory"])
@pytest.mark.parametrize("device", ["fake_torino", "aer"])
async def test_a_worker_that_is_killed_costs_no_credits(house: House, code: str, device: str) -> None:
    """At a limit of a simulator nothing is paid for; its seconds count as time on simulators, and the job says so."""
    async with house.runner() as runner:
        runner.fail_next(code, used=12.0)
        job = await run(house, device)
    assert (job.state, job.cost, job.on_hold) == (JobState.FAILED, 0, 0)
    assert await used(house) == {"credits": 0, "shots": 0, "simulator_seconds": 12_000}
    assert job.error is not None
    assert job.error["hint"] == "Not charged; 12 s of use count in budgets of time."
    told = await charge(house, job)
    assert (told["priced"]["seconds"], told["counted"]["seconds"]) == (0.0, 12.0)


async def test_a_worker_that_crashes_costs_nothing_at_all(house: House) -> None:
    """Whatever its runner says that it used: that is nobody's but ours."""
    async with house.runner() as runner:
        runner.fail_next("job.crash", used=12.0)
        job = await run(house)
    assert (job.state, job.cost) == (JobState.FAILED, 0)
    assert await used(house) == {"credits": 0, "shots": 0, "simulator_seconds": 0}
    assert job.error is not None
    assert job.error["hint"] == "Not charged."


async def test_a_machine_that_others_count_is_paid_for_what_it_used(house: House) -> None:
    """Stopped at its limit of time there, a run costs what was used, and says how much."""
    opaque = announcement("fake_torino", DeviceKind.EMULATOR, recovery="opaque")
    async with house.runner(opaque) as runner:
        runner.fail_next("job.time", used=2.0)
        job = await run(house)
        assert job.cost == TASK + 1000 * SHOT + 2 * SECOND
        assert job.error is not None
        assert job.error["hint"] == "Charged: 0.43 credits, for what was used."
        runner.fail_next("job.memory", used=2.0)
        assert (await run(house)).cost == 0


async def test_a_simulation_that_is_taken_back_has_used_its_seconds(house: House) -> None:
    """No credits and no shots, but the time until then."""
    async with house.runner() as runner:
        runner.hold()
        job = await house.pipeline.submit(ADA, asked("fake_torino"), key=None, wait_s=0)
        await seen(house, job, lambda now: now.state is JobState.RUNNING)
        await house.pipeline.cancel(ADA, job.id)
        done = await ended(house, job)
        runner.go()
    assert (done.state, done.cost) == (JobState.CANCELLED, 0)
    spent = await used(house)
    assert (spent["credits"], spent["shots"], spent["simulator_seconds"] > 0) == (0, 0, True)
    assert (await charge(house, done))["end"] == "taken_back"
