"""Mirror circuits: the right answer is known without simulating anything."""

from __future__ import annotations

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeLagosV2

from jupyter_quantum.mirror import mirror_circuit


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 7])
@pytest.mark.parametrize("layers", [1, 4])
def test_the_expected_bits_come_back(num_qubits: int, layers: int) -> None:
    """Without noise every shot gives the expected bit string, and it is not always zero."""
    ideal = AerSimulator()
    seen = set()
    for seed in range(6):
        mirror = mirror_circuit(num_qubits, layers, seed)
        assert ideal.run(mirror.circuit, shots=20).result().get_counts() == {mirror.expected: 20}
        seen.add(mirror.expected)
    assert len(seen) > 1


def test_the_halves_survive_the_compiler() -> None:
    """Transpiled at the highest level, the two-qubit gates are all still there."""
    mirror = mirror_circuit(4, 5, 3)
    sent: QuantumCircuit = mirror.circuit
    laid_out = transpile(sent, FakeLagosV2(), optimization_level=3, seed_transpiler=1)
    assert laid_out.num_nonlocal_gates() >= sent.num_nonlocal_gates() // 2 > 4
    assert AerSimulator().run(laid_out, shots=20).result().get_counts() == {mirror.expected: 20}


def test_the_same_arguments_give_the_same_circuit() -> None:
    """A series compares runs of the very same circuit."""
    assert mirror_circuit(3, 2, 1) == mirror_circuit(3, 2, 1)
    assert mirror_circuit(3, 2, 1).circuit != mirror_circuit(3, 2, 2).circuit


@pytest.mark.parametrize(("num_qubits", "layers"), [(0, 1), (1, 0)])
def test_nothing_is_no_mirror_circuit(num_qubits: int, layers: int) -> None:
    """Zero qubits or layers are refused."""
    with pytest.raises(ValueError, match="at least one"):
        mirror_circuit(num_qubits, layers, 0)
