"""``SamplerV2``, ``EstimatorV2``, ``Session`` and ``Batch``: Qiskit's results, IBM's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Parameter, QuantumRegister
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2 as AerSampler

from jupyter_quantum import Batch, EstimatorV2, SamplerV2, Session
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.options import SamplerOptions
from jupyter_quantum.core.jobs import JobKind, JobState
from jupyter_quantum.exceptions import CircuitRejected, Conflict, InputError, OptionRejected
from tests.unit.client.conftest import Service


@pytest.fixture
def turn() -> QuantumCircuit:
    """One rotation with a parameter, measured."""
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_sampler_equals_aer(hub: Hub, bell: QuantumCircuit, turn: QuantumCircuit) -> None:
    """Bit arrays and shapes are Aer's for the same seed, parameters and shapes included."""
    pubs = [(bell,), (turn, [[0.1], [0.2], [0.3]], 50)]
    sampler = SamplerV2(mode=hub.backend("aer"), options={"simulator": {"seed_simulator": 11}})
    ours = sampler.run(pubs, shots=200).result()
    aers = BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": 11}).run(pubs, shots=200).result()
    for mine, theirs in zip(ours, aers, strict=True):
        assert mine.data.shape == theirs.data.shape
        assert mine.data.meas == theirs.data.meas
    assert ours[0].data.meas == AerSampler(seed=11).run([bell], shots=200).result()[0].data.meas
    assert ours[0].data.meas.num_shots == 200
    assert ours[1].data.meas.num_shots == 50


def test_estimator_equals_the_reference(hub: Hub) -> None:
    """Values and standard errors are BackendEstimatorV2's for the same seed, broadcast included."""
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    pub = (circuit, [[SparsePauliOp(["XX", "ZZ"], [1, 0.5])], [SparsePauliOp("IZ")]], [[0.1], [0.2]])
    estimator = EstimatorV2(mode=hub.backend("aer"), options={"simulator": {"seed_simulator": 3}})
    ours = estimator.run([pub], precision=0.05).result()[0]
    reference = BackendEstimatorV2(backend=AerSimulator(), options={"seed_simulator": 3})
    theirs = reference.run([pub], precision=0.05).result()[0]
    assert np.array_equal(ours.data.evs, theirs.data.evs)
    assert np.array_equal(ours.data.stds, theirs.data.stds)
    assert ours.data.shape == (2, 2)


def test_circuit_metadata_comes_back(hub: Hub, bell: QuantumCircuit) -> None:
    """PUB metadata holds the circuit's own."""
    bell.metadata = {"who": np.float64(1)}
    assert hub.sampler("aer").run([bell]).result()[0].metadata["circuit_metadata"] is bell.metadata


def test_shots_come_from_pub_call_options_default(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """The nearest word on shots counts; a circuit that several PUBs share travels once."""
    sampler = hub.sampler("aer")
    sampler.run([(bell, None, 5), bell], shots=6)
    sampler.options.default_shots = 7
    sampler.run([bell])
    hub.sampler("aer").run([bell])
    bundles = list(service.bundles.values())
    assert [[pub.shots for pub in pubs] for _, pubs in bundles] == [[5, 6], [7], [1024]]
    assert [pub.circuit for pub in bundles[0][1]] == [0, 0]


def test_precision_comes_from_options(service: Service, hub: Hub) -> None:
    """IBM's ``default_shots`` of an estimator is a precision."""
    circuit = QuantumCircuit(1)
    for options in ({}, {"default_precision": 0.1}, {"default_shots": 400}):
        hub.estimator("aer", options).run([(circuit, "Z")])
    assert [pubs[0].precision for _, pubs in service.bundles.values()] == [0.015625, 0.1, 0.05]


@pytest.mark.parametrize(
    "options",
    [
        {"dynamical_decoupling": {"enable": True}},
        {"dynamical_decoupling": True},
        {"twirling": {"enable_gates": True}},
        {"execution": {"meas_type": "kerneled"}},
        {"environment": {"private": True}},
        {"simulator": {"noise_model": {"x": 1}}},
        {"max_execution_time": 10},
    ],
)
def test_what_the_device_cannot_do_raises(
    service: Service, hub: Hub, bell: QuantumCircuit, options: dict[str, object]
) -> None:
    """An option without effect there is refused before anything is priced."""
    sampler = hub.sampler("aer", options)
    with pytest.raises(OptionRejected, match="aer"):
        sampler.run([bell])
    assert service.paths("POST") == []


def test_mitigation_raises_and_off_does_not(hub: Hub) -> None:
    """Resilience is refused; saying that it is off is not."""
    estimator = hub.estimator("aer", {"resilience_level": 1})
    pub = (QuantumCircuit(1), "Z")
    with pytest.raises(OptionRejected, match="resilience_level"):
        estimator.run([pub])
    estimator.options.resilience_level = 0
    estimator.options.dynamical_decoupling.enable = False
    estimator.options.dynamical_decoupling.sequence_type = "XY4"
    assert estimator.run([pub]).result()[0].data.evs.shape == ()


def test_a_device_that_can_is_named(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """An option that one device lacks names those that have it; options of a vendor's own travel under their names."""
    able = service.devices["fake_torino"]
    schema = able.options["sampler"]
    wider = schema | {"properties": schema["properties"] | {"debiasing": {"type": "boolean", "default": False}}}
    service.devices["fake_torino"] = able.model_copy(update={"options": able.options | {"sampler": wider}})
    sampler = hub.sampler("aer", {"device": {"debiasing": True}})
    with pytest.raises(OptionRejected, match="aer cannot do debiasing = True") as caught:
        sampler.run([bell])
    assert caught.value.hint == "Devices that can: fake_torino."
    hub.sampler("fake_torino", {"device": {"debiasing": True}}).run([bell])
    assert [job.options["debiasing"] for job in service.jobs.values()] == [True]


def test_variables_that_cannot_travel_are_refused(hub: Hub) -> None:
    """Stretches and real variables are named before anything is sent."""
    stretched = QuantumCircuit(1)
    stretched.add_stretch("wait")
    real = QuantumCircuit(1)
    real.add_var("angle", 0.5)
    for circuit, name in ((stretched, "wait"), (real, "angle")):
        with pytest.raises(CircuitRejected, match=f"'{name}'") as caught:
            hub.backend("aer").run(circuit)
        assert caught.value.code == "circuit.variables"


def test_options_read_as_ibms() -> None:
    """Attribute access, nested updates, unknown names refused, a readable representation."""
    options = SamplerOptions(default_shots=3, simulator={"seed_simulator": 4})
    options.update(environment={"job_tags": ["a"]})
    assert options.simulator.seed_simulator == 4
    assert options.environment.job_tags == ["a"]
    assert SamplerOptions(dict(options)) == options
    assert "default_shots=3" in repr(options)
    with pytest.raises(OptionRejected, match="no option 'shots'"):
        options.shots = 5
    with pytest.raises(OptionRejected, match="dynamical_decoupling has no option"):
        options.dynamical_decoupling.on = True


def test_tags_name_the_job(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """IBM's job tags become the job's name."""
    hub.sampler("aer", {"environment": {"job_tags": ["thesis", "fig-3"]}}).run([bell])
    assert [job.name for job in service.jobs.values()] == ["thesis, fig-3"]


def test_registers_that_break_databin_are_refused(hub: Hub) -> None:
    """A register called like a method of DataBin is refused with a name that works."""
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "keys"))
    circuit.measure(0, 0)
    with pytest.raises(CircuitRejected, match="'mykeys'"):
        hub.sampler("aer").run([circuit])


def test_statuses_are_ibms_words(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """A primitive's job speaks strings."""
    service.hold_back = True
    job = hub.sampler("fake_torino").run([bell])
    words = []
    for state in (JobState.VALIDATED, JobState.AWAITING_APPROVAL, JobState.RUNNING):
        service.move(job.job_id(), state)
        words.append(job.status())
    assert job.running()
    service.run(job.job_id())
    assert [*words, job.status()] == ["INITIALIZING", "QUEUED", "RUNNING", "DONE"]
    assert job.view.kind is JobKind.SAMPLER


def test_session_and_batch_group_jobs(hub: Hub, bell: QuantumCircuit) -> None:
    """``Sampler()`` finds the open session; a closed one takes nothing more."""
    with Session(backend=hub.backend("aer"), max_time="1h") as session:
        job = SamplerV2().run([bell])
        assert session.jobs == [job]
        assert session.backend() == "aer"
        assert SamplerV2().mode is session
    assert session.status() == "closed"
    with pytest.raises(Conflict, match="closed"):
        SamplerV2(mode=session).run([bell])
    with pytest.raises(InputError, match="No device"):
        SamplerV2()


def test_a_session_is_known_to_the_service(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Its jobs say which one, what it is and how long it may be open; closing it is told once; nothing before a job."""
    device = service.devices["aer"]
    service.devices["aer"] = device.model_copy(update={"sessions": {"session": "batch"}})
    with Session(backend=hub.backend("aer"), max_time="1h 30m") as session:
        with pytest.raises(Conflict, match="no job yet"):
            session.details()
        SamplerV2().run([bell])
        assert (session.at_vendor, session.details().state) == ("batch", "open")
        assert repr(session) == "<Session on aer: open, 1 jobs, a batch at the vendor>"
    session.close()
    said = service.said[-1].session
    assert said is not None
    assert (said.id, said.kind, said.max_s) == (session.session_id, "session", 5400.0)
    assert session.details().state == "closed"
    closings = [path for method, path, _ in service.seen if method == "POST" and path.endswith("/close")]
    assert closings == [f"/services/quantum/api/v1/sessions/{session.session_id}/close"]
    with Batch(backend=hub.backend("aer")) as empty:
        assert empty.at_vendor is None
    assert len([path for _, path, _ in service.seen if "/sessions/" in path and path.endswith("/close")]) == 1


@pytest.mark.parametrize("given", [0, -5, True, 1.5, "", "soon", "2 fortnights", 40 * 86_400])
def test_a_time_that_is_none_is_refused(hub: Hub, given: Any) -> None:
    """``max_time`` is seconds or words such as 2h 30m, and nothing else."""
    with pytest.raises(InputError) as refused:
        Session(backend=hub.backend("aer"), max_time=given)
    assert refused.value.code == "session.max_time"


def test_batch_cancels_what_waits(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Cancelling a batch cancels the jobs that have not ended."""
    service.hold_back = True
    with Batch(backend=hub.backend("fake_fez")) as batch:
        jobs = [SamplerV2(mode=batch).run([bell]) for _ in range(2)]
        service.run(jobs[0].job_id())
        batch.cancel()
    assert [job.state for job in jobs] == [JobState.COMPLETED, JobState.CANCELLED]


def test_foreign_backends_have_their_own_primitives() -> None:
    """Our primitives run on the hub's devices only, and say so."""
    with pytest.raises(InputError, match="AerSimulator is not a device of this hub"):
        SamplerV2(mode=AerSimulator())
