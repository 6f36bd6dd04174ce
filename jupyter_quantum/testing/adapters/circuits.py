"""Circuits of the conformance suite, and what their results are read with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from jupyter_quantum.testing.adapters.bench import Bench
from jupyter_quantum.wire.results import Bits

__all__ = ["bell", "dynamic", "ghz", "marked", "registers", "share", "shots_of", "width_of"]


def bell() -> QuantumCircuit:
    """A Bell pair, measured."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def ghz(width: int) -> QuantumCircuit:
    """A GHZ state, measured."""
    circuit = QuantumCircuit(width, name="ghz")
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def marked(width: int, ones: int, name: str = "marked") -> QuantumCircuit:
    """The basis state ``ones``."""
    circuit = QuantumCircuit(width, name=name)
    for qubit in range(width):
        if ones >> qubit & 1:
            circuit.x(qubit)
    circuit.measure_all()
    return circuit


def registers() -> QuantumCircuit:
    """Qubit 0 is 1 and goes to the upper bit of *high*; qubits 1 and 2 are 0."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "low"), ClassicalRegister(2, "high"))
    circuit.x(0)
    circuit.measure([0, 1, 2], [2, 0, 1])
    return circuit


def dynamic() -> QuantumCircuit:
    """A gate that follows from a measurement."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def width_of(bench: Bench, most: int = 3) -> int:
    """As many qubits as the device has, up to ``most``."""
    return min(most, bench.device.num_qubits)


def share(counts: Mapping[str, int] | None, *outcomes: int) -> float:
    """The share of shots with one of these outcomes."""
    assert counts, "there are no counts"
    return sum(times for outcome, times in counts.items() if int(outcome, 16) in outcomes) / sum(counts.values())


def shots_of(bits: Bits) -> np.ndarray[Any, Any]:
    """Each shot of a register as a number, shape of the PUB and then shots."""
    raw = np.frombuffer(bits.array.data, dtype=np.uint8).reshape(bits.array.shape)
    total = np.zeros(raw.shape[:-1], dtype=np.int64)
    for at in range(raw.shape[-1]):
        total = total << 8 | raw[..., at]
    return total
