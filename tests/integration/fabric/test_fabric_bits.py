"""Results through the fabric equal, bit for bit, what plain Qiskit gives for the same seed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm2
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, BitArray
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2 as AerSampler
from qiskit_ibm_runtime import fake_provider

from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import Array, Bits, PubResult
from tests.integration.fabric.asking import Fabric, executable, work_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAKES = {"fake_torino": "FakeTorino", "fake_fez": "FakeFez"}
SEED = 20_260_521


@cache
def reference(device: str) -> AerSimulator:
    """The noisy simulator that a notebook would use."""
    return AerSimulator.from_backend(getattr(fake_provider, FAKES[device])())


def ghz(width: int, name: str = "ghz") -> QuantumCircuit:
    circuit = QuantumCircuit(width, name=name, metadata={"width": width})
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def dynamic() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.reset(0)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def turning() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rz(Parameter("b"), 1)
    circuit.rx(Parameter("c"), 1)
    return circuit


def numbers(array: Array | None) -> Any:
    assert array is not None
    return np.frombuffer(array.data, dtype=array.dtype).reshape(array.shape)


def bits(found: Bits) -> BitArray:
    return BitArray(numbers(found.array), found.num_bits)


def same_registers(ours: PubResult, theirs: Any) -> None:
    assert tuple(ours.shape) == theirs.data.shape
    assert list(ours.registers) == list(theirs.data)
    for name, found in ours.registers.items():
        assert bits(found) == theirs.data[name]


async def test_run_on_aer_equals_aer(fabric: Fabric) -> None:
    """Several circuits in one run: counts, memory, order, names and metadata are those of one AerSimulator().run."""
    circuits = [ghz(2, "two"), ghz(5, "five"), dynamic()]
    work = work_of(circuits, shots=2000, seed_simulator=SEED, memory=True)
    prepared, result = await fabric.run("aer", work)
    plain = AerSimulator().run(circuits, shots=2000, seed_simulator=SEED, memory=True).result()
    assert prepared.executable == work.circuits.data, "nothing was altered"
    assert prepared.compiler["altered"] is False
    for at, ours in enumerate(result.experiments):
        assert ours.counts == plain.data(at)["counts"]
        assert ours.memory == plain.data(at)["memory"]
        assert ours.seed == plain.results[at].seed_simulator
        assert ours.name == circuits[at].name
    assert result.experiments[1].header["metadata"] == {"width": 5}


async def test_run_without_memory_and_seed(fabric: Fabric) -> None:
    """A seed is chosen and recorded, and gives the same counts again; without ``memory`` there is none."""
    prepared, result = await fabric.run("aer", work_of(ghz(3), shots=500))
    seed = prepared.options["seed_simulator"]
    plain = AerSimulator().run(ghz(3), shots=500, seed_simulator=seed).result()
    assert result.experiments[0].counts == plain.data(0)["counts"]
    assert result.experiments[0].memory is None


async def test_sampler_on_aer_equals_both_references(fabric: Fabric) -> None:
    """Parametrised PUBs with shapes and shots of their own equal Aer's and Qiskit's samplers."""
    circuit = turning()
    circuit.measure_all()
    values = np.linspace(0, 3, 18).reshape(2, 3, 3)
    pubs = [
        Pub(circuit=0, parameters=values.tolist(), shots=300),
        Pub(circuit=1),
        Pub(circuit=0, parameters=[0.1, 0.2, 0.3], shots=300),
        Pub(circuit=1, shots=77),
    ]
    work = work_of([circuit, ghz(3)], "sampler", pubs, seed_simulator=SEED, default_shots=500)
    prepared, result = await fabric.run("aer", work)
    theirs = [(circuit, values, 300), (ghz(3), None, 500), (circuit, [0.1, 0.2, 0.3], 300), (ghz(3), None, 77)]
    plain = BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": SEED}).run(theirs).result()
    for ours, found in zip(result.pubs, plain, strict=True):
        same_registers(ours, found)
        assert ours.metadata == found.metadata
    for ours, found in zip(result.pubs, AerSampler(seed=SEED).run(theirs).result(), strict=True):
        same_registers(ours, found)
    assert (prepared.tasks, prepared.shots) == (6 + 1 + 1 + 1, 500)
    assert prepared.executions == 6 * 300 + 500 + 300 + 77


async def test_registers_with_hostile_names_and_widths(fabric: Fabric) -> None:
    """Registers named like methods, of odd widths and measured in part, come back each with its own bits."""
    qubits = QuantumRegister(11, "q")
    registers = [ClassicalRegister(3, "keys"), ClassicalRegister(9, "values"), ClassicalRegister(1, "shape_of")]
    circuit = QuantumCircuit(qubits, *registers)
    for qubit in range(11):
        circuit.ry(0.3 * qubit, qubit)
    circuit.measure(range(3), registers[0])
    circuit.measure(range(2, 11), registers[1])
    work = work_of(circuit, "sampler", [Pub(circuit=0, shots=400)], seed_simulator=SEED)
    _, result = await fabric.run("aer", work)
    plain = AerSimulator().run(circuit, shots=400, seed_simulator=SEED, memory=True).result()
    shots = [word.split(" ") for word in plain.get_memory(0)]
    for at, name in enumerate(["shape_of", "values", "keys"]):
        assert bits(result.pubs[0].registers[name]).get_bitstrings() == [shot[at] for shot in shots]


async def test_estimator_on_aer_equals_backend_estimator(fabric: Fabric) -> None:
    """Observables and bindings that broadcast give the values and errors of BackendEstimatorV2(AerSimulator())."""
    values = np.linspace(-1, 2, 12).reshape(4, 1, 3)
    observables = [SparsePauliOp.from_list([("ZZ", 1.0), ("XX", 0.5)]), SparsePauliOp.from_list([("YI", -2.0)])]
    pubs = [
        Pub(circuit=0, parameters=values.tolist(), observables=[{"ZZ": 1.0, "XX": 0.5}, {"YI": -2.0}]),
        Pub(circuit=0, parameters=[0.3, 0.2, 0.1], observables={"ZI": 1.0}, precision=0.05),
    ]
    work = work_of(turning(), "estimator", pubs, seed_simulator=SEED, default_precision=0.03)
    prepared, result = await fabric.run("aer", work)
    options = {"seed_simulator": SEED, "default_precision": 0.03}
    theirs = [(turning(), observables, values), (turning(), SparsePauliOp("ZI"), [0.3, 0.2, 0.1], 0.05)]
    plain = BackendEstimatorV2(backend=AerSimulator(), options=options).run(theirs).result()
    for ours, found in zip(result.pubs, plain, strict=True):
        assert np.array_equal(numbers(ours.evs), found.data.evs)
        assert np.array_equal(numbers(ours.stds), found.data.stds)
        assert ours.metadata == found.metadata
    assert prepared.tasks == 4 * 3 + 1
    assert prepared.executions == 12 * 1112 + 400


@pytest.mark.parametrize("device", sorted(FAKES))
async def test_run_on_an_emulator_equals_its_snapshot(fabric: Fabric, device: str) -> None:
    """A run with noise equals AerSimulator.from_backend on the circuits that the fabric transpiled."""
    work = work_of([ghz(2), ghz(4), dynamic()], shots=400, seed_simulator=SEED, memory=True)
    prepared, result = await fabric.run(device, work)
    circuits = executable(prepared)
    plain = reference(device).run(circuits, shots=400, seed_simulator=SEED, memory=True).result()
    for at, ours in enumerate(result.experiments):
        assert ours.memory == plain.data(at)["memory"]
    assert prepared.compiler["altered"] is True
    assert prepared.compiler["seed"] == 0
    assert prepared.success is not None
    assert 0.5 < prepared.success.low < prepared.success.value < prepared.success.high < 1


@pytest.mark.parametrize("device", sorted(FAKES))
async def test_sampler_on_an_emulator_equals_its_snapshot(fabric: Fabric, device: str) -> None:
    """Bound PUBs with noise equal BackendSamplerV2 on the snapshot's simulator."""
    circuit = turning()
    circuit.measure_all()
    values = np.linspace(0, 3, 6).reshape(2, 3)
    work = work_of(circuit, "sampler", [Pub(circuit=0, parameters=values.tolist())], seed_simulator=SEED, shots=200)
    prepared, result = await fabric.run(device, work)
    (transpiled,) = executable(prepared)
    sampler = BackendSamplerV2(backend=reference(device), options={"seed_simulator": SEED})
    plain = sampler.run([(transpiled, np.asarray(prepared.pubs[0].parameters))], shots=200).result()
    same_registers(result.pubs[0], plain[0])


@pytest.mark.parametrize("device", sorted(FAKES))
async def test_estimator_on_an_emulator_equals_its_snapshot(fabric: Fabric, device: str) -> None:
    """Values with noise equal BackendEstimatorV2 on the snapshot, with observables laid out by Qiskit itself."""
    circuit = turning().assign_parameters([0.4, 0.5, 0.6])
    pubs = [Pub(circuit=0, observables=[{"ZZ": 1.0, "XX": 0.5}, {"YI": 1.0}], precision=0.1)]
    prepared, result = await fabric.run(device, work_of(circuit, "estimator", pubs, seed_simulator=SEED))
    (transpiled,) = executable(prepared)
    observables = [
        SparsePauliOp.from_list(terms).apply_layout(transpiled.layout)
        for terms in ([("ZZ", 1.0), ("XX", 0.5)], [("YI", 1.0)])
    ]
    estimator = BackendEstimatorV2(backend=reference(device), options={"seed_simulator": SEED})
    plain = estimator.run([(transpiled, observables)], precision=0.1).result()
    assert np.array_equal(numbers(result.pubs[0].evs), plain[0].data.evs)
    assert np.array_equal(numbers(result.pubs[0].stds), plain[0].data.stds)


async def test_what_was_transpiled_is_not_altered_again(fabric: Fabric) -> None:
    """A circuit that comes back laid out runs byte for byte as sent; on another device its broken edge is named."""
    prepared = await fabric.prepare("fake_torino", work_of(ghz(3)))
    laid_out = executable(prepared)
    again = await fabric.prepare("fake_torino", work_of(laid_out, transpile="never"))
    assert again.error is None
    assert again.compiler["altered"] is False
    assert again.num_qubits == 3
    elsewhere = await fabric.prepare("fake_fez", work_of(laid_out))
    assert elsewhere.error is not None
    assert elsewhere.error.code == "circuit.layout"
    assert "fake_fez has no `" in elsewhere.error.message
    noiseless = await fabric.prepare("aer", work_of(laid_out))
    assert noiseless.error is None


async def test_never_transpile(fabric: Fabric) -> None:
    """``transpile="never"`` refuses what is not in the device's instructions and names the first that is not."""
    prepared = await fabric.prepare("fake_torino", work_of(ghz(2), transpile="never"))
    assert prepared.error is not None
    assert (prepared.error.code, prepared.error.details["gate"]) == ("circuit.not_isa", "h")


async def test_openqasm_is_run_as_it_reads(fabric: Fabric) -> None:
    """OpenQASM with a gate of its own is translated for Aer, recorded as transpiled, and gives the same counts."""
    text = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\ngate mine a,b {h a; cx a,b;}\n'
    text += "mine q[0],q[1];\nmeasure q -> c;\n"
    sent = CircuitBundle(format="qasm2", data=text.encode())
    prepared, result = await fabric.run("aer", work_of(sent, shots=300, seed_simulator=SEED))
    assert prepared.compiler["altered"] is True
    plain = AerSimulator().run(executable(prepared), shots=300, seed_simulator=SEED).result()
    assert result.experiments[0].counts == plain.data(0)["counts"]
    assert set(result.experiments[0].counts or {}) == {"0x0", "0x3"}
    standard = QuantumCircuit(2, 2)
    standard.h(0)
    standard.cx(0, 1)
    standard.measure([0, 1], [0, 1])
    plain_text = CircuitBundle(format="qasm2", data=qasm2.dumps(standard).encode())
    prepared, _ = await fabric.run("aer", work_of(plain_text, shots=300))
    assert prepared.compiler["altered"] is False


async def test_readout_is_mitigated_in_the_locked_worker(fabric: Fabric) -> None:
    """mthree runs there; raw bits are those of a run without it, mitigated values are nearer to the ideal ones."""
    plain, asked = (
        work_of(ghz(4), "sampler", [Pub(circuit=0, shots=2000)], seed_simulator=SEED, mitigation=value)
        for value in ("none", "readout")
    )
    _, bare = await fabric.run("fake_torino", plain)
    prepared, view = await fabric.run("fake_torino", asked)
    assert view.pubs[0].registers == bare.pubs[0].registers
    assert (prepared.executions, prepared.tasks) == (3 * 2000, 3)
    found = view.pubs[0].mitigated
    assert found is not None
    raw = bits(view.pubs[0].registers["meas"]).get_counts()
    good = (raw["0000"] + raw["1111"]) / 2000
    assert good < found.quasi[0]["0x0"] + found.quasi[0]["0xf"] < 1.05
    assert view.mitigation["library"] == "mthree"
    flat = QuantumCircuit(13)
    flat.h(range(13))
    flat.measure_all()
    many = work_of(flat, "sampler", [Pub(circuit=0, shots=2700)], seed_simulator=SEED, mitigation="readout")
    _, wide = await fabric.run("fake_torino", many)
    quasi = wide.pubs[0].mitigated
    assert quasi is not None
    assert len(quasi.quasi[0]) > 2048  # more outcomes than M3's matrix is inverted for
    assert sum(quasi.quasi[0].values()) == pytest.approx(1, abs=0.01)
