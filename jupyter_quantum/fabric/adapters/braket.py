"""Amazon Braket: QPUs and simulators of AWS, and Braket's local simulators in the worker.

A worker writes OpenQASM 3 with Braket's own converter and reads Braket's result; for a QPU whose native gates Qiskit
knows, the circuit is in a verbatim box on physical qubits, so that it runs as it was validated.

Braket has no sessions: a reservation is booked and paid beforehand, and a hybrid job runs the user's own program there.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from braket.circuits.serialization import IRType, OpenQASMSerializationProperties, QubitReferenceType
from braket.devices import LocalSimulator
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit_braket_provider import BraketLocalBackend
from qiskit_braket_provider.providers.adapter import local_simulator_to_target, to_braket

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Calibration, Vendor
from jupyter_quantum.fabric.counts import rounded
from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.fabric.isa import Misfit
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost, before
from jupyter_quantum.fabric.terminal import measured, unfinished
from jupyter_quantum.targets import target_from_json, target_to_json

__all__ = ["BraketDevice", "LocalBraketDevice"]


class BraketDevice(RemoteDevice):
    """A device of Amazon Braket; a quantum task is one circuit."""

    vendor: ClassVar[str] = "Amazon Braket"
    recovery = "idempotent"
    max_batch = 1

    def __init__(self, spec: DeviceSpec, threads: int, found: Calibration) -> None:
        known = found.target["vendor"]
        most = min(spec.max_shots, known["max_shots"] or spec.max_shots)
        self._labels: list[int] | None = known["labels"]
        super().__init__(spec.model_copy(update={"max_shots": most}), threads, found)

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """Braket's API in the device's region."""
        from jupyter_quantum.fabric.adapters.braket_vendor import BraketVendor

        return BraketVendor(spec, secret)

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """Braket measures at the end, each qubit once."""
        return super().misfit(circuit) or unfinished(circuit)

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """Shots, a line end, Braket's OpenQASM program as JSON."""
        (circuit,) = circuits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = self._program(circuit)
        return b"%d\n%s" % (shots[0], program.json().encode())

    def _program(self, circuit: QuantumCircuit) -> Any:
        if self._labels is None:
            used = sorted(set(circuit.count_ops()) - {"measure", "barrier"})
            return to_braket(circuit, basis_gates=used).to_ir(ir_type=IRType.OPENQASM)
        made = to_braket(circuit, qubit_labels=self._labels, verbatim=True)
        physical = OpenQASMSerializationProperties(qubit_reference_type=QubitReferenceType.PHYSICAL)
        return made.to_ir(ir_type=IRType.OPENQASM, serialization_properties=physical)

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """Shots, or counts from probabilities where the device gives no shots."""
        (circuit,) = circuits
        found = json.loads(answer)
        columns = self._columns(circuit, found["measuredQubits"])
        if found.get("measurements"):
            return [Counted(memory=[_outcome(columns, shot) for shot in found["measurements"]])]
        shots = found["taskMetadata"]["shots"]
        chances: dict[str, float] = {}
        for bits, chance in (found.get("measurementProbabilities") or {}).items():
            outcome = _outcome(columns, bits)
            chances[outcome] = chances.get(outcome, 0.0) + chance
        return [Counted(counts=rounded(chances, shots) if chances else None)]

    def _columns(self, circuit: QuantumCircuit, there: Sequence[int]) -> list[tuple[int, int]]:
        """(column of a shot, classical bit) for each bit that is measured."""
        places = {qubit: at for at, qubit in enumerate(there)}
        labels = self._labels or range(circuit.num_qubits)
        try:
            return [(places[labels[qubit]], clbit) for clbit, qubit in measured(circuit).items()]
        except (KeyError, IndexError):
            raise JobFailed(
                f"{self.name} did not measure the qubits that it was asked for.", code="job.device"
            ) from None


def _outcome(columns: Sequence[tuple[int, int]], shot: Sequence[Any]) -> str:
    return hex(sum(int(shot[column]) << clbit for column, clbit in columns))


_RANGE: Final = (0.15, 8.0)
"""What it takes depends on which gates they are, more than with Aer."""


class _LocalSettings(OwnSettings):
    simulator: Literal["braket_sv", "braket_dm"] = "braket_sv"


class LocalBraketDevice(BackendDevice):
    """Braket's own simulators, ``braket_sv`` and ``braket_dm``, through Braket's provider for Qiskit."""

    kind: ClassVar[DeviceKind] = DeviceKind.SIMULATOR
    vendor: ClassVar[str] = "Amazon Braket (local)"

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The simulator that the settings name, with the gates that Qiskit has words for."""
        simulator = LocalSimulator(spec.own(_LocalSettings).simulator)
        target = target_from_json(target_to_json(local_simulator_to_target(simulator)))
        return BraketLocalBackend(device=simulator, target=target)

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """NumPy, gate by gate; the shots are drawn at the end."""
        mixed = self.spec.own(_LocalSettings).simulator == "braket_dm"
        size = 2.0 ** min(2 * load.qubits if mixed else load.qubits, 60)
        once = 0.02 + (load.gates + 5) * (0.6e-3 + (12e-9 if mixed else 10e-9) * size)
        return Cost("other", once, 5e-6 + 0.5e-6 * load.measured, *_RANGE)

    def preparing(self, qubits: int) -> Cost:
        """Some of it is compiled when it is first needed."""
        return before(0.3, 0.01, 10.0)

    def honours(self, spec: DeviceSpec) -> frozenset[str]:
        """Each shot always comes back; a seed cannot be given."""
        return frozenset({"memory"})
