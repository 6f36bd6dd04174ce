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
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.wire.devices import Interval

__all__ = ["IqmDevice"]


_NOISE_S: Final = 0.05


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

    def seconds(self, circuits: Sequence[tuple[QuantumCircuit, int]]) -> Interval:
        """A simulator's cost, and that of the noise of every qubit of the device, which each run carries."""
        ran, noise = super().seconds(circuits), _NOISE_S * self.num_qubits
        return Interval(value=ran.value + noise, low=ran.low + 0.3 * noise, high=ran.high + 3 * noise)

    def ready(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """With MOVE gates where qubits meet in a resonator."""
        if not self.backend.has_resonators():
            return list(circuits)
        routing = PassManager([qiskit_iqm.IQMNaiveResonatorMoving(self.backend.target)])
        return [routing.run(circuit) for circuit in circuits]
