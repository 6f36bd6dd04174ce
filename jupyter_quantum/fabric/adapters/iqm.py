"""IQM's fake devices: Adonis, Aphrodite, Apollo, Deneb, simulated with their noise by IQM's own SDK.

They take no seed and tell counts only. Deneb's qubits meet in a resonator: a circuit is laid out with the CZ gates that
its Target names, and IQM's routing puts the MOVE gates in when it runs, as at IQM itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from iqm import qiskit_iqm
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import PassManager, Target

from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost, aer, before

__all__ = ["IqmDevice"]


_NOISE_S: Final = 0.03


class _Settings(OwnSettings):
    fake: Literal["Adonis", "Aphrodite", "Apollo", "Deneb"]


class IqmDevice(BackendDevice):
    """One of IQM's fake devices."""

    vendor: ClassVar[str] = "IQM (emulator)"

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The fake that the settings name."""
        return getattr(qiskit_iqm, f"IQMFake{spec.own(_Settings).fake}")()

    def transpiles_for(self) -> Target:
        """Qubits alone: given IQM's own class, its scheduling stage would put resonators into the circuit."""
        return self.live

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """Aer runs it."""
        return aer(load, shots, method, self.known_noise)

    def preparing(self, qubits: int) -> Cost:
        """For the noise of every qubit of the device, which each run carries."""
        return before(_NOISE_S * self.num_qubits)

    def ready(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """With MOVE gates where qubits meet in a resonator."""
        if not self.backend.has_resonators():
            return list(circuits)
        routing = PassManager([qiskit_iqm.IQMNaiveResonatorMoving(self.backend.target)])
        return [routing.run(circuit) for circuit in circuits]
