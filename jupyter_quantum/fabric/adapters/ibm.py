"""IBM's devices through Qiskit Runtime: its own sampler and estimator programs (version 2), options with IBM's names.

A sampler or an estimator goes to IBM as it was asked for, so that IBM binds parameters, twirls and mitigates;
``backend.run`` goes through the sampler. A worker writes the inputs as the SDK's ``RuntimeEncoder`` does, and reads the
answer with its ``RuntimeDecoder``; between the two they are bytes (:mod:`.ibm_vendor`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final

from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, PrimitiveResult
from qiskit.primitives.containers.data_bin import DataBin
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.options import EstimatorOptions, SamplerOptions

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import InputError, JobFailed
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Vendor
from jupyter_quantum.fabric.pubs import estimator_pub, precision_of, sampler_pub
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.registers import are_plain, plainly
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.shape import estimated, plain, registers_of
from jupyter_quantum.wire.results import Array, Bits, PubResult, ResultView
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["IbmDevice"]

_SWITCH: Final = {"type": "boolean", "default": False}
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": 100_000, "default": None, "description": "null: automatic"}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values), "default": values[0]}


_COMMON: Final[dict[str, dict[str, Any]]] = {
    "dynamical_decoupling.enable": _SWITCH,
    "dynamical_decoupling.sequence_type": _one_of("XX", "XpXm", "XY4"),
    "dynamical_decoupling.extra_slack_distribution": _one_of("middle", "edges"),
    "dynamical_decoupling.scheduling_method": _one_of("alap", "asap"),
    "dynamical_decoupling.skip_reset_qubits": _SWITCH,
    "twirling.enable_gates": _SWITCH,
    "twirling.enable_measure": _SWITCH,
    "twirling.num_randomizations": _COUNT,
    "twirling.shots_per_randomization": _COUNT,
    "twirling.strategy": _one_of("active-accum", "active", "active-circuit", "all"),
    "execution.init_qubits": {"type": "boolean", "default": True},
    "execution.rep_delay": {"type": "number", "minimum": 0, "maximum": 1, "default": None, "description": "seconds"},
    "max_execution_time": {
        "type": "integer",
        "minimum": 1,
        "maximum": 10_800,
        "default": None,
        "description": "seconds on the device after which IBM cancels the job",
    },
}
_ESTIMATOR: Final[dict[str, dict[str, Any]]] = {
    "resilience_level": {"type": "integer", "minimum": 0, "maximum": 2, "default": 0},
    "resilience.measure_mitigation": _SWITCH | {"default": None},
    "resilience.zne_mitigation": _SWITCH | {"default": None},
    "resilience.pec_mitigation": _SWITCH | {"default": None},
    "seed_estimator": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": None},
}


class IbmDevice(RemoteDevice):
    """One backend of IBM Quantum Platform."""

    vendor: ClassVar[str] = "IBM"
    recovery = "searchable"
    mixed_shots: ClassVar[bool] = True
    max_batch = 300

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """``QiskitRuntimeService`` for an instance."""
        from jupyter_quantum.fabric.adapters.ibm_vendor import IbmVendor

        return IbmVendor(spec, secret)

    def session_modes(self) -> tuple[SessionMode, ...]:
        """IBM's two. A dedicated session is billed by the clock; a batch as its jobs would be without it."""
        return ("batch", "dedicated")

    def own_options(self) -> Mapping[JobKind, Mapping[str, Any]]:
        """IBM's, its groups flattened; ``resilience_level`` is 0 where it is not set: nothing is mitigated unasked."""
        return {
            JobKind.RUN: {name: rule for name, rule in _COMMON.items() if not name.startswith("twirling.")},
            JobKind.SAMPLER: _COMMON,
            JobKind.ESTIMATOR: _COMMON | _ESTIMATOR,
        }

    def mitigations(self) -> tuple[str, ...]:
        """IBM's own are options of their own."""
        return ("none",)

    def encode(self, order: Order) -> list[bytes]:
        """The whole of a sampler or an estimator is one submission."""
        if order.kind is JobKind.RUN:
            return super().encode(order)
        return [self._program(order.kind, _pubs(order), order.options)]

    def carried(self, order: Order) -> list[list[int]]:
        """Every PUB is in the one submission of a sampler or an estimator."""
        return super().carried(order) if order.kind is JobKind.RUN else [list(range(len(order.pubs)))]

    def decode(self, order: Order, answers: Sequence[bytes | None]) -> ResultView:
        """As IBM gave it, PUB by PUB."""
        if order.kind is JobKind.RUN:
            return super().decode(order, answers)
        (answer,) = answers
        if answer is None:
            raise JobFailed(f"{self.name} gave no result.", code="job.no_shots")
        found = self._read(answer, len(order.pubs))
        return ResultView(
            kind=order.kind,
            backend=self.name,
            pubs=[
                estimated(one) if order.kind is JobKind.ESTIMATOR else self._sampled(order.circuits[pub.circuit], one)
                for pub, one in zip(order.pubs, found, strict=True)
            ],
            metadata=_metadata(found.metadata),
            seconds=0.0,
        )

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """Circuits of ``backend.run`` as PUBs of a sampler."""
        pubs = [SamplerPub.coerce((circuit, None, times)) for circuit, times in zip(circuits, shots, strict=True)]
        return self._program(JobKind.SAMPLER, pubs, order.options)

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """Each shot, the bits of all registers in the circuit's order."""
        found = self._read(answer, len(circuits))
        return [Counted(memory=_shots(circuit, one.data)) for circuit, one in zip(circuits, found, strict=True)]

    def _program(self, kind: JobKind, pubs: Sequence[Any], options: Mapping[str, Any]) -> bytes:
        for pub in pubs:
            if kind is JobKind.SAMPLER:
                _check_registers(self.name, pub.circuit)
        nested = _nested(options)
        made = EstimatorOptions if kind is JobKind.ESTIMATOR else SamplerOptions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            params = {"pubs": pubs, **made._get_program_inputs(asdict(made(**nested)))}
        said = {"program_id": kind.value, "params": params, "max_execution_time": options.get("max_execution_time")}
        return json.dumps(said, cls=RuntimeEncoder).encode()

    def _read(self, answer: bytes, expected: int) -> PrimitiveResult[Any]:
        found = json.loads(answer, cls=RuntimeDecoder)
        if not isinstance(found, PrimitiveResult) or len(found) != expected:
            raise JobFailed(f"{self.name} answered something else than a result of {expected} PUBs.", code="job.device")
        return found

    def _sampled(self, circuit: QuantumCircuit, found: Any) -> PubResult:
        told = {name: _bits(self.name, value) for name, value in found.data.items()}
        sent = plainly(circuit)
        registers = told if sent is circuit else registers_of(circuit, found.data[sent.cregs[0].name].array)
        shape = next((bits.array.shape[:-2] for bits in registers.values()), [])
        return PubResult(shape=shape, registers=registers, metadata=_metadata(found.metadata))


def _pubs(order: Order) -> list[Any]:
    if order.kind is JobKind.ESTIMATOR:
        return [estimator_pub(pub, order.circuits[pub.circuit], precision_of(pub, order.options)) for pub in order.pubs]
    default = order.options["shots"] or order.options["default_shots"]
    return [sampler_pub(pub, plainly(order.circuits[pub.circuit]), pub.shots or default) for pub in order.pubs]


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """IBM's groups from flat names; what is not set, and the knobs of decoupling that is off, are left out."""
    nested: dict[str, Any] = {}
    for name, value in options.items():
        group, _, last = name.rpartition(".")
        known = name in _COMMON or name in _ESTIMATOR
        off = group == "dynamical_decoupling" and not options["dynamical_decoupling.enable"]
        if not known or value is None or off or name == "max_execution_time":
            continue
        (nested.setdefault(group, {}) if group else nested)[last] = value
    return nested


def _check_registers(device: str, circuit: QuantumCircuit) -> None:
    """IBM names results by register: each bit must be in one, and the name be one that a result can have."""
    for register in circuit.cregs:
        if register.name in DataBin._RESTRICTED_NAMES or not register.name.isidentifier() or not register.size:
            raise InputError(
                f"{device} cannot return a classical register named “{clean(register.name, 40)}”"
                f"{'' if register.size else ' without bits'}.",
                code="circuit.register",
                hint="Name it as a Python variable, such as “c”.",
            )
    if not are_plain(circuit):
        raise InputError(
            f"{device} returns classical bits by register; with control flow, registers must hold each bit once, one "
            "after the other.",
            code="circuit.register",
            hint="Use QuantumCircuit(n, m), or registers of their own bits.",
        )


def _shots(circuit: QuantumCircuit, data: DataBin) -> list[str]:
    values: list[int] | None = None
    for register in circuit.cregs:
        start = circuit.find_bit(register[0]).index
        here = [int(shot, 2) << start for shot in data[register.name].get_bitstrings()]
        values = here if values is None else [a | b for a, b in zip(values, here, strict=True)]
    return [hex(value) for value in values or []]


def _bits(device: str, found: Any) -> Bits:
    if not isinstance(found, BitArray):
        raise JobFailed(f"{device} returned no shots.", code="job.no_shots")
    raw = found.array
    return Bits(num_bits=found.num_bits, array=Array(dtype="|u1", shape=list(raw.shape), data=raw.tobytes()))


def _metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain(found).items() if name != "execution"}
