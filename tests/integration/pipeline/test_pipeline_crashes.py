"""Stories of crashes: the service, a runner or a worker ends at the worst moment."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.exceptions import Conflict, InputError, Unavailable
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.jobs import JobRequest, JobView
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.runner import LeaseRequest, TaskReport

from .conftest import ADA, BEN, DEVICES, GRACE, Groups, House, request, running, until

OPAQUE = (announcement("aer"), announcement("campus_qpu", DeviceKind.QPU, recovery="opaque"))


async def ended(house: House, job_id: str) -> JobView:
    """Ada's job once it is final."""

    async def final() -> JobView | None:
        job = await house.pipeline.job(ADA, job_id)
        return job if job.ended is not None else None

    found: JobView = await until(final, 10.0)
    await house.ledger()
    return found


async def state(house: House, job_id: str) -> JobState:
    """Where Ada's job is."""
    return (await house.pipeline.job(ADA, job_id)).state


async def test_a_restart_loses_nothing_and_charges_once(settings: Settings) -> None:
    """Killed with jobs running, queued and awaiting approval: each ends once, in the next life."""
    house = House(settings)
    await house.open()
    runner = house.runner()
    async with runner:
        runner.hold()
        first = await house.pipeline.submit(ADA, request("fake_torino"), key="a", wait_s=0)
        waits = await house.pipeline.submit(ADA, request("fake_torino"), key="b", wait_s=0)
        asks = await house.pipeline.submit(ADA, request("campus_qpu"), key="c", wait_s=0)
        await until(lambda: runner.executed)
    await house.close()
    await house.open()
    async with house.runner() as fresh:
        for job in (first, waits):
            done = await ended(house, job.id)
            assert (done.state, done.cost) == (JobState.COMPLETED, 420_500)
        assert fresh.executed == [f"{first.id}-2", f"{waits.id}-1"]
        assert (await house.pipeline.submit(ADA, request("fake_torino"), key="a", wait_s=0)).id == first.id
        assert await state(house, asks.id) is JobState.AWAITING_APPROVAL
        attempts = (await house.pipeline.provenance(ADA, first.id)).attempts
        assert [(one["state"], one["cost"]) for one in attempts] == [("failed", 0), ("completed", 420_500)]
        meters = (await house.pipeline.quota(ADA)).meters
        assert {(meter.used, meter.held) for meter in meters} == {(841_000, 6_580_000)}
    await house.close()


@pytest.mark.parametrize("delay_ms", [0, 1, 2, 4, 6, 9, 15, 30])
async def test_a_kill_at_any_moment(settings: Settings, delay_ms: int) -> None:
    """Whenever it is killed: with the same keys every job ends once, is charged once, and the ledger is right."""
    house = House(settings)
    await house.open()
    keys = [f"k{number}" for number in range(5)]
    async with house.runner():
        asked = [house.pipeline.submit(ADA, request("fake_torino"), key=key, wait_s=5) for key in keys]
        sent = [asyncio.ensure_future(one) for one in asked]
        await asyncio.sleep(delay_ms / 1000)
        await house.close()
        for one in sent:
            one.cancel()
        await asyncio.gather(*sent, return_exceptions=True)
    await house.open()
    async with house.runner():
        again = [house.pipeline.submit(ADA, request("fake_torino"), key=key, wait_s=10) for key in keys]
        jobs = await asyncio.gather(*again)
        assert [(job.state, job.cost, job.on_hold) for job in jobs] == [(JobState.COMPLETED, 420_500, 0)] * 5
        assert len((await house.pipeline.jobs(ADA)).jobs) == 5
        assert {meter.used for meter in (await house.pipeline.quota(ADA)).meters} == {5 * 420_500}
        await house.ledger()
    await house.close()


async def test_a_draft_of_before_goes_on(settings: Settings) -> None:
    """Killed while it was validated: its sender comes again with the same key and gets the one job."""
    house = House(settings)
    await house.open()
    async with house.runner(slots=0):
        asked = asyncio.create_task(house.pipeline.submit(ADA, request(), key="k", wait_s=5))
        await until(lambda: drafts(house))
        (draft,) = await drafts(house)
        await house.close()
        asked.cancel()
    await house.open()
    async with house.runner() as fresh:
        again = await house.pipeline.submit(ADA, request(), key="k", wait_s=5)
        assert (again.id, again.state) == (draft.id, JobState.COMPLETED)
        assert fresh.executed == [f"{draft.id}-1"]
    await house.close()


async def test_a_draft_of_before_keeps_what_its_report_promised(settings: Settings) -> None:
    """Its price rose while the service was away: it does not run for more than the report said."""
    house = House(settings)
    await house.open()
    async with house.runner() as runner:
        report = await house.pipeline.report(ADA, ReportRequest(circuits=request().circuits, options={"shots": 1000}))
        await house.pipeline.runner_lost(runner.name)
    async with house.runner(slots=0):
        asked = JobRequest(device="fake_torino", report=report.id)
        sent = asyncio.create_task(house.pipeline.submit(ADA, asked, key="k", wait_s=5))
        await until(lambda: drafts(house))
        await house.close()
        sent.cancel()
    dearer = {name: replace(prices, per_shot=2 * prices.per_shot) for name, prices in settings.prices.items()}
    house.settings = replace(settings, prices=dearer)
    await house.open()
    async with house.runner() as fresh:
        with pytest.raises(Conflict, match=r"may cost 0.85 credits now \(was 0.45\)"):
            await house.pipeline.submit(ADA, asked, key="k", wait_s=5)
        assert fresh.executed == []
    await house.close()


async def drafts(house: House) -> list[JobView]:
    """Ada's drafts."""
    return (await house.pipeline.jobs(ADA, states={JobState.DRAFT})).jobs


async def test_a_lost_runner_costs_an_attempt_and_three_end_the_job(house: House) -> None:
    """Repeatable devices try again, a bounded number of times; then it failed, uncharged."""
    job: JobView | None = None
    for number in (1, 2, 3):
        async with house.runner() as runner:
            runner.hold()
            if job is None:
                job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
            tag = f"{job.id}-{number}"
            await until(lambda runner=runner, tag=tag: tag in runner.executed)
        await house.pipeline.runner_lost(runner.name)
    assert job is not None
    done = await ended(house, job.id)
    assert (done.state, done.attempts, done.cost, done.on_hold) == (JobState.FAILED, 3, 0, 0)
    assert done.error is not None
    assert done.error["code"] == "runner.lost"


async def test_a_lease_that_runs_out_is_reconciled(settings: Settings) -> None:
    """A runner that says nothing any more loses its work, and its late report changes nothing."""
    async with running(settings, lease_s=0.3) as house:
        silent = house.runner(name="run_silent")
        await silent.announce()
        submitted = asyncio.create_task(house.pipeline.submit(ADA, request("aer"), key=None, wait_s=10))
        leased = await house.pipeline.lease(LeaseRequest(runner="run_silent", slots=1, wait_s=5))
        await asyncio.sleep(0.5)
        async with house.runner():
            job = await submitted
            assert job.state is JobState.COMPLETED
        (task,) = leased.tasks
        late = TaskReport(runner="run_silent", fence=task.fence, state="failed")
        with pytest.raises(Conflict) as caught:
            await house.pipeline.report_task(task.id, late)
        assert caught.value.code == "fence"


async def test_what_may_have_run_is_never_run_twice(settings: Settings) -> None:
    """On hardware that cannot tell, the attempt is unknown, the job stays running and says so, also after a restart."""
    house = House(settings)
    await house.open()
    runner = house.runner(*OPAQUE)
    async with runner:
        runner.hold()
        job = await house.pipeline.submit(ADA, request("campus_qpu", 100), key=None, wait_s=0)
        await until(lambda: runner.executed)
    await house.pipeline.runner_lost(runner.name)
    await house.close()
    await house.open()
    async with house.runner(*OPAQUE) as fresh:
        await asyncio.sleep(0.1)
        now = await house.pipeline.job(ADA, job.id)
        assert (now.state, now.on_hold) == (JobState.RUNNING, job.on_hold)
        assert now.error is not None
        assert now.error["message"].startswith("We cannot tell whether campus_qpu ran this.")
        assert fresh.executed == []
        await house.ledger()
    await house.close()


async def test_a_worker_that_crashes_fails_the_job_uncharged(house: House, runner: MemoryRunner) -> None:
    """The code of the crash reaches the user, the hold is released, the next job runs."""
    runner.fail_next("worker.memory", "The run reached its 4 GB memory limit and was stopped.")
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)
    assert (job.state, job.cost, job.on_hold) == (JobState.FAILED, 0, 0)
    assert job.error is not None
    assert job.error["code"] == "worker.memory"
    assert (await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)).state is JobState.COMPLETED
    await house.ledger()


async def test_a_late_report_after_a_cancel_changes_nothing(house: House, runner: MemoryRunner) -> None:
    """Cancelled is final, whatever the device says then."""
    runner.hold()
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    await until(lambda: runner.executed)
    cancelled, _ = await asyncio.gather(house.pipeline.cancel(ADA, job.id), asyncio.to_thread(lambda: None))
    runner.go()
    await asyncio.sleep(0.2)
    assert (await house.pipeline.job(ADA, job.id)).version == cancelled.version
    await house.ledger()


async def test_a_new_calibration_validates_again_by_itself(house: House, runner: MemoryRunner) -> None:
    """A queued job is prepared for the new calibration, keeps its hold, and runs what was prepared then."""
    runner.hold()
    first = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    waits = await house.pipeline.submit(BEN, request("fake_torino"), key=None, wait_s=0)
    await runner.announce(announcement("fake_torino", DeviceKind.EMULATOR, epoch=2))
    runner.go()
    await ended(house, first.id)

    async def done() -> JobView | None:
        job = await house.pipeline.job(BEN, waits.id)
        return job if job.ended is not None else None

    job: JobView = await until(done)
    assert job.state is JobState.COMPLETED
    assert job.executable != waits.executable
    moves = [e["data"].get("to") for e in (await house.pipeline.provenance(BEN, waits.id)).events]
    assert moves == ["draft", "validated", "queued", "validated", "queued", "scheduled", "running", "completed"]
    await house.ledger()


async def test_a_job_from_a_report_is_what_was_validated(house: House, runner: MemoryRunner) -> None:
    """Same circuits and options or none; another circuit is a conflict; a foreign report does not exist."""
    asked = ReportRequest(circuits=request().circuits, options={"shots": 1000}, name="bell")
    report = await house.pipeline.report(ADA, asked)
    rows = {row.device: row for row in report.rows}
    assert list(rows) == ["aer", "fake_fez", "fake_torino", "campus_qpu"]
    assert (rows["fake_torino"].price, rows["fake_torino"].price_at_most) == (420_500, 450_000)
    assert rows["fake_torino"].quota_after == 50_000_000 - 450_000
    assert rows["campus_qpu"].decision is not None
    assert rows["campus_qpu"].decision.effect == "needs_approval"
    assert rows["aer"].decision is not None
    assert rows["aer"].decision.effect == "allow"
    assert report.text
    assert (await house.pipeline.get_report(GRACE, report.id)).id == report.id
    plain = request("fake_torino", None).model_copy(update={"report": report.id})
    bare = plain.model_copy(update={"circuits": None})
    job = await house.pipeline.submit(ADA, bare, key=None, wait_s=5)
    assert (job.state, job.report, job.executable) == (
        JobState.COMPLETED,
        report.id,
        rows["fake_torino"].executable,
    )
    changed = request("fake_torino", None, data=b"n=3").model_copy(update={"report": report.id})
    with pytest.raises(Conflict) as caught:
        await house.pipeline.submit(ADA, changed, key=None, wait_s=0)
    assert caught.value.code == "report.changed"
    with pytest.raises(Exception, match="No such report"):
        await house.pipeline.submit(BEN, bare, key=None, wait_s=0)


async def test_a_report_names_what_stands_in_the_way(house: House, runner: MemoryRunner) -> None:
    """A device that cannot take it has a problem instead of numbers; nothing is refused as a whole."""
    report = await house.pipeline.report(ADA, ReportRequest(circuits=request(data=b"bad").circuits, devices=["aer"]))
    (row,) = report.rows
    assert (row.code, row.price) == ("circuit.parse", None)
    assert row.problem == "Line 1 is not OpenQASM."
    with pytest.raises(InputError):
        await house.pipeline.report(ADA, ReportRequest(devices=["aer"]))


async def test_a_runner_must_announce_and_speak_the_protocol(house: House) -> None:
    """Unknown runners get no work; a device without a price is not admitted."""
    with pytest.raises(Conflict):
        await house.pipeline.lease(LeaseRequest(runner="run_nobody", slots=1))
    unpriced = announcement("new_qpu", DeviceKind.QPU)
    runner = MemoryRunner(house.pipeline, [*DEVICES, unpriced])
    welcome = await runner.announce()
    assert "new_qpu" not in welcome.admitted
    assert house.pipeline.priced("fake_fez")
    assert house.pipeline.priced("new_qpu")
    assert not house.pipeline.priced("aer")


async def test_provenance_is_complete(house: House, runner: MemoryRunner) -> None:
    """R1: who, what, where, with which versions, settings, seed, calibration, decision, times, summary, moves."""
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=5)

    async def numbered() -> bool:
        found = await house.pipeline.provenance(ADA, job.id)
        return all(event["seq"] for event in found.events)

    await until(numbered)
    found = await house.pipeline.provenance(ADA, job.id)
    assert (found.id, found.tenant, found.user) == (job.id, "campus/qcourse", "ada")
    assert found.compiler == {"name": "memory", "level": 1, "seed": 1}
    assert found.versions["qiskit"] == "2.6.2"
    assert found.calibration is not None
    assert found.policy is not None
    assert found.policy.policies == ["emulators-within-quota"]
    assert found.job.options["seed_simulator"] == 1
    assert found.summary["top_counts"] == {"0x0": 500, "0x3": 500}
    assert found.times["device_seconds"] == 1.0
    assert found.times["queue_seconds"] is not None
    assert [event["data"]["to"] for event in found.events][-1] == "completed"
    assert all(event["hash"] for event in found.events)


@dataclass
class Silent(Groups):
    """A hub that does not answer so many times."""

    silences: int = 0

    async def groups_of(self, principal_id: str) -> frozenset[str] | None:
        """As the hub would say, once it does."""
        if self.silences:
            self.silences -= 1
            raise Unavailable("The hub does not answer.", code="hub.unavailable")
        return await super().groups_of(principal_id)


async def test_a_hub_that_is_silent_at_dispatch_costs_no_job(settings: Settings) -> None:
    """A waiting job whose owner cannot be asked about keeps its place and runs once the hub answers."""
    hub = Silent()
    house = House(settings, hub)
    await house.open()
    async with house.runner() as runner:
        runner.hold()
        first = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        waits = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await until(lambda: runner.executed)
        hub.silences = 2
        runner.go()
        for job in (first, waits):
            assert (await ended(house, job.id)).state is JobState.COMPLETED
        assert hub.silences == 0
    await house.close()


async def test_a_hub_that_is_silent_after_a_restart_costs_no_draft(settings: Settings) -> None:
    """A draft of before is taken up again once the hub answers, and not refused."""
    hub = Silent()
    house = House(settings, hub)
    await house.open()
    async with house.runner(slots=0):
        sent = asyncio.ensure_future(house.pipeline.submit(ADA, request("fake_torino"), key="k", wait_s=0))
        (draft,) = await until(lambda: drafts(house))
        await house.close()
        sent.cancel()
    hub.silences = 2
    await house.open()
    async with house.runner():
        assert (await ended(house, draft.id)).state is JobState.COMPLETED
    await house.close()


async def test_a_new_policy_binds_what_waits(settings: Settings, tmp_path: Path) -> None:
    """A job that waits is decided again where the policy files changed: it does not run under yesterday's rules."""
    policies = tmp_path / "policies"
    shutil.copytree(settings.policies, policies)
    async with running(settings, policies=policies) as house, house.runner() as runner:
        runner.hold()
        first = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        waits = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await until(lambda: runner.executed)
        version = first.decision.version if first.decision else ""
        (policies / "90-closed.cedar").write_text(
            '@id("closed") @words("closed") forbid (principal, action == Action::"submit", resource) '
            'when { context.device == "fake_torino" };'
        )

        async def other() -> bool:
            report = await house.pipeline.report(ADA, ReportRequest(circuits=request().circuits, devices=["aer"]))
            return report.policy != version

        await until(other)
        runner.go()
        assert (await ended(house, first.id)).state is JobState.COMPLETED
        refused = await ended(house, waits.id)
        assert (refused.state, refused.on_hold, (refused.error or {}).get("code")) == (
            JobState.REJECTED,
            0,
            "policy.closed",
        )
        assert runner.executed == [f"{first.id}-1"]


async def test_a_crowd_at_once_leaves_nobody_behind(house: House, runner: MemoryRunner) -> None:
    """Slots that get free while others are still being written: every job runs, none stays in the queue."""
    asked = (house.pipeline.submit(ADA, request("fake_torino", 1), key=None, wait_s=20) for _ in range(60))
    done = await asyncio.gather(*asked)
    assert {job.state for job in done} == {JobState.COMPLETED}


async def test_a_runner_that_hung_up_takes_no_work(house: House, tmp_path: Path) -> None:
    """Killed while it waited for work on the service's socket: the next task goes to whoever is there, at once."""
    socket = tmp_path / "s"
    server = RunnerServer(SimpleNamespace(pipeline=house.pipeline, metrics=Metrics()), socket, "t", lambda _: None)  # type: ignore[arg-type]
    dead = house.runner(name="run_dead")
    await dead.announce()
    _, writer = await asyncio.open_unix_connection(str(socket))
    body = LeaseRequest(runner="run_dead", slots=8, wait_s=10).model_dump_json()
    head = "POST /runner/v1/lease HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer t\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    await until(lambda: house.pipeline._context.board.runners["run_dead"].polls)
    writer.transport.abort()
    await until(lambda: not house.pipeline._context.board.runners["run_dead"].polls, 2.0)
    async with house.runner():
        job = await asyncio.wait_for(house.pipeline.submit(ADA, request("aer"), key=None, wait_s=0), 3.0)
        assert (await ended(house, job.id)).state is JobState.COMPLETED
    await server.close()


async def test_a_runner_that_is_lost_while_a_job_starts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone between the choice of a runner and the offer to it: the job is nobody's for a moment, and runs elsewhere."""
    artefacts, first = house.store.artefacts, house.runner(name="run_one")
    read = artefacts.get

    async def late(project: str, digest: str) -> bytes:
        monkeypatch.undo()
        await first.die()
        await house.pipeline.runner_lost("run_one")
        return await read(project, digest)

    async with first:
        first.hold()
        blocks = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        waits = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        await until(lambda: first.executed)
        monkeypatch.setattr(artefacts, "get", late)
        await house.pipeline.cancel(ADA, blocks.id)
        await until(lambda: "run_one" not in house.pipeline._context.board.runners)
    async with house.runner(name="run_two") as second:
        done = await ended(house, waits.id)
        assert (done.state, done.cost) == (JobState.COMPLETED, 420_500)
        assert second.executed == [f"{waits.id}-2"]


async def test_a_runner_that_is_lost_after_it_prepared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gone before the run was handed to its worker: it never had it, so that even of an opaque device this is known."""
    opaque = announcement("fake_torino", DeviceKind.EMULATOR, recovery="opaque")
    first = house.runner(opaque, name="run_one")
    write = house.store.write

    async def late(act: Any, *more: Any) -> Any:
        found = await write(act, *more)
        if getattr(found, "state", None) is JobState.SCHEDULED:
            monkeypatch.undo()
            await first.die()
            await house.pipeline.runner_lost("run_one")
        return found

    async with first:
        monkeypatch.setattr(house.store, "write", late)
        job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
        assert not house.pipeline._context.board.runners
    async with house.runner(opaque, name="run_two") as second:
        done = await ended(house, job.id)
        assert (done.state, done.cost, second.executed) == (JobState.COMPLETED, 420_500, [f"{job.id}-2"])
