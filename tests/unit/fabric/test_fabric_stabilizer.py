"""Clifford circuits as laid out for a device: exact where they are Clifford, a labelled stand-in where they are not."""

from __future__ import annotations

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Measure
from qiskit.circuit.library import XGate
from qiskit.providers import BackendV2
from qiskit.quantum_info import random_clifford
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeFractionalBackend, FakeSherbrooke, FakeTorino

from jupyter_quantum.fabric.stabilizer import sampled
from jupyter_quantum.mirror import mirror_circuit


@pytest.fixture(scope="module")
def devices() -> list[BackendV2]:
    """Devices with three kinds of two-qubit gates: cz, ecr, rzz."""
    return [FakeTorino(), FakeSherbrooke(), FakeFractionalBackend()]


@pytest.mark.parametrize("num_qubits", [2, 3, 5])
def test_a_transpiled_clifford_circuit_stays_exact(devices: list[BackendV2], num_qubits: int) -> None:
    """The transpiler's arbitrary angles between two-qubit gates cancel: the known bits come back, and no stand-in."""
    for device in devices[:2]:
        mirror = mirror_circuit(num_qubits, 4, 1)
        laid_out = transpile(mirror.circuit, device, optimization_level=2, seed_transpiler=1)
        found = sampled(laid_out, device.target, 2000, 3)
        assert found is not None
        assert not found.stand_in
        assert found.ideal == {mirror.expected: 1.0}
        assert 0.5 < found.noisy[mirror.expected] < 1


def test_outcomes_are_aers(devices: list[BackendV2]) -> None:
    """A random Clifford circuit has Aer's distribution, several registers and their spaces included."""
    circuit = QuantumCircuit(4)
    circuit.append(random_clifford(4, seed=5).to_instruction(), range(4))
    circuit.measure_all()
    other = QuantumCircuit(4, 1)
    other.compose(circuit.remove_final_measurements(inplace=False).decompose(), inplace=True)
    other.measure(0, 0)
    other.measure_all()
    for one in (circuit, other):
        laid_out = transpile(one, devices[0], optimization_level=1, seed_transpiler=1)
        found = sampled(laid_out, None, 20_000, 1)
        assert found is not None
        counts = AerSimulator().run(laid_out, shots=20_000, seed_simulator=1).result().get_counts()
        assert set(found.ideal) == set(counts)
        assert all(abs(found.ideal[bits] - counts[bits] / 20_000) < 0.02 for bits in counts)
        assert found.noisy == {}


def test_a_wide_circuit_gets_a_stand_in(devices: list[BackendV2]) -> None:
    """Arbitrary angles are rounded and the circuit is said to be a stand-in; the same seed gives the same outcomes."""
    circuit = QuantumCircuit(60)
    circuit.h(0)
    for qubit in range(59):
        circuit.cx(qubit, qubit + 1)
        circuit.rx(0.3, qubit)
    circuit.measure_all()
    laid_out = transpile(circuit, devices[0], optimization_level=1, seed_transpiler=1)
    found = sampled(laid_out, devices[0].target, 200, 7)
    assert found is not None
    assert found.stand_in
    assert {len(bits) for bits in found.noisy} == {60}
    assert found == sampled(laid_out, devices[0].target, 200, 7)
    assert found != sampled(laid_out, devices[0].target, 200, 8)


def test_what_cannot_be_rounded_is_left_alone() -> None:
    """Control flow and gates on three qubits have no Clifford circuit in their place."""
    flow = QuantumCircuit(1, 1)
    with flow.for_loop(range(2)):
        flow.x(0)
    flow.measure(0, 0)
    wide = QuantumCircuit(3, 1)
    wide.ccx(0, 1, 2)
    wide.measure(0, 0)
    assert sampled(flow, None, 10, 1) is None
    assert sampled(wide, None, 10, 1) is None


def test_an_unknown_error_makes_noise_unknown() -> None:
    """Where the calibration does not know a gate's error there are ideal outcomes only."""
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    for error, noisy in ((0.01, True), (None, False)):
        target = Target(num_qubits=1)
        target.add_instruction(XGate(), {(0,): InstructionProperties(error=error)})
        target.add_instruction(Measure(), {(0,): InstructionProperties(error=0.02)})
        found = sampled(circuit, target, 100, 1)
        assert found is not None
        assert bool(found.noisy) is noisy
        assert found.ideal == {"1": 1.0}
