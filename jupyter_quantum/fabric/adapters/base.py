"""What a device can do for the fabric. An adapter is a subclass of :class:`Device`.

An adapter announces itself (:meth:`Device.announcement`), says whether a circuit can run as it stands
(:meth:`Device.misfit`), transpiles (:meth:`Device.compile`) and says what can be known after a crash
(:attr:`Device.recovery`). It is built in the zygote and used in locked workers.

A simulator runs circuits in the worker (:meth:`Device.run`). A machine elsewhere (:attr:`Device.remote`) turns an
:class:`Order` into payloads (:meth:`Device.encode`) and answers into a result (:meth:`Device.decode`); what is between
the two is its :class:`~jupyter_quantum.fabric.adapters.vendor.Vendor` (:meth:`Device.connect`).
"""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Final, Literal

from qiskit import QuantumCircuit
from qiskit.primitives import BackendEstimatorV2
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager
from qiskit.transpiler.exceptions import TranspilerError
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.fabric.adapters.vendor import Vendor
from jupyter_quantum.fabric.counts import mixed
from jupyter_quantum.fabric.estimates import Load, errors_of, known_errors, survey
from jupyter_quantum.fabric.isa import Misfit, first_misfit, without_dead_parts
from jupyter_quantum.fabric.methods import methods
from jupyter_quantum.fabric.options import schemas
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.simulation import Cost, Noise, Timed, Work, aer, before, timed
from jupyter_quantum.targets import canonical, target_to_json
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Interval
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import DeviceAnnouncement
from jupyter_quantum.wire.sessions import SessionKind, SessionMode

__all__ = ["Device", "Facade", "Order", "Planned", "RunOptions"]

Planned = tuple[QuantumCircuit, int, int]
"""A circuit as laid out for the device, how many circuits it comes to once bound and grouped, shots of each."""

_NOISE_S: Final = 0.012
"""Of one qubit: it is read from the Target, and written for Aer."""
_LABELS = {DeviceKind.SIMULATOR: "simulator", DeviceKind.EMULATOR: "emulator", DeviceKind.QPU: "QPU"}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run circuits; ``memory_mb`` bounds what the simulator may allocate.

    ``seed`` is None where the device takes none, or where its own choice will do.
    """

    shots: int
    seed: int | None
    memory: bool = False
    method: str = "automatic"
    memory_mb: int = 2048


@dataclass(frozen=True, slots=True)
class Order:
    """What a job asks of a device: circuits as laid out for it, PUBs that point into them, options filled in."""

    kind: JobKind
    circuits: Sequence[QuantumCircuit]
    pubs: Sequence[Pub]
    options: Mapping[str, Any]


class Device(ABC):
    """One device of a runner. Made as ``Device(spec, threads)``, a remote one as ``Device(spec, threads, found)`` with
    the :class:`~jupyter_quantum.fabric.adapters.vendor.Calibration` that its vendor announced."""

    kind: ClassVar[DeviceKind]
    vendor: ClassVar[str]
    recovery: Literal["repeatable", "idempotent", "searchable", "opaque"] = "repeatable"
    """What can be known after a crash. *repeatable*: running again costs nothing. *idempotent*: submitting again under
    the same tag gives the same submission. *searchable*: submissions are found by tag. *opaque*: neither."""
    remote: ClassVar[bool] = False
    """Whether it runs at a vendor's, not in the worker."""
    level: ClassVar[int] = 2
    """Default optimisation level of the transpiler."""

    def __init__(self, spec: DeviceSpec, threads: int, target: Target, calibrated: datetime | None) -> None:
        self.spec = spec
        self.name = spec.name
        self.sessions = self._sessions()
        self.target = target
        self.live = without_dead_parts(target)
        self.options = schemas(
            spec.max_shots,
            self.level,
            simulates=not self.remote,
            mitigation=self.mitigations(),
            own=self.own_options(),
            without=self.lacks(),
        )
        self.threads = threads
        self.pace = 1.0
        """How much slower simulations are here than where their figures were measured; set where a runner starts."""
        self._simulator = AerSimulator(max_parallel_threads=threads)
        self._document = target_to_json(target)
        self.calibration = CalibrationRef(digest=digest_of(canonical(self._document)), at=calibrated)
        self.passes = lru_cache(maxsize=8)(self._passes)

    @property
    def device_kind(self) -> DeviceKind:
        """What it is in the eyes of policy."""
        return self.spec.kind or self.kind

    @property
    def num_qubits(self) -> int:
        """Qubits of the device."""
        return int(self.target.num_qubits)

    def announcement(self) -> DeviceAnnouncement:
        """What the service is told."""
        return DeviceAnnouncement(
            name=self.name,
            kind=self.device_kind,
            label=self.spec.label or _LABELS[self.device_kind],
            vendor=self.vendor,
            region=self.spec.region,
            description=self.target.description or "",
            num_qubits=self.num_qubits,
            basis_gates=sorted(one["name"] for one in self._document["operations"] if one["kind"] == "gate"),
            max_shots=self.spec.max_shots,
            max_circuits=300,
            slots=self.spec.slots,
            recovery=self.recovery,
            remote=self.remote,
            sessions=self.sessions,
            session_s=self.spec.session_s or 0.0,
            calibration=self.calibration,
            target=self._document,
            options=self.options,
        )

    def session_modes(self) -> tuple[SessionMode, ...]:
        """Which sessions its vendor has, and :class:`~jupyter_quantum.fabric.adapters.vendor.Vendor` opens. Asked for
        while the device is made: only ``spec`` and ``name`` are there."""
        return ()

    def _sessions(self) -> dict[SessionKind, SessionMode]:
        """What a user's session and batch are at the vendor. Raises ``ValueError`` for what it does not have.

        A session that may wait at a price is one only where the operator says so; else it is a batch.
        """
        modes, wanted = self.session_modes(), self.spec.sessions
        if wanted not in (None, "off", *modes):
            has = " or ".join(modes) or "none"
            raise ValueError(f"device {self.name}: sessions: {wanted} is not what its vendor has ({has})")
        if wanted == "dedicated" and self.spec.session_s is None:
            raise ValueError(f"device {self.name}: session_s: dedicated sessions need a limit, in seconds")
        found: dict[SessionKind, SessionMode] = {}
        if "batch" in modes and wanted != "off":
            found = {"session": "batch", "batch": "batch"}
        return found | {"session": "dedicated"} if wanted == "dedicated" else found

    def own_options(self) -> Mapping[JobKind, Mapping[str, Any]]:
        """Options that only this device has: kind of job → name → JSON schema of the value with its ``default``.

        Asked for while the device is made: only ``spec``, ``name`` and ``target`` are there. What a device cannot do
        is not listed, and so is refused before anything is priced. A group's options are named with a dot:
        ``dynamical_decoupling.enable``. A schema states types, values and bounds (``type``, ``enum``, ``minimum``,
        ``items`` …); of a runner elsewhere the service takes no other rule, such as ``pattern`` or ``$ref``.
        """
        return {}

    def lacks(self) -> frozenset[str]:
        """Usual options that this device cannot do, such as ``memory``: asking for one is refused. Asked for while the
        device is made, as :meth:`own_options` is."""
        return frozenset()

    @cached_property
    def basis(self) -> list[Literal["gates", "readout"]]:
        """Of which operations the calibration knows errors; nothing where it knows none."""
        return known_errors(self.target)

    def mitigations(self) -> tuple[str, ...]:
        """What the option ``mitigation`` takes here: where there is noise, the methods that are installed."""
        return ("none",) if self.device_kind is DeviceKind.SIMULATOR else ("none", *methods())

    def _passes(self, level: int, seed: int) -> PassManager:
        return generate_preset_pass_manager(level, target=self.live, seed_transpiler=seed)

    def warm(self) -> None:
        """Build ahead what every worker needs; called in the zygote, before any worker is forked."""
        circuit = QuantumCircuit(2, 2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure([0, 1], [0, 1])
        known_errors(self.target)
        errors_of(self.target)
        with contextlib.suppress(TranspilerError):  # nothing on it works today: reports say so
            self.compile([circuit], self.level, 0)

    def compile(self, circuits: Sequence[QuantumCircuit], level: int, seed: int) -> list[QuantumCircuit]:
        """Transpile for this device, away from what is out of order."""
        passes = self.passes(level, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [passes.run(circuit) for circuit in circuits]

    def width(self, circuit: QuantumCircuit) -> int:
        """How many qubits the circuit takes here."""
        return int(circuit.num_qubits)

    def misfit(self, circuit: QuantumCircuit) -> Misfit | None:
        """Why the circuit cannot run as it stands, or None."""
        return first_misfit(circuit, self.target)

    @abstractmethod
    def noise(self, circuits: Sequence[QuantumCircuit]) -> NoiseModel | None:
        """The noise of these circuits; None: none."""

    def widest(self, method: str, memory_mb: int) -> int | None:
        """The most qubits in use that :meth:`run` has room for, in ``memory_mb`` MiB, of circuits that are not
        Clifford; None: no such bound is known beforehand."""
        return None

    def seconds(self, planned: Sequence[Planned], options: Mapping[str, Any]) -> Timed:
        """Estimated seconds of a run: what is planned, with the options filled in. Here, by what a simulation takes."""
        loads = [Work(self.load(circuit), count, shots) for circuit, count, shots in planned]
        method = options.get("method", "automatic")
        costs = [self.cost(one.load, one.shots, method) for one in loads]
        more = self.preparing(max((one.load.qubits for one in loads), default=0))
        return timed(loads, costs, more, self.pace, self.threads)

    def load(self, circuit: QuantumCircuit) -> Load:
        """What a circuit asks of a simulator; where there is noise of which no errors are known, every gate has it."""
        found = survey(circuit, self.target).load
        return replace(found, noisy=found.gates) if self.known_noise.any and "gates" not in self.basis else found

    def cost(self, load: Load, shots: int, method: str) -> Cost:
        """What :meth:`run` takes for a circuit; where it is not Aer that runs it, say so here."""
        return aer(load, shots, method, self.known_noise)

    def preparing(self, qubits: int) -> Cost:
        """What a run on so many qubits takes before its first circuit: for its noise."""
        return before(_NOISE_S * qubits if self.known_noise.any else 0.0)

    @cached_property
    def known_noise(self) -> Noise:
        """What there is to be simulated, whatever an operator calls the device. Relaxation is no Clifford noise."""
        properties = self.target.qubit_properties or ()
        relaxes = any(getattr(one, "t1", None) for one in properties)
        return Noise(any=self.kind is not DeviceKind.SIMULATOR, clifford=not relaxes)

    @abstractmethod
    def success(self, circuit: QuantumCircuit) -> Interval | None:
        """Estimated chance that no modelled error occurs; None: unknown, or there is no noise."""

    def run(self, circuits: Sequence[QuantumCircuit], options: RunOptions, *, ideal: bool = False) -> Result:
        """Run circuits, all with the same options, as one batch; ``ideal`` leaves the noise out."""
        more: dict[str, Any] = {}
        noise = None if ideal else self.noise(circuits)
        if noise is not None:
            more["noise_model"] = noise
        if options.method != "automatic":
            more["method"] = options.method
        more |= {"shots": options.shots, "memory": options.memory, "max_memory_mb": options.memory_mb}
        found = self._simulator.run(list(circuits), seed_simulator=options.seed, **more).result()
        if found.success and mixed(found):
            seeds = [one.seed_simulator for one in found.results]
            alone = [
                self._simulator.run(circuit, seed_simulator=seed, **more).result()
                for circuit, seed in zip(circuits, seeds, strict=True)
            ]
            found.success = all(one.success for one in alone)
            found.results = [one.results[0] for one in alone]
        return found

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """The way to the vendor's machine; only where :attr:`remote`."""
        raise NotImplementedError(f"{spec.name} runs in the worker")

    def encode(self, order: Order) -> list[bytes]:
        """Payloads that the vendor takes, one a submission, for an order; only where :attr:`remote`."""
        raise NotImplementedError(f"{self.name} runs in the worker")

    def carried(self, order: Order) -> list[list[int]]:
        """Which circuits (of a run) or PUBs each of the payloads carries, in their order; nothing where that is not
        known. Asked for where there are several: it decides what a part of a result costs."""
        return []

    def decode(self, order: Order, answers: Sequence[bytes | None]) -> ResultView:
        """The result of an order from the answers to its payloads, None where one failed; only where :attr:`remote`."""
        raise NotImplementedError(f"{self.name} runs in the worker")

    def estimator(self, facade: Facade) -> BackendEstimatorV2:
        """Qiskit's estimator on this device; ``facade`` is what it runs circuits on."""
        return BackendEstimatorV2(backend=facade)


class Facade(BackendV2):  # type: ignore[misc]  # Qiskit ships no types
    """The device as Qiskit's estimator wants it: a BackendV2 whose ``run`` keeps what the job asked for."""

    def __init__(
        self,
        device: Device,
        simulate: Callable[[Sequence[QuantumCircuit], RunOptions], Result],
        memory_mb: int,
        method: str,
    ) -> None:
        super().__init__(name=device.name)
        self._device = device
        self._simulate = simulate
        self._memory_mb = memory_mb
        self._method = method

    @property
    def target(self) -> Target:
        """The device's Target."""
        return self._device.target

    @property
    def max_circuits(self) -> None:
        """All circuits go in one batch."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Sequence[QuantumCircuit], **options: Any) -> _Done:
        """Run at once; the job is over when it is returned."""
        chosen = RunOptions(
            options["shots"], options.get("seed_simulator"), method=self._method, memory_mb=self._memory_mb
        )
        return _Done(self._simulate(run_input, chosen))


@dataclass(frozen=True, slots=True)
class _Done:
    answer: Result

    def result(self) -> Result:
        return self.answer
