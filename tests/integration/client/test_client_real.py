"""The client on the real service: the same numbers as Aer, the same refusals as on the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2 as AerSampler
from qiskit_ibm_runtime.fake_provider import FakeTorino

from jupyter_quantum import Hub
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import CircuitRejected, NotFound, OptionRejected, PolicyRefused, QuotaExceeded, Refused
from jupyter_quantum.testing.demo import DemoHub
from jupyter_quantum.wire.jobs import JobView

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def bell() -> QuantumCircuit:
    """Two entangled qubits, measured, with metadata."""
    circuit = QuantumCircuit(2, name="bell", metadata={"figure": 3})
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.fixture(scope="module")
def noisy() -> AerSimulator:
    """Aer with the noise of the real device's snapshot, as anyone would build it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AerSimulator.from_backend(FakeTorino())


def test_run_equals_aer(hub: Hub, bell: QuantumCircuit) -> None:
    """Counts, memory, order and metadata of a run on the shared simulator are Aer's own."""
    ones = QuantumCircuit(1, 1, name="ones")
    ones.x(0)
    ones.measure(0, 0)
    ours = hub.backend("aer").run([ones, bell], shots=700, seed_simulator=7, memory=True).result()
    aers = AerSimulator().run([ones, bell], shots=700, seed_simulator=7, memory=True).result()
    assert [ours.get_memory(i) for i in range(2)] == [aers.get_memory(i) for i in range(2)]
    assert ours.get_counts(bell) == aers.get_counts(bell)
    assert ours.results[1].header["metadata"] == {"figure": 3}


def test_primitives_equal_aers_and_qiskits(hub: Hub, bell: QuantumCircuit) -> None:
    """Sampler and estimator on the shared simulator give the references' bits for the same seed."""
    seed = {"simulator": {"seed_simulator": 11}}
    sampled = hub.sampler("aer", seed).run([bell], shots=300).result()[0].data.meas
    assert sampled == AerSampler(seed=11).run([bell], shots=300).result()[0].data.meas
    assert (
        sampled
        == BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": 11})
        .run([bell], shots=300)
        .result()[0]
        .data.meas
    )
    turn = QuantumCircuit(2)
    turn.ry(Parameter("a"), 0)
    turn.cx(0, 1)
    pub = (turn, [[SparsePauliOp(["XX", "ZZ"], [1, 0.5])], ["IZ"]], [[0.1], [0.2]])
    ours = hub.estimator("aer", seed).run([pub], precision=0.05).result()[0].data
    reference = BackendEstimatorV2(backend=AerSimulator(), options={"seed_simulator": 11})
    theirs = reference.run([pub], precision=0.05).result()[0].data
    assert np.array_equal(ours.evs, theirs.evs)
    assert np.array_equal(ours.stds, theirs.stds)


def test_emulator_equals_aer_with_its_noise(hub: Hub, noisy: AerSimulator, bell: QuantumCircuit) -> None:
    """A circuit laid out for fake_torino gives the noisy simulator's bits: run, sampler, estimator."""
    laid_out = generate_preset_pass_manager(1, backend=hub.backend("fake_torino"), seed_transpiler=1).run(bell)
    ours = hub.backend("fake_torino").run(laid_out, shots=400, seed_simulator=5).result().get_counts()
    assert ours == noisy.run(laid_out, shots=400, seed_simulator=5).result().get_counts()
    sampled = hub.sampler("fake_torino", {"simulator": {"seed_simulator": 5}}).run([laid_out], shots=400).result()
    assert (
        sampled[0].data.meas == AerSampler.from_backend(noisy, seed=5).run([laid_out], shots=400).result()[0].data.meas
    )
    pair = laid_out.remove_final_measurements(inplace=False)
    observable = SparsePauliOp("ZZ").apply_layout(laid_out.layout)
    options = {"simulator": {"seed_simulator": 5}}
    found = hub.estimator("fake_torino", options).run([(pair, observable)], precision=0.1).result()[0].data
    reference = BackendEstimatorV2(backend=noisy, options={"seed_simulator": 5})
    theirs = reference.run([(pair, observable)], precision=0.1).result()[0].data
    assert (float(found.evs), float(found.stds)) == (float(theirs.evs), float(theirs.stds))


def test_the_target_is_the_devices(hub: Hub, bell: QuantumCircuit) -> None:
    """Transpiling for the backend here is transpiling for the real snapshot."""
    ours, theirs = hub.backend("fake_torino").target, FakeTorino().target
    assert ours.num_qubits == theirs.num_qubits
    assert ours["cz"].keys() == theirs["cz"].keys()
    mine, other = (transpile(bell, target=target, seed_transpiler=1) for target in (ours, theirs))
    assert mine == other


def test_a_circuit_that_fits_is_not_altered(hub: Hub, bell: QuantumCircuit) -> None:
    """What the device ran is what was sent; anything else is transpiled and shown."""
    laid_out = generate_preset_pass_manager(1, backend=hub.backend("fake_torino"), seed_transpiler=1).run(bell)
    ran = hub.backend("fake_torino").run(laid_out, shots=10)
    ran.result()
    assert ran.transpiled[0].count_ops() == laid_out.count_ops()
    other = hub.backend("fake_torino").run(bell, shots=10)
    other.result()
    assert "cz" in other.transpiled[0].count_ops()
    assert other.source[0] == bell


def test_openqasm_and_errors_in_it(hub: Hub, bell: QuantumCircuit) -> None:
    """Text runs; a mistake is named."""
    assert sum(hub.backend("aer").run(qasm3.dumps(bell), shots=50).result().get_counts().values()) == 50
    with pytest.raises(CircuitRejected, match="Line 3"):
        hub.backend("aer").run('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1] nonsense;')


def test_refusals(hub: Hub, bell: QuantumCircuit) -> None:
    """Policy, quota, options, price: each its own class, and each refusal is a job on record."""
    with pytest.raises(PolicyRefused, match=r"over 10\s000 in the sandbox tier") as caught:
        hub.backend("aer").run(bell, shots=20_000)
    assert hub.job(caught.value.details["job"]).state is JobState.REJECTED
    with pytest.raises(QuotaExceeded, match="are left"):
        hub.backend("campus_qpu").run([bell] * 20, shots=5_000)
    with pytest.raises(OptionRejected):
        hub.backend("aer").run(bell, noise_model="x")
    with pytest.raises(Refused, match="you allowed"):
        hub.backend("fake_torino").run(bell, max_price=0.01)


def test_found_again_followed_and_accounted(demo: DemoHub, hub: Hub, bell: QuantumCircuit) -> None:
    """Another notebook finds the job; its moves are told; the quota falls by the cost; strangers see nothing."""
    before = hub.quota().left
    states: list[JobView] = []
    job = hub.submit(hub.report(bell, shots=100, devices=["fake_fez"]), "fake_fez", max_price=1)
    following = hub.follow(job, states.append)
    counts = job.result(timeout=60).get_counts()
    following.join(10)
    assert states[-1].state is JobState.COMPLETED
    later = Hub(url=demo.service, token=demo.token("ben"))
    assert later.job(job.job_id()).result().get_counts() == counts
    assert before - hub.quota().left == pytest.approx(job.cost * 1e6, abs=1)
    assert job.provenance.versions["qiskit"]
    with pytest.raises(NotFound, match="not visible to you"):
        Hub(url=demo.service, token=demo.token("ada")).job(job.job_id())


def test_events_arrive(hub: Hub, bell: QuantumCircuit) -> None:
    """The stream tells of a run while it happens."""
    import threading

    told: list[str] = []
    arrived = threading.Event()
    subscription = hub.subscribe(lambda event: (told.append(event.type), arrived.set()))
    for _ in range(50):
        hub.backend("aer").run(bell, shots=10).result()
        if arrived.wait(0.2):
            break
    subscription.stop()
    assert told


def test_command_line(demo: DemoHub, tmp_path: Path, bell: QuantumCircuit) -> None:
    """``run --wait --json`` as a script calls it."""
    file = tmp_path / "bell.qasm"
    file.write_text(qasm3.dumps(bell))
    env = os.environ | {"JUPYTER_QUANTUM_URL": demo.service, "JUPYTERHUB_API_TOKEN": demo.token("ben")}
    command = [sys.executable, "-m", "jupyter_quantum", "run", str(file), "--shots", "64", "--wait", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert sum(document["result"][0]["counts"].values()) == 64
    assert document["name"] == "bell"
