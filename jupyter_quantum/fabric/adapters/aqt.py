"""AQT's offline simulators: 20 ions that all reach each other, ideal or with the noise that AQT's SDK ships."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Final, Literal

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import PassManagerConfig, generate_preset_pass_manager
from qiskit_aqt_provider import AQTProvider
from qiskit_aqt_provider.transpiler_plugin import AQTSchedulingPlugin

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.fabric.isa import Misfit, Step, steps
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost, Noise, aer

__all__ = ["AqtDevice"]


_ROUND_S: Final = 0.02
_SHOT_S: Final = 40e-6
_ANGLES: Final = {"r": math.pi, "rxx": math.pi / 2}
"""The largest angle of a gate at AQT; the least is 0."""


class _Settings(OwnSettings):
    simulator: Literal["ideal", "noisy"]


class AqtDevice(BackendDevice):
    """One of AQT's offline simulators."""

    vendor: ClassVar[str] = "AQT (emulator)"

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The simulator that the settings name."""
        return getattr(AQTProvider().offline, spec.own(_Settings).simulator)()

    @property
    def device_kind(self) -> DeviceKind:
        """A simulator where there is no noise."""
        ideal = self.spec.own(_Settings).simulator == "ideal"
        return self.spec.kind or (DeviceKind.SIMULATOR if ideal else self.kind)

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """Aer runs it, as states whatever there is to be gained by another method."""
        found = aer(load, shots, "statevector", self.known_noise)
        return replace(found, once=found.once + _ROUND_S, shot=found.shot + (_SHOT_S if self.known_noise.any else 0.0))

    @cached_property
    def known_noise(self) -> Noise:
        """None in the ideal one."""
        return Noise(any=self.spec.own(_Settings).simulator != "ideal")

    def honours(self, spec: DeviceSpec) -> frozenset[str]:
        """Both, as AQT documents it; the options list neither."""
        return frozenset({"seed_simulator", "memory"})

    def most_shots(self) -> int | None:
        """AQT's limit."""
        return int(self.backend.MAX_SHOTS)

    def compile(self, circuits: Sequence[QuantumCircuit], level: int, seed: int) -> list[QuantumCircuit]:
        """Transpile; AQT's own last stage needs every angle, so where some are open it comes when they are bound."""
        return [one for circuit in circuits for one in self._compiled(circuit, level, seed)]

    def _compiled(self, circuit: QuantumCircuit, level: int, seed: int) -> list[QuantumCircuit]:
        if not circuit.num_parameters:
            return super().compile([circuit], level, seed)
        return [generate_preset_pass_manager(level, target=self.live, seed_transpiler=seed).run(circuit)]

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """The first operation that AQT has not, has not at this angle, or has not once a qubit was measured."""
        odd = _odd(bound=not circuit.num_parameters)
        return super().misfit(circuit) or next(map(_place, filter(odd, steps(circuit))), None)

    def ready(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """With angles in AQT's range."""
        last = AQTSchedulingPlugin().pass_manager(PassManagerConfig())
        return [circuit if self.misfit(circuit) is None else last.run(circuit) for circuit in circuits]


def _place(step: Step) -> Misfit:
    return Misfit(step.name, step.qubits)


def _odd(*, bound: bool) -> Callable[[Step], bool]:
    """Whether a step, in the order of a circuit, is one that AQT refuses; angles count where all are ``bound``."""
    measured: set[int] = set()

    def odd(step: Step) -> bool:
        late = bool(measured.intersection(step.qubits))
        if step.name == "measure":
            measured.update(step.qubits)
        angle = float(step.operation.params[0]) if bound and step.name in _ANGLES else 0.0
        return late or not 0 <= angle <= _ANGLES.get(step.name, 0.0) + 1e-9

    return odd
