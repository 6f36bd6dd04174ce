"""Devices that measure at the end: what a circuit for them may not do, and which bit comes from which qubit."""

from __future__ import annotations

from qiskit import ClassicalRegister, QuantumCircuit

from jupyter_quantum.fabric.isa import Misfit

__all__ = ["flat", "measured", "squeezed", "unfinished"]


def measured(circuit: QuantumCircuit) -> dict[int, int]:
    """Index of the classical bit → index of the qubit that is measured into it, by rising bit."""
    found = {
        circuit.find_bit(step.clbits[0]).index: circuit.find_bit(step.qubits[0]).index
        for step in circuit.data
        if step.name == "measure"
    }
    return dict(sorted(found.items()))


def unfinished(circuit: QuantumCircuit) -> Misfit | None:
    """The first operation on a qubit that is measured already, or a bit that is written twice; None: there is none."""
    qubits: set[int] = set()
    bits: set[int] = set()
    for step in circuit.data:
        here = tuple(circuit.find_bit(qubit).index for qubit in step.qubits)
        if step.name != "barrier" and qubits.intersection(here):
            return Misfit(step.name, here, late=True)
        if step.name == "measure":
            bit = circuit.find_bit(step.clbits[0]).index
            if bit in bits:
                return Misfit("measure", here, late=True)
            qubits.update(here)
            bits.add(bit)
    return None


def squeezed(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without its idle qubits, for a machine on which every qubit reaches every other."""
    used = {circuit.find_bit(qubit).index for step in circuit.data if step.name != "barrier" for qubit in step.qubits}
    places = {qubit: at for at, qubit in enumerate(sorted(used))}
    narrow = QuantumCircuit(len(places), name=circuit.name, global_phase=circuit.global_phase)
    narrow.add_bits(circuit.clbits)
    for register in circuit.cregs:
        narrow.add_register(register)
    for step in circuit.data:
        if step.name != "barrier":
            qubits = [places[circuit.find_bit(qubit).index] for qubit in step.qubits]
            narrow.append(step.operation, qubits, [circuit.find_bit(bit).index for bit in step.clbits])
    return narrow


def flat(circuit: QuantumCircuit) -> QuantumCircuit:
    """Squeezed, with one classical register of the bits that are measured, in the order of :func:`measured`."""
    narrow = squeezed(circuit)
    bits = measured(narrow)
    plain = QuantumCircuit(narrow.qubits, ClassicalRegister(len(bits), "c"), name="circuit")
    for step in narrow.data:
        if step.name != "measure":
            plain.append(step.operation, step.qubits)
    for at, qubit in enumerate(bits.values()):
        plain.measure(qubit, at)
    return plain
