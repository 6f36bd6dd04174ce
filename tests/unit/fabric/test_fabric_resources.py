"""What a circuit would take: all of its gates, those in loops and branches too, and no more than is known."""

from __future__ import annotations

from qiskit import QuantumCircuit

from jupyter_quantum.fabric.resources import resources


def test_what_a_loop_repeats_counts_as_often() -> None:
    """A loop is what it comes to when it is written out."""
    looped, written = QuantumCircuit(2), QuantumCircuit(2)
    with looped.for_loop(range(40)):
        looped.t(0)
        looped.rz(0.3, 1)
        looped.cx(0, 1)
    for _ in range(40):
        written.t(0)
        written.rz(0.3, 1)
        written.cx(0, 1)
        written.barrier()
    found, known = resources(looped), resources(written)
    assert (found.t_count, found.rotations, found.gates) == (40, 40, 120)
    assert (found.t_states, found.gates, found.note) == (known.t_states, known.gates, "")
    assert [one.physical_qubits for one in found.models] == [one.physical_qubits for one in known.models]


def test_branches_are_counted_and_said() -> None:
    """Nobody knows which branch is taken, nor how often a loop goes round: the note says what was assumed."""
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.t(1)
    with otherwise:
        circuit.t(0)
    found = resources(circuit)
    assert (found.t_count, found.measurements) == (2, 1)
    assert "Of branches all are counted" in found.note


def test_clifford_gates_alone_need_no_estimator() -> None:
    """Without a measurement the estimator has no answer: gates are counted, and it is said why there is no more."""
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    found = resources(circuit)
    assert (found.method, found.gates, found.depth, found.models) == ("count", 3, 3, [])
    assert "nothing to estimate" in found.note
