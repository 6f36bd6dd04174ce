"""Snapshots of IBM's devices, simulated with their noise: bit for bit ``AerSimulator.from_backend(FakeTorino())``.

Noise is built for the qubits that a circuit touches (:mod:`~jupyter_quantum.fabric.noise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, ClassVar

from qiskit import QuantumCircuit
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime import fake_provider

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.estimates import success
from jupyter_quantum.fabric.isa import DEAD, used
from jupyter_quantum.fabric.noise import noise_of, widest
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.wire.devices import Interval

__all__ = ["FakeDevice"]


class _Settings(OwnSettings):
    fake: str
    """A class of ``qiskit_ibm_runtime.fake_provider``."""


class FakeDevice(Device):
    """A snapshot of one IBM device."""

    kind: ClassVar[DeviceKind] = DeviceKind.EMULATOR
    vendor: ClassVar[str] = "IBM (snapshot)"

    def __init__(self, spec: DeviceSpec, threads: int) -> None:
        fake = _snapshot(spec)
        target: Target = fake.target
        target.description = (
            target.description or f"Snapshot of {fake.name.removeprefix('fake_')}, simulated with noise"
        )
        super().__init__(spec, threads, target, _calibrated(fake))
        self._noise_of = lru_cache(maxsize=64)(partial(noise_of, self.target))

    def noise(self, circuits: Sequence[QuantumCircuit]) -> NoiseModel | None:
        """The snapshot's noise of what these circuits do."""
        model = self._noise_of(used(circuits))
        return None if model.is_ideal() else model

    def widest(self, method: str, memory_mb: int) -> int | None:
        """By the state that Aer keeps."""
        return widest(method, memory_mb)

    def success(self, circuit: QuantumCircuit) -> Interval | None:
        """From the snapshot's errors."""
        return success(circuit, self.target)


def _snapshot(spec: DeviceSpec) -> Any:
    name = spec.own(_Settings).fake
    found = getattr(fake_provider, name, None)
    if not name.startswith("Fake") or not isinstance(found, type):
        raise ValueError(f"device {spec.name}: no snapshot named {name!r}")
    try:
        fake = found()
    except Exception as error:
        raise ValueError(f"device {spec.name}: the snapshot {name} cannot be read: {error}") from error
    if not _connected(fake.target):
        raise ValueError(f"device {spec.name}: in the snapshot {name} every connection is out of order")
    return fake


def _connected(target: Target) -> bool:
    """Whether a gate on two qubits works somewhere, or there is one qubit."""
    pairs = [
        one for name in target.operation_names for one in (target[name] or {}).items() if one[0] and len(one[0]) == 2
    ]
    return target.num_qubits == 1 or any(known is None or (known.error or 0.0) < DEAD for _, known in pairs)


def _calibrated(fake: Any) -> datetime | None:
    moment = fake.properties().last_update_date
    return moment.astimezone(UTC) if isinstance(moment, datetime) else None
