"""Any Qiskit ``BackendV2``, named by its import path and run in the locked worker.

A device's settings name a class or a function that returns one, and what it is called with::

    {"name": "lab_sim", "adapter": "backend", "backend": "our_lab.devices:Simulator", "arguments": {"qubits": 5}}

The package is imported when the runner starts; the worker that runs circuits can write no file and has no network.
Another adapter for a vendor's emulator is a subclass that overrides :meth:`BackendDevice.open`.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field
from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2
from qiskit.result import Result
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager
from qiskit_aer.noise import NoiseModel

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.exceptions import JobFailed, QuantumError
from jupyter_quantum.fabric.adapters.base import Device, RunOptions
from jupyter_quantum.fabric.counts import experiment, mixed
from jupyter_quantum.fabric.estimates import Load, success
from jupyter_quantum.fabric.isa import copied
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.registers import compacted, spread
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.fabric.simulation import Cost, before, local
from jupyter_quantum.wire.devices import Interval

__all__ = ["BackendDevice", "found_at"]

_NOISE_S: Final = 0.02
_OPTIONAL: Final = ("seed_simulator", "memory")
_STAGES: Final = ("translation", "scheduling")
_FLOW: Final = ("if_else", "for_loop", "while_loop", "switch_case")


class _Settings(OwnSettings):
    backend: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
    """``package.module:Class`` or ``package.module:function``."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    honours: tuple[Literal["seed_simulator", "memory"], ...] = ()
    """Options that ``run`` understands though the backend's own options do not list them."""


class BackendDevice(Device):
    """A BackendV2 in the worker. What its ``run`` does not understand is not among the options of the device."""

    kind: ClassVar[DeviceKind] = DeviceKind.EMULATOR
    vendor: ClassVar[str] = "Qiskit backend"

    def __init__(self, spec: DeviceSpec, threads: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.backend = self.open(spec)
        target = copied(self.backend.target)
        if target.num_qubits is None:
            raise ValueError(f"device {spec.name}: the Target does not say how many qubits there are")
        target.description = target.description or self.backend.description or f"{self.backend.name}"
        most = min(spec.max_shots, self.most_shots() or spec.max_shots)
        self._honours = self.honours(spec)
        super().__init__(spec.model_copy(update={"max_shots": most}), threads, target, None)

    @classmethod
    def open(cls, spec: DeviceSpec) -> BackendV2:
        """The backend of a device's settings. Raises ``ValueError`` where there is none, in words for an operator."""
        own = spec.own(_Settings)
        try:
            return found_at(own.backend, own.arguments)
        except ValueError as error:
            raise ValueError(f"device {spec.name}: {error}") from error

    def honours(self, spec: DeviceSpec) -> frozenset[str]:
        """Which of ``seed_simulator`` and ``memory`` the backend understands: those that its options list."""
        told = {name for name in _OPTIONAL if name in self.backend.options}
        return frozenset(told | set((spec.model_extra or {}).get("honours", ())))

    def lacks(self) -> frozenset[str]:
        """What ``run`` does not understand, and the methods of Aer."""
        return frozenset({"method", *_OPTIONAL}) - self._honours

    def mitigations(self) -> tuple[str, ...]:
        """Readout, where the errors of reading are known."""
        readout = self.target["measure"].values() if "measure" in self.target else ()
        known = all(getattr(one, "error", None) is not None for one in readout)
        return super().mitigations() if readout and known else ("none",)

    def most_shots(self) -> int | None:
        """The most shots of one circuit, from the limits on the backend's options; None where it names none."""
        limits = self.backend.options.validator.get("shots")
        return int(limits[1]) if isinstance(limits, tuple) else None

    def transpiles_for(self) -> Target:
        """The Target that the transpiler is given: the backend's own, which may know more than a copy of it does, or
        what is left of it where parts are out of order."""
        dead = len(self.live.instructions) < len(self.target.instructions)
        return self.live if dead else self.backend.target

    def stages(self) -> Mapping[str, str]:
        """Stages of the transpiler that the backend brings itself: argument of Qiskit's pass manager → plug-in."""
        brought = {stage: getattr(self.backend, f"get_{stage}_stage_plugin", None) for stage in _STAGES}
        return {f"{stage}_method": plugin() for stage, plugin in brought.items() if plugin is not None}

    def _passes(self, level: int, seed: int) -> PassManager:
        return generate_preset_pass_manager(level, target=self.transpiles_for(), seed_transpiler=seed, **self.stages())

    def warm(self) -> None:
        """As far as it goes: there are backends that no Bell circuit can be built for."""
        with suppress(Exception):
            super().warm()

    def ready(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """The circuits as the backend's ``run`` takes them, from those that were laid out for the Target."""
        return list(circuits)

    def noise(self, circuits: Sequence[QuantumCircuit]) -> NoiseModel | None:
        """None for Aer to know of: what noise there is, the backend brings itself."""
        return None

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """How it simulates is not known: from the best way that there is to what the Target's errors would take."""
        return local(load, shots, self.known_noise)

    def preparing(self, qubits: int) -> Cost:
        """What noise there is, of the whole device, is made when the backend is made, or with each run."""
        return before(_NOISE_S * self.num_qubits if self.basis else 0.0, 0.01)

    def success(self, circuit: QuantumCircuit) -> Interval | None:
        """From the Target's errors; None where one of them is unknown."""
        return success(circuit, self.target)

    def run(self, circuits: Sequence[QuantumCircuit], options: RunOptions, *, ideal: bool = False) -> Result:
        """Run on the backend, in as many batches as it takes; ``ideal`` is Aer without noise."""
        if ideal:
            return super().run(self._for_aer(circuits), options, ideal=True)
        found: list[Any] = []
        metadata: dict[str, Any] = {}
        for number, batch in enumerate(self._batches(circuits)):
            seed = None if options.seed is None else (options.seed + number) % 2**31
            sent = [compacted(circuit) for circuit in batch]
            answer = self._ask([circuit for circuit, _ in sent], options, seed)
            if not answer.success:
                return Result(success=False, status=_status(answer), results=[])
            metadata |= getattr(answer, "metadata", None) or {}
            for circuit, (asked, bits), one in zip(batch, sent, answer.results, strict=True):
                read = experiment(self.name, asked, one, options.shots, memory=options.memory, seed=seed)
                found.append(read if asked is circuit else spread(circuit, read, bits))
        return Result(backend_name=self.name, success=True, status="COMPLETED", results=found, metadata=metadata)

    def _batches(self, circuits: Sequence[QuantumCircuit]) -> Iterator[list[QuantumCircuit]]:
        most = self.backend.max_circuits or len(circuits)
        for start in range(0, len(circuits), most):
            yield list(circuits[start : start + most])

    def _ask(self, circuits: list[QuantumCircuit], options: RunOptions, seed: int | None) -> Result:
        wanted: dict[str, Any] = {"shots": options.shots, "memory": options.memory, "seed_simulator": seed}
        sent = {name: value for name, value in wanted.items() if name == "shots" or name in self._honours}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = self.backend.run(self.ready(circuits), **sent).result()
        except (QuantumError, MemoryError):
            raise
        except Exception as error:
            raise JobFailed(f"{self.name} did not run the circuit: {clean(error, 300)}", code="job.device") from error
        if answer.success and len(circuits) > 1 and mixed(answer):
            answers = [self._ask([circuit], options, seed) for circuit in circuits]
            answer.success = all(one.success for one in answers)
            answer.results = [one.results[0] for one in answers]
        if answer.success and len(answer.results) != len(circuits):
            raise JobFailed(
                f"{self.name} answered for {len(answer.results)} circuits of {len(circuits)}.", code="job.no_shots"
            )
        return answer

    def _for_aer(self, circuits: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """The circuits in gates that Aer has; what it has not is written out by its definition."""
        known = set(self._simulator.operation_names) | {"barrier"}
        passes = generate_preset_pass_manager(
            0, basis_gates=sorted(known & {*get_standard_gate_name_mapping(), *_FLOW})
        )
        return [one if known.issuperset(one.count_ops()) else passes.run(one) for one in circuits]


def found_at(path: str, arguments: Mapping[str, Any]) -> BackendV2:
    """The backend that ``package.module:name`` gives, called with ``arguments``.

    Raises ``ValueError`` where there is no such thing, where it cannot be called so, or where it is no BackendV2.
    """
    module, _, name = path.partition(":")
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"there is no {path!r} here: {error}") from error
    if not callable(found):
        raise ValueError(f"{path!r} is neither a class nor a function")
    try:
        backend = found(**arguments)
    except Exception as error:
        raise ValueError(f"{path!r} cannot be made so: {type(error).__name__}: {error}") from error
    if not isinstance(backend, BackendV2):
        raise ValueError(f"{path!r} gives a {type(backend).__name__}, which is no BackendV2")
    return backend


def _status(answer: Result) -> str:
    """What the backend says of a failure."""
    said = [getattr(one, "status", None) for one in answer.results or [] if not one.success]
    return str(next((one for one in said if one), getattr(answer, "status", None) or "it gave no reason"))
