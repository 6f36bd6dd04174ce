"""Targets of Azure Quantum as QIR, and Q#'s own simulator in the worker; both through the Quantum Development Kit.

A worker compiles a circuit to QIR's base profile. The kit calls home unless it is told not to, and here it is told.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

os.environ["QDK_PYTHON_TELEMETRY"] = "none"  # read while the kit is imported

from pydantic import Field
from qdk import TargetProfile
from qdk.qiskit import QSharpBackend
from qdk.qiskit.backends.qirtarget import QirTarget
from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Calibration, Vendor
from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.fabric.isa import Misfit
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost
from jupyter_quantum.fabric.terminal import flat, measured, squeezed, unfinished
from jupyter_quantum.targets import CLASSES
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["AzureDevice", "QsharpDevice"]


class AzureDevice(RemoteDevice):
    """One target of a workspace; a job is one circuit."""

    vendor: ClassVar[str] = "Azure Quantum"
    recovery = "idempotent"
    max_batch = 1

    def __init__(self, spec: DeviceSpec, threads: int, found: Calibration) -> None:
        self._provider = str(found.target["vendor"]["provider"])
        super().__init__(spec, threads, found)
        self._compiler = QSharpBackend(target_profile=TargetProfile.Base, skip_transpilation=True)

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """The workspace's API."""
        from jupyter_quantum.fabric.adapters.azure_vendor import AzureVendor

        return AzureVendor(spec, secret)

    def session_modes(self) -> tuple[SessionMode, ...]:
        """A session of Azure's groups jobs, and is billed as they are: a batch."""
        return ("batch",)

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """QIR's base profile measures at the end."""
        return super().misfit(circuit) or unfinished(circuit)

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """A line of JSON (provider, shots), then QIR."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            qir = str(self._compiler.qir(flat(circuits[0])))
        return json.dumps({"provider": self._provider, "shots": shots[0]}).encode() + b"\n" + qir.encode()

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """Shots where they are told, otherwise the histogram."""
        try:
            (found,) = json.loads(answer)["Results"]
        except (ValueError, KeyError, TypeError):
            raise JobFailed(f"{self.name} answered in another format.", code="job.device") from None
        bits = list(measured(squeezed(circuits[0])))
        shots = found.get("Shots") or []
        if shots:
            return [Counted(memory=[_outcome(bits, shot) for shot in shots])]
        counts: dict[str, int] = {}
        for one in found.get("Histogram") or []:
            outcome = _outcome(bits, one["Outcome"])
            counts[outcome] = counts.get(outcome, 0) + int(one["Count"])
        return [Counted(counts=counts or None)]


def _outcome(bits: Sequence[int], recorded: Sequence[Any]) -> str:
    """Recorded results, the highest bit first, at the circuit's classical bits."""
    if len(recorded) != len(bits):
        raise JobFailed(f"The device returned {len(recorded)} bits of {len(bits)}.", code="job.no_shots")
    return hex(sum(int(one) << bit for bit, one in zip(bits, reversed(recorded), strict=True)))


class _LocalSettings(OwnSettings):
    qubits: Annotated[int, Field(ge=1, le=40)] = 20


class QsharpDevice(BackendDevice):
    """Q#'s sparse simulator, run in the worker."""

    kind: ClassVar[DeviceKind] = DeviceKind.SIMULATOR
    vendor: ClassVar[str] = "Microsoft (local)"

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The simulator, with as many qubits as the settings say."""
        qubits = spec.own(_LocalSettings).qubits
        known = QirTarget.build_target(num_qubits=qubits, target_profile=TargetProfile.Unrestricted).operation_names
        target = Target(description="Q#'s sparse simulator", num_qubits=qubits)
        standard = get_standard_gate_name_mapping()
        for name in sorted(known):  # the kit names classes where everybody else has gates
            if name in standard or name in CLASSES:
                target.add_instruction(standard.get(name) or CLASSES[name], name=name)
        return QSharpBackend(target=target, skip_transpilation=True)

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """Shot by shot, and each gate on those amplitudes alone that are not zero: how many, nobody knows before."""
        size = 2.0 ** min(load.qubits, 60)
        once, least, most = 0.1 + 0.2e-3 * load.gates, 1e-6 * load.gates, (2.5e-6 + 3e-9 * size) * load.gates
        low = 0.3 * (once + shots * least) / (once + shots * most)
        return Cost("other", once, 10e-6 + most, low, 6.0)

    def ready(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """Without their layouts: Q# is given OpenQASM, and reads no hardware qubits, as a circuit with one has."""
        bare = [circuit.copy() for circuit in circuits]
        for circuit in bare:
            circuit._layout = None
        return bare
