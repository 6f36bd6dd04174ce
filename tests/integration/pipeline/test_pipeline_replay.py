"""Replays go through the door like any job; the record of a run is complete, and what it names is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, NotFound, OptionRejected, QuotaExceeded, Refused
from jupyter_quantum.pipeline.replays import replay_request
from jupyter_quantum.store.reads.keeping import KeepingReads
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import canonical, digest_of
from jupyter_quantum.wire.jobs import JobView, ReplayRequest
from tests.integration.pipeline.conftest import ADA, BEN, GRACE, LISE, House, request

HERE = ReplayRequest()


async def completed(house: House, device: str = "aer", **fields: Any) -> JobView:
    """A job of ada's that has run."""
    return await house.pipeline.submit(ADA, request(device, **fields), key=None, wait_s=10)


async def test_a_replay_is_a_job_of_the_same_work_that_names_the_first(house: House, runner: MemoryRunner) -> None:
    """Same source, options and seed; linked in the row and in the record; paid for like any job."""
    first = await completed(house, "fake_torino", options={"shots": 100, "seed_simulator": 7})
    again = await house.pipeline.replay(ADA, first.id, HERE, key=None, wait_s=10)
    assert (again.state, again.replay_of, again.source) == (JobState.COMPLETED, first.id, first.source)
    assert (again.options, again.cost) == (first.options, first.cost)
    assert again.id != first.id
    events = await house.store.read(lambda view: view.job_events(again.id))
    assert events[0].data["replay_of"] == first.id
    await house.ledger()


async def test_a_default_that_is_nothing_is_not_sent(house: House) -> None:
    """Options are stored with every default; one that is null there stands for itself."""
    nothing = {"shots": {"type": "integer", "minimum": 1}, "seed_simulator": {"type": "integer", "default": None}}
    device = announcement("aer", options={"run": {"type": "object", "properties": nothing}})
    async with house.runner(device):
        first = await completed(house, options={"shots": 10})
        row = await house.store.read(lambda view: view.job(first.id))
        stored = replace(row, options=json.dumps({**json.loads(row.options), "seed_simulator": None}))
        circuits, pubs = await house.pipeline.source(ADA, first.id)
        sent = replay_request(stored, circuits, pubs, HERE, house.pipeline._context.registry)
    assert sent.options == {"shots": 10}


async def test_a_replay_with_a_key_is_made_once(house: House, runner: MemoryRunner) -> None:
    """The same key gives the first replay; for another job it is a mismatch."""
    first, other = await completed(house), await completed(house)
    one = await house.pipeline.replay(ADA, first.id, HERE, key="k", wait_s=10)
    assert (await house.pipeline.replay(ADA, first.id, HERE, key="k", wait_s=10)).id == one.id
    with pytest.raises(Conflict) as caught:
        await house.pipeline.replay(ADA, other.id, HERE, key="k", wait_s=10)
    assert caught.value.code == "idempotency.mismatch"


async def test_a_replay_passes_policy_price_and_quota(house: House, runner: MemoryRunner) -> None:
    """On dearer hardware it asks for approval, a cap refuses it, and so does an empty budget."""
    first = await completed(house)
    asked = await house.pipeline.replay(ADA, first.id, ReplayRequest(device="campus_qpu"), key=None, wait_s=0)
    assert asked.state is JobState.AWAITING_APPROVAL
    with pytest.raises(Refused) as caught:
        await house.pipeline.replay(ADA, first.id, ReplayRequest(device="fake_torino", max_price=1), key=None, wait_s=0)
    assert caught.value.code == "price.cap"
    dear = await completed(house, options={"shots": 9_000})
    with pytest.raises(QuotaExceeded):
        await house.pipeline.replay(ADA, dear.id, ReplayRequest(device="campus_qpu"), key=None, wait_s=0)


async def test_only_who_may_see_a_job_replays_it(house: House, runner: MemoryRunner) -> None:
    """A lead's replay is the lead's job; for others the job is absent."""
    first = await completed(house)
    mine = await house.pipeline.replay(GRACE, first.id, HERE, key=None, wait_s=10)
    assert (mine.owner, mine.replay_of) == ("grace", first.id)
    for stranger in (BEN, LISE):
        with pytest.raises(NotFound):
            await house.pipeline.replay(stranger, first.id, HERE, key=None, wait_s=0)


async def test_what_has_no_result_is_not_replayed(house: House, runner: MemoryRunner) -> None:
    """A failed job, and one whose circuits were deleted."""
    runner.fail_next("worker.failed")
    failed = await completed(house)
    with pytest.raises(Conflict) as caught:
        await house.pipeline.replay(ADA, failed.id, HERE, key=None, wait_s=0)
    assert caught.value.code == "replay.unfinished"
    first = await completed(house)
    await house.pipeline.data.retention.archive(ADA, first.id)
    with pytest.raises(Conflict) as caught:
        await house.pipeline.replay(ADA, first.id, HERE, key=None, wait_s=0)
    assert caught.value.code == "job.archived"


async def test_options_that_nobody_chose_stay_behind_on_another_device(house: House) -> None:
    """A seed of a simulator is left out where the device has none; what was chosen is sent, and refused by name."""
    shots = {"shots": {"type": "integer", "minimum": 1}}
    bare = announcement("fake_fez", options={"run": {"type": "object", "properties": shots}})
    async with house.runner(announcement("aer"), bare):
        first = await completed(house, options={"shots": 10, "seed_simulator": 3})
        there = await house.pipeline.replay(ADA, first.id, ReplayRequest(device="fake_fez"), key=None, wait_s=10)
        assert there.state is JobState.COMPLETED
        chosen = await completed(house, options={"shots": 10, "memory": True})
        with pytest.raises(OptionRejected, match="memory"):
            await house.pipeline.replay(ADA, chosen.id, ReplayRequest(device="fake_fez"), key=None, wait_s=0)


async def test_the_record_of_a_run_is_complete(house: House, runner: MemoryRunner) -> None:
    """Estimate beside what came of it, how it was transpiled, who approved; digests in the record fit the bytes."""
    first = await completed(house, "fake_torino", shots=100)
    found = await house.pipeline.provenance(ADA, first.id)
    assert found.estimate["success"]["value"] == pytest.approx(0.95)
    assert found.estimate["price_at_most"] == first.price_at_most
    assert found.actual == {"seconds": first.seconds, "cost": first.cost}
    assert found.transpile["mode"] == "auto"
    row = await house.store.read(lambda view: view.job(first.id))
    said: dict[str, Any] = {}
    for event in found.events:
        said |= event["data"]
    assert said["source"] == first.source
    assert said["executable"] == first.executable
    assert said["options"] == digest_of(row.options.encode())
    assert said["prepared"] == digest_of((row.prepared or "").encode())
    assert said["decision"]["digest"] == digest_of((row.decision or "").encode())


async def test_the_calibration_stays_with_the_job(house: House, runner: MemoryRunner) -> None:
    """After the device was calibrated anew, the job still has its own; its document is never swept."""
    old = announcement("fake_torino", runner._devices["fake_torino"].kind, target={"num_qubits": 30, "epoch": 1})
    await runner.announce(old)
    first = await completed(house, "fake_torino", shots=10)
    fresh = announcement("fake_torino", old.kind, epoch=2, target={"num_qubits": 30, "epoch": 2})
    await runner.announce(fresh)
    second = await completed(house, "fake_torino", shots=10)
    kept = await house.store.read(lambda view: _kept(view))
    for job, device in ((first, old), (second, fresh)):
        reference, target = await house.pipeline.calibration(ADA, job.id)
        found = await house.pipeline.provenance(ADA, job.id)
        assert (reference.digest, target) == (device.calibration.digest, device.target)
        assert found.snapshot == digest_of(canonical(device.target))
        assert ("service", found.snapshot) in kept
    refused = replace(await house.store.read(lambda view: view.job(first.id)), snapshot=None)
    with pytest.raises(Conflict) as caught:
        await house.pipeline.data.provenances.calibration(refused)
    assert caught.value.code == "job.calibration"


def _kept(view: Any) -> set[tuple[str, str]]:
    """Everything that the sweep must leave alone."""
    return {(str(row[0]), str(row[1])) for query in KeepingReads._references(None) for row in view.query(query)}


async def test_a_replay_is_told_to_listeners(house: House, runner: MemoryRunner) -> None:
    """The view in the list of jobs says what it is a replay of."""
    first = await completed(house)
    again = await house.pipeline.replay(ADA, first.id, HERE, key=None, wait_s=10)
    listed = (await house.pipeline.jobs(ADA)).jobs
    assert {one.id: one.replay_of for one in listed} == {first.id: None, again.id: first.id}
    assert json.loads(again.model_dump_json())["replay_of"] == first.id


async def test_one_id_goes_from_the_answer_to_the_device_and_back(house: House, runner: MemoryRunner) -> None:
    """The job's id is in the tag that the device is told, in every entry of the record, in provenance and bundle."""
    first = await completed(house)
    assert runner.executed[-1] == f"{first.id}-1"
    found = await house.pipeline.provenance(ADA, first.id)
    assert (found.id, [one["tag"] for one in found.attempts]) == (first.id, [f"{first.id}-1"])
    events = await house.store.read(lambda view: view.job_events(first.id))
    assert {event.job for event in events} == {first.id}
    row = await house.store.read(lambda view: view.job(first.id))
    files = await house.pipeline.data.exports._dossier.collect(row, ["inputs", "results"])
    assert first.id.encode() in files["CITATION.cff"]
    assert json.loads(files["job.json"])["id"] == first.id
