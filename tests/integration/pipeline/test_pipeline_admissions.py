"""Devices that runners announce appear once an operator has admitted them, as they were then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.settings import RunnerSpec
from jupyter_quantum.store.rows import EventRow
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.devices import AdmissionDecision, AdmissionView
from jupyter_quantum.wire.jobs import JobRequest
from tests.integration.pipeline.conftest import ADA, COURSE, GRACE, OTTO, POLICIES, PRICES, Groups, House

FAR = announcement("far_emu", DeviceKind.EMULATOR, region="eu")
ADMIT = AdmissionDecision(verdict="admit", per_shot=100, label="far away", max_seconds=7.0)
REJECT = AdmissionDecision(verdict="reject", note="Not ours.")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = Settings(
        data_dir=tmp_path,
        db_url=f"sqlite:///{tmp_path}/quantum.sqlite",
        policies=POLICIES,
        projects={"qcourse": COURSE},
        prices=PRICES,
        runners={"far": RunnerSpec(("*",)), "other": RunnerSpec(("*",))},
        secret=b"0" * 32,
    )
    found = House(settings, Groups())
    await found.open()
    yield found
    await found.close()


def far(house: House, *devices: object, name: str = "far/one") -> MemoryRunner:
    """A runner on another machine."""
    return house.runner(*(devices or (FAR,)), name=name)


def job(device: str = "far_emu") -> JobRequest:
    return JobRequest(device=device, circuits=CircuitBundle(format="qpy", data=b"n=2"), options={"shots": 100})


async def pending(house: House) -> list[AdmissionView]:
    found = (await house.pipeline.admissions.list(OTTO)).admissions
    return [one for one in found if one.state == "pending"]


async def events(house: House, *types: str) -> list[EventRow]:
    """Events of these types, once all are numbered."""
    await house.pipeline._live.finish()
    rows = await house.store.read(lambda view: view.events(0, limit=1000))
    return [row for row in rows if row.type in types]


async def names(house: House) -> list[str]:
    return [device.name for device in (await house.pipeline.devices(ADA)).devices]


async def test_a_device_appears_once_it_is_admitted(house: House) -> None:
    """Pending for operators alone; admitted while its runner is there, it takes jobs at the operator's price."""
    async with far(house):
        assert await names(house) == []
        [new] = await pending(house)
        assert (new.device, new.runner, new.why, new.serving, new.num_qubits) == ("far_emu", "far", "new", True, 30)
        with pytest.raises(NotFound):
            await house.pipeline.submit(ADA, job(), key=None, wait_s=0)
        admitted = await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
        assert (admitted.state, admitted.decided_by) == ("admitted", "otto")
        [device] = (await house.pipeline.devices(ADA)).devices
        assert (device.name, device.label, device.price.per_shot) == ("far_emu", "far away", 100)
        assert house.pipeline._context.registry.get("far_emu").max_seconds == 7.0
        done = await house.pipeline.submit(ADA, job(), key=None, wait_s=5)
        assert (done.state, done.cost) == (JobState.COMPLETED, 10_000)


async def test_others_learn_nothing_of_what_waits(house: House) -> None:
    """Leads and users may neither list nor decide, and no event tells them: absent and pending are one answer."""
    async with far(house):
        for who in (ADA, GRACE):
            with pytest.raises(Refused) as listing:
                await house.pipeline.admissions.list(who)
            assert listing.value.code == "device.role"
            said = []
            for name in ("far_emu", "nothing"):
                with pytest.raises(Refused) as deciding:
                    await house.pipeline.admissions.decide(who, name, ADMIT)
                said.append(str(deciding.value))
            assert said[0] == said[1]
        people = house.pipeline._context.people
        told = await events(house, "device.pending", "device.changed")
        assert [row.type for row in told] == ["device.pending"]
        assert [people.sees_event(who, "", told[0]) for who in (ADA, GRACE, OTTO)] == [False, False, True]
        with pytest.raises(NotFound):
            await house.pipeline.admissions.decide(OTTO, "nothing", ADMIT)


async def test_a_device_that_changes_is_looked_at_again(house: House) -> None:
    """Another kind, region, size, runner or recovery, or dedicated sessions: offline, pending with what has changed,
    until it is admitted."""
    async with far(house):
        await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
    for changed, words in (
        (FAR.model_copy(update={"region": "us"}), "changed: region eu → us"),
        (
            FAR.model_copy(update={"num_qubits": 5, "target": {"num_qubits": 5}}),
            "changed: region us → eu, qubits 30 → 5",
        ),
        (FAR.model_copy(update={"recovery": "opaque"}), "changed: qubits 5 → 30, after a crash repeatable → opaque"),
        (
            FAR.model_copy(update={"kind": DeviceKind.QPU}),
            "changed: kind emulator → qpu, after a crash opaque → repeatable",
        ),
        (
            FAR.model_copy(update={"kind": DeviceKind.QPU, "sessions": {"session": "dedicated"}}),
            "changed: sessions – → dedicated",
        ),
        (FAR.model_copy(update={"kind": DeviceKind.QPU}), "changed: sessions dedicated → –"),
    ):
        async with far(house, changed):
            assert [one.why for one in await pending(house)] == [words]
            [device] = (await house.pipeline.devices(ADA)).devices
            assert device.state == "offline"
            await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
            assert (await house.pipeline.device(ADA, "far_emu")).state == "ready"
        await house.pipeline.runner_lost("far/one")
    async with far(house, changed, name="other/one"):
        assert [one.why for one in await pending(house)] == ["changed: runner far → other"]
    await house.pipeline.runner_lost("other/one")
    async with far(house, FAR.model_copy(update={"kind": DeviceKind.QPU, "max_shots": 5})):
        assert [one.why for one in await pending(house)] == ["changed: runner other → far"]


async def test_what_was_looked_at_is_what_is_admitted(house: House) -> None:
    """A decision that names a version is refused where the device was announced anew; twice is a conflict."""
    async with far(house):
        [seen] = await pending(house)
    async with far(house, FAR.model_copy(update={"region": "us"})):
        with pytest.raises(Conflict) as anew:
            await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT.model_copy(update={"version": seen.version}))
        assert anew.value.code == "device.changed"
        [now] = await pending(house)
        await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT.model_copy(update={"version": now.version}))
        with pytest.raises(Conflict) as again:
            await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
        assert again.value.code == "device.state"


async def test_an_admission_is_taken_back(house: House) -> None:
    """The device is gone for its users, jobs that wait are cancelled with the reason, and nothing stays on hold."""
    async with far(house) as runner:
        await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
        runner.hold()
        running = await house.pipeline.submit(ADA, job(), key=None, wait_s=0)
        waiting = await house.pipeline.submit(ADA, job(), key=None, wait_s=0)
        assert waiting.state is JobState.QUEUED
        after = await house.pipeline.admissions.decide(OTTO, "far_emu", REJECT)
        assert (after.state, after.note) == ("rejected", "Not ours.")
        assert await names(house) == []
        gone = await house.pipeline.job(ADA, waiting.id)
        assert (gone.state, gone.error["code"]) == (JobState.CANCELLED, "device.gone")
        runner.go()
        ended = await house.pipeline.job(ADA, running.id, wait_s=5, version=running.version)
        while ended.state not in (JobState.COMPLETED, JobState.FAILED):
            ended = await house.pipeline.job(ADA, running.id, wait_s=5, version=ended.version)
        assert ended.state is JobState.COMPLETED
        assert await pending(house) == []
    await house.ledger()


async def test_admissions_outlive_a_restart_and_are_in_the_record(house: House) -> None:
    """Admitted and rejected stay so; each word is an event with who, prices and reason, under a pseudonym."""
    near = announcement("near_emu", DeviceKind.EMULATOR, region="eu")
    async with far(house, FAR, near):
        await house.pipeline.admissions.decide(OTTO, "far_emu", ADMIT)
        await house.pipeline.admissions.decide(OTTO, "near_emu", REJECT)
    await house.close()
    await house.open()
    assert await names(house) == ["far_emu"]
    async with far(house, FAR, near):
        assert await names(house) == ["far_emu"]
        assert (await house.pipeline.device(ADA, "far_emu")).state == "ready"
        assert await pending(house) == []
    told = await events(house, "device.admitted", "device.rejected")
    assert [row.type for row in told] == ["device.admitted", "device.rejected"]
    assert json.loads(told[0].data["prices"])["per_shot"] == 100
    assert told[1].data["note"] == "Not ours."
    assert all(row.actor.startswith("ppl_") for row in told)


async def test_a_rejection_needs_a_reason(house: House) -> None:
    """Without one, or with blanks, nothing is decided and nothing is in the record."""
    async with far(house):
        for note in (None, " "):
            with pytest.raises(InputError) as silent:
                await house.pipeline.admissions.decide(OTTO, "far_emu", REJECT.model_copy(update={"note": note}))
            assert silent.value.code == "admission.note"
        assert [one.device for one in await pending(house)] == ["far_emu"]
        assert await events(house, "device.rejected") == []


async def test_the_configuration_admits_by_itself(house: House) -> None:
    """What it prices takes jobs at once, whoever announces it, and no operator's word changes that."""
    priced = announcement("fake_torino", DeviceKind.EMULATOR)
    async with far(house, priced):
        assert await names(house) == ["fake_torino"]
        with pytest.raises(Conflict) as configured:
            await house.pipeline.admissions.decide(OTTO, "fake_torino", REJECT)
        assert configured.value.code == "device.configured"
    async with far(house, announcement("far_aer")):
        assert [one.device for one in await pending(house)] == ["far_aer"]
    async with house.runner(announcement("aer")):
        assert "aer" in await names(house)


async def test_a_lead_of_nothing_admits_nothing(house: House) -> None:
    """The operator's role counts when the word is given, not when the page was shown."""
    former = replace(OTTO, groups=frozenset())
    async with far(house):
        with pytest.raises(Refused):
            await house.pipeline.admissions.decide(former, "far_emu", ADMIT)
        assert [one.device for one in await pending(house)] == ["far_emu"]
