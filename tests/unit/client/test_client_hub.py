"""The hub: how it is found, devices, jobs, reports, events."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from jupyter_quantum import Hub
from jupyter_quantum.client.jobs import PrimitiveJob, RunJob
from jupyter_quantum.client.report import work_of
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import NotFound, QuantumError, Unauthenticated, Unavailable
from jupyter_quantum.wire.jobs import EventView, JobRequest, JobView
from tests.unit.client.conftest import TOKEN, Service


def test_finds_service_and_token_in_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Hub()`` needs nothing on a server of the hub."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", service.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setenv("JUPYTER_QUANTUM_PROJECT", "qcourse")
    hub = Hub()
    assert hub.me().projects == {"qcourse": "user"}
    assert "project qcourse" in repr(hub)
    hub.quota()
    assert service.seen[-1][1].endswith("quota?project=qcourse")


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a hub: what, why, next step."""
    monkeypatch.delenv("JUPYTER_QUANTUM_URL", raising=False)
    with pytest.raises(Unavailable, match="JUPYTER_QUANTUM_URL is not set") as caught:
        Hub()
    assert "Hub(url=" in (caught.value.hint or "")
    with pytest.raises(Unavailable, match="not the address"):
        Hub(url="ftp://hub", token="x")


def test_token_of_the_server_goes_to_its_own_hub_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address needs its own token."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", "http://127.0.0.1:1/services/quantum")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    with pytest.raises(Unauthenticated, match="no token for https://elsewhere"):
        Hub(url="https://elsewhere.example.org/services/quantum")
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    with pytest.raises(Unauthenticated):
        Hub()


def test_a_backend_is_one_object(service: Service, hub: Hub) -> None:
    """Asked again, the hub gives the same backend without a request; a list brings it up to date."""
    backend = hub.backend("aer")
    assert hub.backend("aer") is backend
    service.devices["aer"] = service.devices["aer"].model_copy(update={"state": "drained"})
    assert hub.backends()[0] is backend
    assert backend.view.state == "drained"
    assert "■ drained" in repr(hub.backends())


def test_absent_devices_and_jobs(hub: Hub) -> None:
    """The same answer for what is absent and what is another's."""
    with pytest.raises(NotFound):
        hub.backend("../me")
    for job in (new_id("job"), "job_x", "../quota"):
        with pytest.raises(NotFound, match="not visible to you"):
            hub.job(job)


def test_least_busy(service: Service, hub: Hub) -> None:
    """The shortest wait among ready devices that fit; simulators only where wanted."""
    assert hub.least_busy().name == "fake_fez"
    assert hub.least_busy(simulators=True).name == "aer"
    service.devices["fake_fez"] = service.devices["fake_fez"].model_copy(update={"state": "paused"})
    assert hub.least_busy().name == "fake_torino"
    with pytest.raises(NotFound, match="No device that fits"):
        hub.least_busy(min_num_qubits=1000)


def test_a_job_is_found_again(service: Service, bell: QuantumCircuit) -> None:
    """Another notebook reads the result of either kind of job, and reaches its backend."""
    first = Hub(url=service.url, token=TOKEN)
    ran = first.backend("aer").run(bell, shots=30)
    sampled = first.sampler("aer").run([bell], shots=30)
    later = Hub(url=service.url, token=TOKEN)
    found, other = later.job(ran.job_id()), later.job(sampled.job_id())
    assert isinstance(found, RunJob)
    assert isinstance(other, PrimitiveJob)
    assert found.result().get_counts() == ran.result().get_counts()
    assert other.result()[0].data.meas == sampled.result()[0].data.meas
    assert found.backend() is later.backend("aer")
    assert [job.job_id() for job in later.jobs()] == [sampled.job_id(), ran.job_id()]


def test_jobs_asks_for_what_is_wanted(service: Service, hub: Hub) -> None:
    """State, activity and project are passed on; an unknown state is refused here."""
    hub.jobs(state="running", active=True, limit=3, project="qcourse")
    assert service.seen[-1][1].endswith("jobs?state=running&active=1&limit=3&project=qcourse")
    with pytest.raises(ValueError, match="sleeping"):
        hub.jobs(state="sleeping")


def test_report_then_submit(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A report is submitted by its id; nothing travels twice."""
    report = hub.report(bell, shots=1000, devices=["aer"], dry_run="aer")
    assert report["aer"].noise_free
    assert report.headline == "bell · 2 qubits · 1\u202f000 shots"
    service.hold_back = True
    job = hub.submit(report, "aer", max_price=0.5, reason="thesis")
    assert job.state is JobState.QUEUED
    with pytest.raises(KeyError):
        report["elsewhere"]


def test_report_of_a_job(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A finished job is validated again from its source."""
    job = hub.backend("aer").run(bell, shots=30, seed_simulator=4)
    assert hub.report(job, shots=50).view.shots == 50
    report = hub.report(job)
    assert report.view.name == "bell"
    assert report.view.shots == 30
    assert report.view.source == job.view.source


def test_work_is_guessed_from_what_is_passed(bell: QuantumCircuit) -> None:
    """Circuits are a run, tuples with an observable an estimator's PUBs, other tuples a sampler's."""
    plain = QuantumCircuit(1)
    assert work_of(bell, 10, None).kind.value == "run"
    assert work_of([bell, bell], 10, None).kind.value == "run"
    assert work_of([(bell,)], 10, None).pubs[0].shots == 10
    assert work_of((bell, None, 5), None, None).pubs[0].shots == 5
    for observable in ("Z", SparsePauliOp("Z"), {"Z": 1.0}, ["Z", "X"]):
        assert work_of((plain, observable), 100, None).kind.value == "estimator"
    assert work_of([(plain, "Z")], 100, None).pubs[0].precision == pytest.approx(0.1)
    assert work_of([bell], 10, "sampler").kind.value == "sampler"


def test_follow_calls_back_to_the_end(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Each move is told from a daemon thread, the last in a final state; then the thread ends."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell)
    states: list[JobState] = []
    started = threading.Event()

    def heard(view: JobView) -> None:
        states.append(view.state)
        started.set()

    following = hub.follow(job, heard)
    assert started.wait(5)
    service.run(job.job_id())
    following.join(5)
    assert states == [JobState.QUEUED, JobState.COMPLETED]
    assert not following.alive


def test_follow_stops(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """After ``stop`` nothing is told, and the job goes on."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell)
    calls: list[JobView] = []
    first = threading.Event()
    following = hub.follow(job.job_id(), lambda view: (calls.append(view), first.set()))
    assert first.wait(5)
    following.stop()
    service.run(job.job_id())
    following.join(5)
    assert len(calls) == 1


def test_events_go_on_after_the_stream_ends(service: Service, hub: Hub) -> None:
    """The stream connects again with the last number, so nothing is missed or told twice."""

    def event(seq: int) -> EventView:
        return EventView(seq=seq, id=new_id("evt"), time=datetime.now(UTC), type="job.moved", data={"n": seq})

    service.events = [event(1), event(2)]
    stream = hub.events(after=0)
    assert [next(stream).seq, next(stream).seq] == [1, 2]
    service.events.append(event(3))
    assert next(stream).data == {"n": 3}
    assert [headers.get("Last-Event-ID") for _, path, headers in service.seen if "events" in path] == ["0", "2"]


def test_subscribe(service: Service, hub: Hub) -> None:
    """Events reach a callback in a thread."""
    service.events = [EventView(seq=1, id=new_id("evt"), time=datetime.now(UTC), type="quota.changed")]
    told = threading.Event()
    subscription = hub.subscribe(lambda event: told.set())
    assert told.wait(5)
    subscription.stop()


def test_a_refused_token_is_said(service: Service) -> None:
    """The service's own answer reaches the user."""
    with pytest.raises(QuantumError):
        Hub(url=service.url, token="wrong").me()


def test_usage_adds_up(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Costs by device; a job whose cost is not known adds nothing, and is not called free."""
    hub.backend("aer").run(bell)
    service.add(JobRequest(device="fake_fez"))
    usage = hub.usage()
    assert usage.by_device == {"fake_fez": 0, "aer": 420_000}
    assert "2 jobs: 0.42 credits" in repr(usage)
    assert [line.split()[-1] for line in repr(usage).splitlines()[-2:]] == ["credits", "–"]
