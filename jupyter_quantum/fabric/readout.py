"""Readout mitigation with M3 (P. D. Nation et al., PRX Quantum 2, 040326, 2021): the package mthree.

How often a 0 is read as 1, and a 1 as 0, is measured in the same run on the same qubits, by two circuits with the
shots of their batch: all measured qubits in 0, all in 1. The sampling error of this calibration is not in the standard
errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import mthree
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.mitigation import Corrected, Counts
from jupyter_quantum.fabric.plan import fitting
from jupyter_quantum.fabric.refusals import refusal

__all__ = ["READOUT", "Readout"]


_VERSION: Final = version("mthree")
_DIRECT: Final = 2_048
"""Outcomes up to which M3's matrix is inverted as a whole: 32 MiB."""


class Readout:
    """M3 with a calibration of its own."""

    def check(self, circuit: QuantumCircuit) -> None:
        """Raise ``circuit.mitigation`` where a bit is not the outcome of one measurement of one qubit."""
        seen: set[int] = set()
        for found in circuit.data:
            bits = [circuit.find_bit(bit).index for bit in found.clbits]
            if bits and (found.name != "measure" or seen.intersection(bits)):
                raise refusal(
                    "mitigation",
                    "The readout of a circuit cannot be mitigated: its bits decide what happens next, or are measured "
                    "more than once.",
                    'Leave out the option mitigation, or set it to "none".',
                )
            seen.update(bits)

    def more(self, circuits: int) -> int:
        """Two, for a batch of any size."""
        return 2

    def circuits(self, device: Device, batch: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """All qubits that the batch measures in 0, and all in 1."""
        qubits = sorted({qubit for circuit in batch for qubit in _measured(circuit).values()})
        width = max(circuit.num_qubits for circuit in batch)
        return [fitting(device, _prepared(width, qubits, value)) for value in range(2)]

    def corrected(
        self, batch: Sequence[QuantumCircuit], counts: Sequence[Counts], own: Sequence[tuple[QuantumCircuit, Counts]]
    ) -> list[Corrected]:
        """Quasi-probabilities of all bits."""
        solver = mthree.M3Mitigation()
        solver.cals_from_matrices(_matrices(_errors(own)))
        return [_solved(solver, circuit, seen) for circuit, seen in zip(batch, counts, strict=True)]

    def told(self, own: Sequence[tuple[QuantumCircuit, Counts]]) -> dict[str, Any]:
        """How it was done, and the errors that were found: [0 read as 1, 1 read as 0] of each qubit."""
        errors = _errors(own)
        return {
            "library": "mthree",
            "version": _VERSION,
            "method": "M3",
            "calibration": "two circuits in the same run on the same qubits: all in 0, all in 1",
            "circuits": len(own),
            "shots": min(sum(seen.values()) for _, seen in own),
            "qubits": sorted(errors),
            "errors": {str(qubit): list(errors[qubit]) for qubit in sorted(errors)},
        }


READOUT: Final = Readout()
"""What the entry point ``readout`` names."""


def _measured(circuit: QuantumCircuit) -> dict[int, int]:
    """Classical bit → qubit that was measured into it."""
    return {
        circuit.find_bit(found.clbits[0]).index: circuit.find_bit(found.qubits[0]).index
        for found in circuit.data
        if found.name == "measure"
    }


def _prepared(width: int, qubits: Sequence[int], value: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width, len(qubits), name=f"readout-{value}")
    if value and qubits:
        circuit.x(qubits)
    circuit.measure(qubits, range(len(qubits)))
    return circuit


def _errors(own: Sequence[tuple[QuantumCircuit, Counts]]) -> dict[int, tuple[float, float]]:
    """Qubit → how often 0 is read as 1, and 1 as 0."""
    found: dict[int, tuple[float, float]] = {}
    for (circuit, zeros), (_, ones) in zip(own[::2], own[1::2], strict=True):
        for bit, qubit in _measured(circuit).items():
            found.setdefault(qubit, (_share(zeros, bit), 1.0 - _share(ones, bit)))
    return found


def _share(counts: Counts, bit: int) -> float:
    return sum(times for outcome, times in counts.items() if int(outcome, 16) >> bit & 1) / sum(counts.values())


def _matrices(errors: dict[int, tuple[float, float]]) -> list[NDArray[np.float32] | None]:
    """For each qubit up to the last one M3's matrix: column is what was prepared, row what was read."""
    found: list[NDArray[np.float32] | None] = [None] * (max(errors, default=0) + 1)
    for qubit, (up, down) in errors.items():
        found[qubit] = np.array([[1 - up, down], [up, 1 - down]], dtype=np.float32)
    return found


def _solved(solver: Any, circuit: QuantumCircuit, counts: Counts) -> Corrected:
    places = _measured(circuit)
    bits = sorted(places)
    if not bits:
        return Corrected({"0x0": 1.0})
    narrow: dict[str, int] = {}
    for outcome, times in counts.items():
        key = "".join(str(int(outcome, 16) >> bit & 1) for bit in reversed(bits))
        narrow[key] = narrow.get(key, 0) + times
    qubits = [places[bit] for bit in bits]
    if len(narrow) <= _DIRECT:  # "auto" would ask a file how much memory is free
        quasi = solver.apply_correction(narrow, qubits, method="direct", return_mitigation_overhead=True)
        overhead = float(quasi.mitigation_overhead)
    else:  # M3's own estimate takes as long as some ten corrections
        quasi = solver.apply_correction(narrow, qubits, method="iterative")
        overhead = _most(solver.single_qubit_cals, qubits)
    return Corrected({_wide(key, bits): float(share) for key, share in quasi.items()}, overhead)


def _most(matrices: Sequence[Any], qubits: Sequence[int]) -> float:
    """The most that the variance can grow by: the 1-norm, squared, of the inverse on all outcomes."""
    norms = [float(np.abs(np.linalg.inv(matrices[qubit])).sum(axis=0).max()) for qubit in qubits]
    return float(np.prod(norms)) ** 2


def _wide(key: str, bits: Sequence[int]) -> str:
    return hex(sum(1 << bit for bit, one in zip(bits, reversed(key), strict=True) if one == "1"))
