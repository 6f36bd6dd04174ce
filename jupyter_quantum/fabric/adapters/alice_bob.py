"""Alice & Bob's emulators of cat qubits, physical and logical, by their own SDK.

Physical cats have no Hadamard gate: what cannot be built from what they have is refused. Logical ones write every
rotation as a row of H, S and T, so values of parameters must be known before the circuit is transpiled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final

from pydantic import Field
from qiskit.providers import BackendV2
from qiskit_alice_bob_provider import AliceBobLocalProvider

from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost, aer

__all__ = ["AliceBobDevice"]

_ROUND_S: Final = 0.02
_GATE_S: Final = 1e-3


class _Settings(OwnSettings):
    emulator: str
    """A backend of ``AliceBobLocalProvider``, such as ``EMU:15Q:LOGICAL_EARLY``."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What ``get_backend`` takes beside the name, such as ``average_nb_photons``."""


class AliceBobDevice(BackendDevice):
    """One of Alice & Bob's emulators."""

    vendor: ClassVar[str] = "Alice & Bob (emulator)"

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """Aer runs it, after every gate was given its place in time and its noise."""
        found = aer(load, shots, "automatic", self.known_noise)
        return replace(found, once=found.once + _ROUND_S + _GATE_S * load.gates, method="other")

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The emulator that the settings name."""
        own, provider = spec.own(_Settings), AliceBobLocalProvider()
        known = [backend.name for backend in provider.backends()]
        if own.emulator not in known:
            raise ValueError(f"device {spec.name}: no emulator named {own.emulator!r}; there are {', '.join(known)}")
        try:
            return provider.get_backend(own.emulator, **own.arguments)
        except (TypeError, ValueError) as error:
            raise ValueError(f"device {spec.name}: {own.emulator} cannot be made so: {error}") from error
