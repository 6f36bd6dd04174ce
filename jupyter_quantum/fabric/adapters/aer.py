"""Qiskit Aer as a device: a simulator without noise, bit for bit what ``AerSimulator()`` gives in a notebook.

A circuit that Aer takes as it stands is not transpiled; only gates that Aer does not know are translated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from qiskit import QuantumCircuit
from qiskit.circuit import controlflow
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.isa import Misfit, active_qubits, steps
from jupyter_quantum.fabric.noise import widest
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.wire.devices import Interval

__all__ = ["AerDevice"]

_FLOW = {
    "if_else": controlflow.IfElseOp,
    "while_loop": controlflow.WhileLoopOp,
    "for_loop": controlflow.ForLoopOp,
    "switch_case": controlflow.SwitchCaseOp,
}


class AerDevice(Device):
    """Aer's automatic simulator."""

    kind: ClassVar[DeviceKind] = DeviceKind.SIMULATOR
    vendor: ClassVar[str] = "Qiskit"
    level: ClassVar[int] = 1

    def __init__(self, spec: DeviceSpec, threads: int) -> None:
        target: Target = AerSimulator().target
        target.description = "Qiskit Aer, without noise"
        super().__init__(spec, threads, target, None)
        self._flat = frozenset(target.operation_names) - _INTERNAL - frozenset(_FLOW) | {"barrier"}
        """Names that say enough: there are no blocks to look into."""
        self._names = frozenset(target.operation_names) - _INTERNAL | frozenset(_FLOW)

    def width(self, circuit: QuantumCircuit) -> int:
        """Idle qubits cost nothing: a circuit laid out on a large device may run here as well."""
        if circuit.num_qubits <= self.num_qubits:
            return int(circuit.num_qubits)
        return len(active_qubits([circuit]))

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """Why Aer would not take the circuit as it stands, or None."""
        if self._flat.issuperset(circuit.count_ops()):
            return None
        return next(
            (Misfit(step.name, step.qubits) for step in steps(circuit) if step.name not in self._names),
            None,
        )

    def noise(self, circuits: Sequence[QuantumCircuit]) -> NoiseModel | None:
        """There is none."""
        return None

    def widest(self, method: str, memory_mb: int) -> int | None:
        """By the state that Aer keeps."""
        return widest(method, memory_mb)

    def success(self, circuit: QuantumCircuit) -> Interval | None:
        """Nothing can go wrong, so there is nothing to estimate."""
        return None


_INTERNAL = frozenset({"kraus", "superop", "quantum_channel", "roerror", "qerror_loc"})
