"""``backend.run``: what is sent, what comes back, and what is refused before anything is sent."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2, qasm3, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendSamplerV2
from qiskit.providers import JobStatus, JobTimeoutError
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator

from jupyter_quantum.client import submit
from jupyter_quantum.client.circuits import run_work, to_qpy
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import CircuitRejected, JobCancelled, JobFailed, OptionRejected, QuotaExceeded
from jupyter_quantum.targets import canonical, target_from_json, target_to_json
from tests.unit.client.conftest import Service, qpy_version


def test_equals_aer_for_the_same_seed(hub: Hub, bell: QuantumCircuit) -> None:
    """Counts and memory are Aer's own, bit for bit."""
    ours = hub.backend("aer").run(bell, shots=500, seed_simulator=7, memory=True).result()
    aers = AerSimulator().run(bell, shots=500, seed_simulator=7, memory=True).result()
    assert ours.get_counts() == aers.get_counts()
    assert ours.get_memory() == aers.get_memory()


def test_order_and_metadata_come_back(hub: Hub, bell: QuantumCircuit) -> None:
    """Circuits keep their order; metadata is the user's own, also what JSON cannot hold."""
    ones = QuantumCircuit(1, name="ones", metadata={"array": np.arange(3)})
    ones.x(0)
    ones.measure_all()
    result = hub.backend("aer").run([ones, bell, ones], shots=10).result()
    assert [one.header["name"] for one in result.results] == ["ones", bell.name, "ones"]
    assert result.get_counts(0) == {"1": 10}
    assert result.results[0].header["metadata"]["array"] is ones.metadata["array"]
    assert result.get_counts(bell).keys() <= {"00", "11"}


def test_a_short_run_is_one_request(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Submitting and reading the result are one request together."""
    backend = hub.backend("aer")
    before = len(service.seen)
    job = backend.run(bell, shots=10)
    job.result()
    assert job.status() is JobStatus.DONE
    assert len(service.seen) == before + 1


def test_a_long_run_gives_its_job_at_once(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """``run`` returns with a waiting job; ``result`` waits for it."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell, shots=10)
    assert job.status() is JobStatus.QUEUED
    assert not job.in_final_state()
    threading.Timer(0.1, service.run, [job.job_id()]).start()
    assert sum(job.result(timeout=10).get_counts().values()) == 10
    assert job.done()
    assert job.cost == 0.42


def test_timeout_leaves_the_job(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A timeout of ``result`` says how to come back and cancels nothing."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell)
    with pytest.raises(JobTimeoutError, match=job.job_id()):
        job.result(timeout=0.05)
    assert service.jobs[job.job_id()].state is JobState.QUEUED
    assert "POST" not in [method for method, path, _ in service.seen if "cancel" in path]


def test_interrupt_leaves_the_job(
    service: Service, hub: Hub, bell: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupting ``result`` stops waiting, and asking again works."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell, shots=10)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job._connection, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            job.result()
    service.run(job.job_id())
    assert sum(job.result().get_counts().values()) == 10


def test_cancel(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A cancelled job has no result and says so."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell)
    job.cancel()
    assert job.cancelled()
    with pytest.raises(JobCancelled):
        job.result()


def test_failed_job_says_why(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """The service's words, code and hint reach the user."""
    service.hold_back = True
    job = hub.backend("fake_torino").run(bell)
    why = {"error": "JobFailed", "code": "device.stopped", "message": "It stopped.", "hint": "Try again."}
    service.move(job.job_id(), JobState.FAILED, error=why)
    with pytest.raises(JobFailed, match=r"It stopped\. Try again\.") as caught:
        job.result()
    assert caught.value.code == "device.stopped"
    assert caught.value.details["job"] == job.job_id()
    assert job.errored()


def test_a_refusal_raises_from_run(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """What the service refuses with a status is raised by ``run`` itself."""
    backend = hub.backend("fake_torino")
    service.before = [lambda handler: handler.refuse(QuotaExceeded("5.20 are left."))]
    with pytest.raises(QuotaExceeded, match=r"5\.20"):
        backend.run(bell)


def test_a_late_refusal_raises_from_run_too(
    service: Service, hub: Hub, bell: QuantumCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is still being validated when the answer comes is waited for until it is decided."""
    add = service.add
    why = {"error": "CircuitRejected", "code": "circuit.wide", "message": "Too wide."}

    def slowly(request: object) -> object:
        view = add(request, state=JobState.DRAFT)  # type: ignore[arg-type]
        threading.Timer(0.1, service.move, [view.id, JobState.REJECTED], {"error": why}).start()
        return view

    service.hold_back = True
    monkeypatch.setattr(service, "add", slowly)
    with pytest.raises(CircuitRejected, match="Too wide"):
        hub.backend("aer").run(bell)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"noise_model": 1}, "option.unknown"),
        ({"memory": "yes"}, "option.value"),
        ({"shots": 0}, "option.value"),
        ({"shots": 100_001}, "option.value"),
        ({"shots": True}, "option.value"),
    ],
)
def test_unknown_options_are_refused_unsent(
    service: Service, hub: Hub, bell: QuantumCircuit, options: dict[str, object], code: str
) -> None:
    """An option that the device lacks, or a value that it cannot take, raises before anything is sent."""
    backend = hub.backend("aer")
    before = len(service.seen)
    with pytest.raises(OptionRejected) as caught:
        backend.run(bell, **options)
    assert caught.value.code == code
    assert len(service.seen) == before


def test_numpy_shots_are_numbers(hub: Hub, bell: QuantumCircuit) -> None:
    """``np.int64`` counts as an integer."""
    assert sum(hub.backend("aer").run(bell, shots=np.int64(12)).result().get_counts().values()) == 12


def test_unbound_parameters_are_refused(hub: Hub) -> None:
    """A circuit with parameters left is named."""
    circuit = QuantumCircuit(1, name="free")
    circuit.rx(Parameter("a"), 0)
    with pytest.raises(CircuitRejected, match="'free' has 1 parameter"):
        hub.backend("aer").run(circuit)


def test_too_many_circuits_and_none(hub: Hub, bell: QuantumCircuit) -> None:
    """The count of circuits is checked before sending."""
    with pytest.raises(CircuitRejected, match="4 circuits are more than the 3"):
        hub.backend("aer").run([bell] * 4)
    with pytest.raises(CircuitRejected, match="no circuit"):
        hub.backend("aer").run([])
    with pytest.raises(CircuitRejected, match="int is not a circuit"):
        hub.backend("aer").run([1])


def test_openqasm_text(hub: Hub, service: Service, bell: QuantumCircuit) -> None:
    """Texts of both versions run; comments before the version do not confuse."""
    for text, form in [(qasm2.dumps(bell), "qasm2"), ("// three\n/* x */ " + qasm3.dumps(bell), "qasm3")]:
        work = run_work(text)
        assert work.circuits.format == form
        assert work.circuits.data == text.encode()
    counts = hub.backend("aer").run(qasm2.dumps(bell), shots=10).result().get_counts()
    assert sum(counts.values()) == 10
    with pytest.raises(CircuitRejected, match="alone"):
        hub.backend("aer").run([qasm2.dumps(bell), bell])


def test_qpy_13_where_it_can(bell: QuantumCircuit) -> None:
    """The lowest QPY version that holds the circuits is written."""
    assert qpy_version(to_qpy([bell])) == 13
    stretched = QuantumCircuit(1)
    stretch = stretched.add_stretch("s")
    stretched.delay(stretch, 0)
    assert qpy_version(to_qpy([stretched])) > 13


def test_legacy_primitives_reach_the_door(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Qiskit's own BackendSamplerV2 on our backend: one call, one job, memory included."""
    sampler = BackendSamplerV2(backend=hub.backend("aer"), options={"seed_simulator": 5})
    ours = sampler.run([bell], shots=300).result()[0].data.meas
    aers = BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": 5}).run([bell], shots=300).result()
    assert ours == aers[0].data.meas
    assert len(service.jobs) == 1


def test_transpiles_for_the_device(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """``transpile`` and the preset pass manager take the backend; the Target is read once."""
    backend = hub.backend("aer")
    assert transpile(bell, backend).count_ops()["measure"] == 2
    assert generate_preset_pass_manager(optimization_level=1, backend=backend).run(bell).num_clbits == 2
    assert service.paths("GET").count("devices/aer/target") == 1
    assert backend.target.description


def test_a_job_is_called_like_the_variable(hub: Hub, service: Service) -> None:
    """Where Qiskit made the circuit's name up, the notebook's variable names the job; a given name wins."""
    teleport = QuantumCircuit(1, 1)
    teleport.measure(0, 0)
    hub.backend("aer").run([teleport])
    hub.sampler("aer").run([(teleport,)])
    hub.backend("aer").run(teleport, name="mine")
    hub.backend("aer").run(teleport.copy(name="theirs"))
    hub.backend("aer").run(teleport.copy(name="circuit-1"))
    names = [job.name for job in service.jobs.values()]
    assert names == ["teleport", "teleport", "mine", "theirs", "circuit-1"]


def test_refresh_reads_a_new_calibration(service: Service, hub: Hub) -> None:
    """A new calibration digest drops the Target; the same digest keeps it."""
    backend = hub.backend("aer")
    first = backend.target
    assert backend.refresh().target is first
    old = service.devices["aer"]
    newer = old.calibration.model_copy(update={"digest": "sha256:" + "0" * 64})
    service.devices["aer"] = old.model_copy(update={"calibration": newer})
    assert backend.refresh().target is not first


def test_targets_survive_the_journey() -> None:
    """A Target of JSON says the same as the one that was written, for a device with errors and for a simulator."""
    from qiskit.providers.fake_provider import GenericBackendV2

    for target in (GenericBackendV2(5, seed=1, control_flow=True).target, AerSimulator().target):
        document = target_to_json(target)
        assert canonical(target_to_json(target_from_json(document))) == canonical(document)


def test_target_skips_what_it_does_not_know() -> None:
    """Operations of a later Qiskit are left out."""
    gate = {"name": "later", "kind": "gate", "params": [], "num_qubits": 1, "props": None}
    target = target_from_json({"num_qubits": 2, "operations": [gate, gate | {"name": "h"}]})
    assert list(target.operation_names) == ["h"]


def test_transpiled_and_source(hub: Hub, bell: QuantumCircuit) -> None:
    """A job shows its circuits as sent and as run."""
    job = hub.backend("aer").run(bell, shots=10)
    assert job.transpiled[0].count_ops() == bell.count_ops()
    assert job.source[0] == bell


def test_run_does_not_wait_for_long_jobs(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """The first request asks to be held back for a quarter of a second only."""
    hub.backend("aer").run(bell)
    assert next(path for method, path, _ in service.seen if method == "POST").endswith(f"wait={submit.FIRST_WAIT_S}")


def test_one_device_to_fall_back_to_needs_no_list() -> None:
    """A name alone is that name, not its letters."""
    assert submit.names_of("fake_fez") == ("fake_fez",)
    assert submit.names_of(one for one in ("fake_fez", "aer")) == ("fake_fez", "aer")
