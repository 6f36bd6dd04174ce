"""IonQ's machines: circuits as IonQ's JSON, made in a worker by IonQ's own package for Qiskit.

What IonQ answers is each shot where it offers them, otherwise probabilities. Those of a machine, or of a simulation
with noise, are shares of its shots and become counts again: the largest remainders are rounded up until all shots are
there. The ideal simulator has no shots; they are drawn from its probabilities by NumPy's PCG64 with ``seed_simulator``.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ionq import ErrorMitigation, ionq_equivalence_library
from qiskit_ionq.helpers import qiskit_to_ionq
from qiskit_ionq.ionq_backend import IonQBackend

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.ionq_vendor import IonqSettings, IonqVendor
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Calibration, Vendor
from jupyter_quantum.fabric.counts import rounded
from jupyter_quantum.fabric.isa import Misfit
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.terminal import measured, squeezed, unfinished
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["IonqDevice"]

_SEED: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": None}
_NOISE: Final = ("ideal", "aria-1", "aria-2", "forte-1", "forte-enterprise-1", "harmony")


class IonqDevice(RemoteDevice):
    """One backend of IonQ's cloud; a job is one circuit."""

    vendor: ClassVar[str] = "IonQ"
    recovery = "opaque"
    max_batch = 1

    def __init__(self, spec: DeviceSpec, threads: int, found: Calibration) -> None:
        self._own = spec.own(IonqSettings)
        super().__init__(spec, threads, found)
        if self._own.gateset == "native":
            ionq_equivalence_library.add_equivalences()

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """IonQ's API."""
        return IonqVendor(spec, secret)

    def session_modes(self) -> tuple[SessionMode, ...]:
        """IonQ keeps a machine for a session (for accounts that have them); its simulator has none."""
        return () if self.spec.own(IonqSettings).backend == "simulator" else ("dedicated",)

    def own_options(self) -> Mapping[JobKind, Mapping[str, Any]]:
        """Of the simulator its noise and the seed; of a machine IonQ's debiasing, off where it is not asked for."""
        machine = {"debiasing": {"type": "boolean", "default": False}}
        simulator = {
            "seed_simulator": _SEED,
            "noise_model": {"type": "string", "enum": list(_NOISE), "default": "ideal"},
        }
        own = simulator if self.spec.own(IonqSettings).backend == "simulator" else machine
        return dict.fromkeys(JobKind, own)

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """IonQ measures at the end."""
        return super().misfit(circuit) or unfinished(circuit)

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """IonQ's JSON of one circuit, without idle qubits."""
        options = order.options
        there = _There(self._own.backend, self._own.gateset, self._wanted(options))
        circuit = squeezed(circuits[0])
        if self._own.gateset == "native":
            circuit = self._translated(circuit, there)
        passed = {"shots": shots[0], "sampler_seed": options.get("seed_simulator"), "name": "", **there.asked}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = json.loads(qiskit_to_ionq(circuit, there, passed))
        body.pop("name")
        noise = there.asked.get("noise_model", "machine")
        body["metadata"] = {"shots": str(shots[0]), "noise_model": noise, "sampler_seed": str(passed["sampler_seed"])}
        return json.dumps(body).encode()

    def _wanted(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if "debiasing" in options:
            chosen = ErrorMitigation.DEBIASING if options["debiasing"] else ErrorMitigation.NO_DEBIASING
            return {"error_mitigation": chosen}
        return {"noise_model": options.get("noise_model", "ideal"), "sampler_seed": options.get("seed_simulator")}

    def _translated(self, circuit: QuantumCircuit, there: _There) -> QuantumCircuit:
        there._num_qubits = circuit.num_qubits
        target = IonQBackend._make_target(there)  # type: ignore[arg-type]  # it reads what is here
        made: QuantumCircuit = generate_preset_pass_manager(1, target=target, seed_transpiler=0).run(circuit)
        return made

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """Shots, or counts from probabilities."""
        found = json.loads(answer)
        narrow = squeezed(circuits[0])
        bits = measured(narrow)
        if found.get("shots"):
            return [Counted(memory=[_outcome(bits, int(shot)) for shot in found["shots"]])]
        chances = found.get("probabilities")
        if not chances:
            return [Counted(why="IonQ gave neither shots nor probabilities")]
        said = found["metadata"]
        drawn = int(said["sampler_seed"]) if said["noise_model"] == "ideal" else None
        return [Counted(counts=self._counts(bits, chances, int(said["shots"]), drawn))]

    def _counts(
        self, bits: Mapping[int, int], chances: Mapping[str, float], shots: int, drawn: int | None
    ) -> dict[str, int]:
        outcomes: dict[str, float] = {}
        for value, chance in chances.items():
            outcome = _outcome(bits, int(value))
            outcomes[outcome] = outcomes.get(outcome, 0.0) + float(chance)
        if not math.isclose(sum(outcomes.values()), 1.0, abs_tol=1e-3) or min(outcomes.values()) < 0:
            raise JobFailed(f"{self.name} returned probabilities that do not sum to 1.", code="job.no_shots")
        if drawn is not None:
            return _drawn(outcomes, shots, drawn)
        return rounded(outcomes, shots)


@dataclass
class _There:
    """What IonQ's converter reads of a backend, without the network that making one of IonQ's own takes."""

    backend: str
    _gateset: str
    asked: dict[str, Any]
    _num_qubits: int = 0
    options: Any = field(init=False)

    def __post_init__(self) -> None:
        noise = {"noise_model": self.asked.get("noise_model", "ideal"), "sampler_seed": self.asked.get("sampler_seed")}
        self.options = SimpleNamespace(**noise, get=lambda name: self.asked.get(name))

    @property
    def name(self) -> str:
        """As IonQ's API names it."""
        return self.backend

    def gateset(self) -> str:
        """``qis`` or ``native``."""
        return self._gateset


def _outcome(bits: Mapping[int, int], value: int) -> str:
    """An outcome of all qubits (IonQ: qubit 0 lowest) as one of the classical bits."""
    return hex(sum((value >> qubit & 1) << clbit for clbit, qubit in bits.items()))


def _drawn(outcomes: Mapping[str, float], shots: int, seed: int) -> dict[str, int]:
    names = sorted(outcomes)
    weights = np.array([outcomes[name] for name in names])
    times = np.random.default_rng(seed).multinomial(shots, weights / weights.sum())
    return {name: int(count) for name, count in zip(names, times, strict=True) if count}
