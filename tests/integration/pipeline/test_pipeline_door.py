"""Stories of the door: what runs, what is refused, in which words, and what is recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

import pytest
from pydantic import ValidationError

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import (
    CircuitRejected,
    Conflict,
    InputError,
    NotFound,
    OptionRejected,
    PolicyRefused,
    QuantumError,
    QuotaExceeded,
    Refused,
    TooBusy,
    Unavailable,
)
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import JobRequest, Pub
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import DeviceAnnouncement, Prepared, TaskReport, Work
from jupyter_quantum.wire.sessions import SessionRef

from .conftest import ADA, BEN, DEVICES, EVE, GRACE, LISE, OTTO, House, request, running, until

SPACE = "\u202f"


async def refused(house: House, asked: JobRequest, kind: type[QuantumError], code: str) -> QuantumError:
    """Submit what must be refused with this class and code, and see that it is recorded."""
    with pytest.raises(kind) as caught:
        await house.pipeline.submit(ADA, asked, key=None, wait_s=5)
    error = caught.value
    assert error.code == code
    job = await house.pipeline.job(ADA, error.details["job"])
    assert job.state is JobState.REJECTED
    assert job.error is not None
    assert (job.error["code"], job.error["message"]) == (code, error.message)
    assert job.on_hold == 0
    events = (await house.pipeline.provenance(ADA, job.id)).events
    assert events[-1]["data"]["to"] == "rejected"
    await house.ledger()
    return error


async def test_a_job_runs_and_its_result_comes_with_the_answer(house: House, runner: MemoryRunner) -> None:
    """One call takes a circuit from the request to the result, and the worker that prepared it runs it."""
    job = await house.pipeline.submit(ADA, request(), key=None, wait_s=5)
    assert job.state is JobState.COMPLETED
    assert job.result is not None
    assert job.result["experiments"][0]["counts"] == {"0x0": 500, "0x3": 500}
    assert (job.cost, job.on_hold, job.attempts) == (0, 0, 1)
    assert runner.executed == [f"{job.id}-1"]
    assert (await house.pipeline.result(ADA, job.id)).experiments[0].shots == 1000
    assert (await house.pipeline.source(ADA, job.id))[0].data == b"n=2"
    assert (await house.pipeline.executable(ADA, job.id)).startswith(b"x:n=2")
    await house.ledger()


@pytest.mark.parametrize("kind", [JobKind.SAMPLER, JobKind.ESTIMATOR])
async def test_primitives_go_the_same_way(house: House, runner: MemoryRunner, kind: JobKind) -> None:
    """PUBs reach the device and come back, one result each."""
    asked = request("fake_torino", None, kind=kind, pubs=[Pub(circuit=0, shots=100), Pub(circuit=0, shots=50)])
    job = await house.pipeline.submit(ADA, asked, key=None, wait_s=5)
    assert job.result is not None
    assert len(job.result["pubs"]) == 2
    assert job.executions == 200


async def test_a_priced_job_is_held_at_most_and_settled_by_use(house: House, runner: MemoryRunner) -> None:
    """0.45 on hold while it runs, 0.4205 charged for one second, the rest released."""
    runner.hold()
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    assert (job.price, job.price_at_most, job.on_hold) == (420_500, 450_000, 450_000)
    await until(lambda: running_now(house, job.id))
    quota = await house.pipeline.quota(ADA)
    assert [(meter.scope, meter.held) for meter in quota.meters] == [("user", 450_000), ("project", 450_000)]
    assert quota.left == 50 * CREDIT - 450_000
    runner.go()
    done = await house.pipeline.job(ADA, job.id, wait_s=5, version=(await house.pipeline.job(ADA, job.id)).version)
    assert (done.state, done.cost, done.on_hold) == (JobState.COMPLETED, 420_500, 0)
    assert (await house.pipeline.quota(ADA)).left == 50 * CREDIT - 420_500
    await house.ledger()


async def running_now(house: House, job_id: str) -> bool:
    """Whether the device has it."""
    return (await house.pipeline.job(ADA, job_id)).state is JobState.RUNNING


async def test_policy_refuses_in_words(house: House, runner: MemoryRunner) -> None:
    """Too many shots for the tier: the policy's sentence, its name, its code."""
    error = await refused(house, request("fake_torino", 20_000), PolicyRefused, "policy.sandbox-shots")
    assert error.message == f"20{SPACE}000 shots is over 10{SPACE}000 in the sandbox tier."
    assert error.details["policies"] == ["sandbox-shots"]


async def test_an_option_that_the_device_lacks_is_named(house: House, runner: MemoryRunner) -> None:
    """Options are never ignored, and refused before anything is priced."""
    error = await refused(house, request(options={"shot": 5}), OptionRejected, "option.unknown")
    assert "'shot'" in error.message
    assert "shots" in (error.hint or "")
    await refused(house, request(options={"shots": "many"}), OptionRejected, "option.value")
    assert runner.executed == []


async def test_a_circuit_that_does_not_parse_is_refused(house: House, runner: MemoryRunner) -> None:
    """The worker's sentence reaches the user."""
    await refused(house, request(data=b"bad"), CircuitRejected, "circuit.parse")


async def test_bounds_of_device_and_service(house: House, runner: MemoryRunner) -> None:
    """Shots, size and price cap are checked."""
    await refused(house, request("aer", 200_000), InputError, "shots.limit")
    error = await refused(house, request("fake_torino", max_price=400_000), Refused, "price.cap")
    assert "0.45" in error.message


class Liar(MemoryRunner):
    """A runner whose worker was taken over by a circuit: it says that hardly anything is to be done."""

    claims: ClassVar[dict[str, int]] = {}

    def _prepare(self, work: Work, device: DeviceAnnouncement, *, keep: bool) -> Prepared:
        return super()._prepare(work, device, keep=keep).model_copy(update=self.claims)


@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        (JobKind.RUN, {"executions": 0}),
        (JobKind.RUN, {"executions": 999}),
        (JobKind.RUN, {"tasks": 0, "num_circuits": 0}),
        (JobKind.SAMPLER, {"executions": 1999}),
        (JobKind.SAMPLER, {"tasks": 1}),
        (JobKind.ESTIMATOR, {"executions": 19_999}),
    ],
)
async def test_a_worker_does_not_name_its_own_price(house: House, kind: JobKind, claims: dict[str, int]) -> None:
    """Fewer executions or tasks than the request comes to whatever its circuits hold: refused, nothing runs."""
    pubs = [] if kind is JobKind.RUN else [Pub(circuit=0), Pub(circuit=0, precision=0.01)]
    options = {"default_precision": 0.01} if kind is JobKind.ESTIMATOR else {"shots": 1000}
    properties = {"shots": {"type": "integer"}, "default_precision": {"type": "number", "default": 0.5}}
    device = announcement("fake_torino", DeviceKind.EMULATOR)
    device = device.model_copy(update={"options": {kind.value: {"type": "object", "properties": properties}}})
    Liar.claims = claims
    asked = JobRequest(device=device.name, kind=kind, circuits=request().circuits, pubs=pubs, options=options)
    async with Liar(house.pipeline, [device]) as liar:
        await refused(house, asked, QuantumError, "runner.garbage")
        report = await house.pipeline.report(
            ADA, ReportRequest(kind=kind, circuits=asked.circuits, pubs=pubs, options=options)
        )
        assert [row.code for row in report.rows] == ["runner.garbage"]
    assert liar.executed == []


@pytest.mark.parametrize("field", ["executions", "tasks", "shots", "num_circuits", "num_qubits", "depth", "operations"])
@pytest.mark.parametrize("number", [10**30, -1])
def test_an_absurd_count_is_not_read(field: str, number: int) -> None:
    """What no column holds never comes as far as the store."""
    with pytest.raises(ValidationError):
        Prepared.model_validate({"device": "aer", field: number})


@pytest.mark.parametrize("number", ["1e400", "-1", "NaN", "1e15"])
def test_an_absurd_time_is_not_read(number: str) -> None:
    """Nor what nobody can calculate with."""
    for text in (
        f'{{"device": "aer", "seconds": {{"value": {number}, "low": 0, "high": 1}}}}',
        f'{{"device": "aer", "success": {{"value": 1, "low": 0, "high": {number}}}}}',
    ):
        with pytest.raises(ValidationError):
            Prepared.model_validate_json(text)
    with pytest.raises(ValidationError):
        TaskReport.model_validate_json(f'{{"runner": "r", "fence": 1, "state": "done", "usage_s": {number}}}')
    with pytest.raises(ValidationError):
        ResultView.model_validate_json(f'{{"kind": "run", "backend": "aer", "seconds": {number}}}')


async def test_over_quota_says_what_is_left_and_what_to_do(settings: Settings) -> None:
    """The UX guide's sentence, with an affordable device."""
    course = settings.projects["qcourse"]
    poor = {
        "qcourse": type(course)(
            course.name, course.organisation, "pilot", course.members, course.leads, 100 * CREDIT, 5_200_000
        )
    }
    async with running(settings, projects=poor) as house, house.runner():
        error = await refused(house, request("campus_qpu", 1000), QuotaExceeded, "quota.exceeded")
        month = error.details["resets"]
        assert error.message.startswith("This run may cost 6.58 credits; 5.20 are left until 1 ")
        assert error.message.endswith(". Use fewer shots, choose fake_fez (0.43), or ask for more.")
        assert month


async def test_an_absent_device_project_or_runner(house: House) -> None:
    """What is not there is said to be absent, what does not answer to be unavailable."""
    with pytest.raises(NotFound, match="No such device"):
        await house.pipeline.submit(ADA, request("nowhere"), key=None, wait_s=0)
    async with house.runner() as runner:
        with pytest.raises(NotFound, match="No such project"):
            await house.pipeline.submit(ADA, request(project="lab"), key=None, wait_s=0)
        with pytest.raises(Refused) as caught:
            await house.pipeline.submit(EVE, request(), key=None, wait_s=0)
        assert caught.value.code == "project.none"
        await house.pipeline.runner_lost(runner.name)
    with pytest.raises(Unavailable) as gone:
        await house.pipeline.submit(ADA, request(), key=None, wait_s=0)
    assert gone.value.code == "device.offline"
    assert (await house.pipeline.device(ADA, "aer")).state == "offline"


async def test_drain_takes_nothing_and_pause_starts_nothing(house: House, runner: MemoryRunner) -> None:
    """A drained device refuses, a paused one lets jobs wait with a reason, and they go on by themselves."""
    act = house.pipeline.act_on_device
    with pytest.raises(Refused):
        await act(ADA, "fake_fez", DeviceAction(action="drain"))
    await act(OTTO, "fake_fez", DeviceAction(action="drain", reason="new cryostat"))
    error = await refused(house, request("fake_fez"), Conflict, "device.drained")
    assert error.message.startswith("fake_fez takes no new jobs (drained by the operators: new cryostat)")
    await act(OTTO, "fake_torino", DeviceAction(action="pause"))
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0)
    assert job.state is JobState.QUEUED
    assert job.wait is not None
    assert (job.wait.reason, job.wait.words) == ("wait.paused", "Waiting because fake_torino is in maintenance.")
    await act(OTTO, "fake_torino", DeviceAction(action="resume"))
    done = await house.pipeline.job(ADA, job.id, wait_s=5, version=job.version + 2)
    assert done.state is JobState.COMPLETED


async def test_the_same_key_gives_the_first_job(house: House, runner: MemoryRunner) -> None:
    """At once, at the same time, after its end; another body is a conflict; a refusal is given again."""
    submit = house.pipeline.submit
    both = await asyncio.gather(*(submit(ADA, request(), key="k", wait_s=5) for _ in range(4)))
    again = await submit(ADA, request(), key="k", wait_s=5)
    assert {job.id for job in both} == {again.id}
    assert runner.executed == [f"{again.id}-1"]
    with pytest.raises(Conflict) as caught:
        await submit(ADA, request(shots=7), key="k", wait_s=0)
    assert caught.value.code == "idempotency.mismatch"
    assert (await submit(BEN, request(), key="k", wait_s=5)).id != again.id
    errors = []
    for _ in range(2):
        with pytest.raises(CircuitRejected) as bad:
            await submit(ADA, request(data=b"bad"), key="bad", wait_s=0)
        errors.append(bad.value.details["job"])
    assert errors[0] == errors[1]


async def test_a_quick_validation_is_written_with_its_decision(settings: Settings) -> None:
    """Every move has its event, and draft, validated, queued and scheduled were committed together; a refusal too."""
    async with running(settings, held_back_s=5.0) as house, house.runner():
        job = await house.pipeline.submit(ADA, request(), key=None, wait_s=5)
        events = (await house.pipeline.provenance(ADA, job.id)).events
        moves = [(event["data"]["to"], event["time"]) for event in events]
        assert [to for to, _ in moves] == ["draft", "validated", "queued", "scheduled", "running", "completed"]
        assert len({time for _, time in moves[:4]}) == 1
        error = await refused(house, request(data=b"bad"), CircuitRejected, "circuit.parse")
        events = (await house.pipeline.provenance(ADA, error.details["job"])).events
        assert [event["data"]["to"] for event in events] == ["draft", "rejected"]
        assert len({event["time"] for event in events}) == 1


@pytest.mark.parametrize("session", [None, SessionRef(id=f"ses_{7:032x}")], ids=["alone", "in a session"])
async def test_the_same_key_joins_a_job_that_is_not_written_yet(settings: Settings, session: SessionRef | None) -> None:
    """While the first waits for its validation: the same body joins it, another is a conflict, and nobody sees it."""
    async with running(settings, held_back_s=0.5) as house:
        await _join(house, session)


class _Counting(MemoryRunner):
    """Counts what it was asked to validate."""

    asked = 0

    def _prepare(self, work: Work, device: DeviceAnnouncement, *, keep: bool) -> Prepared:
        self.asked += 1
        return super()._prepare(work, device, keep=keep)


@pytest.mark.parametrize("session", [None, SessionRef(id=f"ses_{7:032x}")], ids=["alone", "in a session"])
async def test_two_requests_at_once_with_one_key_are_one(house: House, session: SessionRef | None) -> None:
    """They go through the door once, whatever has to be read on the way, and get the same job."""
    async with _Counting(house.pipeline, DEVICES) as runner:
        both = [house.pipeline.submit(ADA, request(session=session), key="k", wait_s=5) for _ in range(2)]
        one, other = await asyncio.gather(*both)
        assert one.id == other.id
        assert runner.asked == 1
        assert runner.executed == [f"{one.id}-1"]


async def _join(house: House, session: SessionRef | None) -> None:
    async with house.runner(slots=0):
        first = asyncio.create_task(house.pipeline.submit(ADA, request(session=session), key="k", wait_s=5))
        await until(lambda: house.pipeline._submitting._coming)
        second = asyncio.create_task(house.pipeline.submit(ADA, request(session=session), key="k", wait_s=5))
        with pytest.raises(Conflict) as caught:
            await house.pipeline.submit(ADA, request(shots=7, session=session), key="k", wait_s=5)
        assert caught.value.code == "idempotency.mismatch"
        assert (await house.pipeline.jobs(ADA)).jobs == []
        first.cancel()

        async def written() -> bool:
            return [job.state for job in (await house.pipeline.jobs(ADA)).jobs] == [JobState.DRAFT]

        await until(written)
    async with house.runner() as fresh:
        job = await second
        assert job.state is JobState.COMPLETED
        assert fresh.executed == [f"{job.id}-1"]
        assert len((await house.pipeline.jobs(ADA)).jobs) == 1


async def test_one_user_has_a_number_of_jobs_under_way(settings: Settings) -> None:
    """Jobs in line, refused ones aside, count until they end; others are not concerned, and a restart forgets none."""
    limits = replace(settings.limits, active=3)
    async with running(settings, limits=limits) as house:
        await _fill(house)
    async with running(settings, limits=limits) as house, house.runner() as runner:
        runner.hold()
        with pytest.raises(TooBusy):
            await house.pipeline.submit(ADA, request(), key=None, wait_s=0)
        for job in (await house.pipeline.jobs(ADA, active=True)).jobs:
            await house.pipeline.cancel(ADA, job.id)
        runner.go()
        ended = [await house.pipeline.submit(ADA, request(), key=None, wait_s=5) for _ in range(4)]
        assert {job.state for job in ended} == {JobState.COMPLETED}


async def _fill(house: House) -> None:
    submit = house.pipeline.submit
    async with house.runner() as runner:
        for _ in range(4):
            await refused(house, request(data=b"bad"), CircuitRejected, "circuit.parse")
        runner.hold()
        jobs = [await submit(ADA, request("fake_torino"), key=f"k{number}", wait_s=0) for number in range(3)]
        with pytest.raises(TooBusy) as caught:
            await submit(ADA, request("fake_torino"), key="k3", wait_s=0)
        assert caught.value.code == "jobs.active"
        assert caught.value.message == "3 jobs of yours are under way, the most at once."
        assert caught.value.details["retry_after"] > 0
        assert (await submit(ADA, request("fake_torino"), key="k0", wait_s=0)).id == jobs[0].id
        await submit(BEN, request("fake_torino"), key="k3", wait_s=0)
        await house.pipeline.cancel(ADA, jobs[2].id)
        await submit(ADA, request("fake_torino"), key="k3", wait_s=0)


async def test_a_key_is_known_while_the_device_is_away(house: House) -> None:
    """A request that was acknowledged has its answer again, whether its device answers or not; a new one has not."""
    async with house.runner() as runner:
        job = await house.pipeline.submit(ADA, request(), key="k", wait_s=5)
        await house.pipeline.runner_lost(runner.name)
    again = await house.pipeline.submit(ADA, request(), key="k", wait_s=0)
    assert (again.id, again.state) == (job.id, JobState.COMPLETED)
    with pytest.raises(Conflict, match="with another request"):
        await house.pipeline.submit(ADA, request(shots=7), key="k", wait_s=0)
    with pytest.raises(Unavailable):
        await house.pipeline.submit(ADA, request(), key="new", wait_s=0)


async def test_what_is_refused_unseen_leaves_its_digest_only(house: House, runner: MemoryRunner) -> None:
    """A wrong option is recorded with the circuits' digest; their bytes are neither in the store nor on the disk."""
    for size in (1_000, 1 << 20):
        error = await refused(house, request(data=bytes(size), options={"shot": 5}), OptionRejected, "option.unknown")
        with pytest.raises(Conflict) as caught:
            await house.pipeline.source(ADA, error.details["job"])
        assert caught.value.code == "job.source"


async def test_a_foreign_id_answers_as_an_absent_one(house: House, runner: MemoryRunner) -> None:
    """On every method that takes an id, in the same words."""
    pipeline = house.pipeline
    job = await pipeline.submit(ADA, request(), key=None, wait_s=5)
    report = await pipeline.report(ADA, ReportRequest(circuits=request().circuits))
    calls = [pipeline.job, pipeline.result, pipeline.executable, pipeline.source, pipeline.provenance, pipeline.cancel]
    for call in calls:
        said = set()
        for who in (BEN, LISE, OTTO, EVE):
            for job_id in (job.id, "job_" + "0" * 32):
                with pytest.raises(NotFound) as caught:
                    await call(who, job_id)
                said.add((caught.value.code, caught.value.message, caught.value.hint, str(caught.value.details)))
        assert said == {("absent", "No such job, or it is not visible to you.", None, "{}")}
    said = set()
    for report_id in (report.id, "rep_" + "0" * 32):
        with pytest.raises(NotFound) as caught:
            await pipeline.get_report(BEN, report_id)
        said.add(caught.value.message)
    assert len(said) == 1
    assert (await pipeline.job(GRACE, job.id)).id == job.id
    assert (await pipeline.jobs(BEN)).jobs == []
    assert [one.id for one in (await pipeline.jobs(GRACE, project="qcourse")).jobs] == [job.id]
    assert (await pipeline.jobs(BEN, project="qcourse")).jobs == []
    with pytest.raises(NotFound):
        await pipeline.jobs(LISE, project="qcourse")


async def test_users_at_once_cannot_overdraw(settings: Settings) -> None:
    """Of forty jobs at once, as many pass as the project's grant holds."""
    course = settings.projects["qcourse"]
    grant = type(course)(
        course.name, course.organisation, "pilot", course.members, course.leads, 10 * 450_000 + 1, 50 * CREDIT
    )
    async with running(settings, projects={"qcourse": grant}) as house, house.runner() as runner:
        runner.hold()
        asked = [house.pipeline.submit(who, request("fake_torino"), key=None, wait_s=0) for who in (ADA, BEN) * 20]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 30
        assert (await house.pipeline.quota(ADA)).left == 1
        await house.ledger()


async def test_pages_of_jobs(house: House, runner: MemoryRunner) -> None:
    """Newest first, with a cursor."""
    ids = [(await house.pipeline.submit(ADA, request(), key=None, wait_s=5)).id for _ in range(5)]
    first = await house.pipeline.jobs(ADA, limit=3)
    rest = await house.pipeline.jobs(ADA, limit=3, before=first.next)
    assert [job.id for job in first.jobs + rest.jobs] == ids[::-1]
    assert rest.next is None
    assert (await house.pipeline.jobs(ADA, active=True)).jobs == []


async def test_what_is_too_large_is_not_kept(house: House, runner: MemoryRunner) -> None:
    """Circuits over the limit are refused without a trace on the disk, so that refusals do not fill it."""
    with pytest.raises(CircuitRejected) as caught:
        await house.pipeline.submit(ADA, request(data=bytes(2 << 20)), key=None, wait_s=0)
    assert caught.value.code == "circuit.too_large"
    assert (await house.pipeline.jobs(ADA)).jobs == []
    kept = [file for file in (house.settings.data_dir / "artefacts").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in kept) < 1 << 20
