"""Noise of what a circuit does is the noise of the whole device: for the same seed the same bits."""

from __future__ import annotations

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeLagosV2

from jupyter_quantum.fabric.isa import used
from jupyter_quantum.fabric.noise import noise_of

_BACKEND = FakeLagosV2()


def _ghz() -> QuantumCircuit:
    circuit = QuantumCircuit(4)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def _conditional() -> QuantumCircuit:
    circuit = QuantumCircuit(3, 3)
    circuit.sx(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
        circuit.cx(1, 2)
    with otherwise:
        circuit.reset(1)
        circuit.sx(2)
    circuit.measure([1, 2], [1, 2])
    return circuit


def _waiting() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.delay(40_000, 0, "dt")
    circuit.id(1)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("make", [_ghz, _conditional, _waiting], ids=lambda one: one.__name__.strip("_"))
def test_the_bits_are_those_of_the_whole_device(make: object) -> None:
    """Every operation's error is in the smaller model: gates, readout, resets, waiting, and what blocks contain."""
    circuit = transpile(make(), _BACKEND, optimization_level=1, seed_transpiler=3)  # type: ignore[operator]
    smaller = noise_of(_BACKEND.target, used([circuit]))
    whole = NoiseModel.from_backend(_BACKEND)
    simulator = AerSimulator()

    def memory(model: NoiseModel) -> list[str]:
        found = simulator.run(circuit, noise_model=model, shots=400, seed_simulator=11, memory=True).result()
        return list(found.get_memory())

    assert memory(smaller) == memory(whole)
    assert not smaller.is_ideal()


def test_only_what_is_done_is_in_it() -> None:
    """Other gates and other qubits cost nothing."""
    circuit = QuantumCircuit(7, 1)
    circuit.sx(3)
    circuit.measure(3, 0)
    found = noise_of(_BACKEND.target, used([circuit]))
    assert found.noise_qubits == [3]
    assert set(found.noise_instructions) == {"sx", "measure"}
