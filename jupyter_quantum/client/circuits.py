"""What a user passes to ``run`` as the shapes that travel: QPY or OpenQASM bytes, and PUBs."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from qiskit import QuantumCircuit, qpy
from qiskit.circuit.classical import types
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.qpy.exceptions import UnsupportedFeatureForVersion

from jupyter_quantum.client.naming import called
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub

__all__ = [
    "DATA_BIN",
    "LOWEST_QPY",
    "CircuitLike",
    "Work",
    "estimator_work",
    "load_circuits",
    "qasm_format",
    "run_work",
    "sampler_work",
    "to_qpy",
]

CircuitLike: TypeAlias = "QuantumCircuit | str"
"""A circuit, or the text of an OpenQASM 2 or 3 program."""

LOWEST_QPY: Final = 13
"""The QPY version that every supported Qiskit reads."""

_QASM3 = re.compile(r"^\s*(?:(?://[^\n]*\n|/\*.*?\*/)\s*)*OPENQASM\s+3", re.DOTALL)
_WRITING: Final = threading.Lock()
"""Qiskit's writer is not safe on two threads: a widget's act beside a running cell has crashed the kernel."""
DATA_BIN: Final = frozenset({"keys", "values", "items", "shape", "ndim", "size"})
"""Names that Qiskit's DataBin has for itself: a classical register cannot be a field under one of them."""


@dataclass(frozen=True, slots=True)
class Work:
    """Circuits and PUBs ready to send, and the metadata to give back unchanged (None: of a text, not known here).

    ``name`` is what the job is called where the user says nothing, ``count`` the number of circuits.
    """

    kind: JobKind
    circuits: CircuitBundle
    pubs: list[Pub] = field(default_factory=list)
    metadata: list[dict[str, Any] | None] | None = None
    name: str | None = None
    count: int = 1


def to_qpy(circuits: Sequence[QuantumCircuit]) -> bytes:
    """The circuits as one QPY file of the lowest version that holds them, 13 where it can."""
    for version in range(LOWEST_QPY, qpy.common.QPY_VERSION + 1):
        buffer = io.BytesIO()
        try:
            with _WRITING:
                qpy.dump(list(circuits), buffer, version=version)
        except UnsupportedFeatureForVersion:
            continue
        return buffer.getvalue()
    raise CircuitRejected(
        "A circuit holds something that no QPY version can store.",
        code="circuit.qpy",
        hint="Decompose custom instructions first, for example with circuit.decompose().",
    )


def load_circuits(bundle: CircuitBundle) -> list[QuantumCircuit]:
    """The circuits of a bundle that the service stored."""
    if bundle.format == "qpy":
        return list(qpy.load(io.BytesIO(bundle.data)))
    text = bundle.data.decode()
    if bundle.format == "qasm2":
        from qiskit import qasm2

        return [qasm2.loads(text, include_path=())]
    from qiskit import qasm3

    return [qasm3.loads(text)]


def run_work(given: CircuitLike | Iterable[CircuitLike]) -> Work:
    """Work of kind *run*: one circuit or several, their parameters bound; or one OpenQASM text."""
    circuits: list[Any] = [given] if isinstance(given, QuantumCircuit | str) else list(given)
    if not circuits:
        raise CircuitRejected("There is no circuit to run.", code="circuit.none", hint="Pass at least one circuit.")
    if any(isinstance(one, str) for one in circuits):
        return _text_work(circuits)
    for one in circuits:
        _check_circuit(one)
        if one.num_parameters:
            raise CircuitRejected(
                f"The circuit {one.name!r} has {one.num_parameters} parameters without a value.",
                code="circuit.unbound",
                hint="Bind them with circuit.assign_parameters(...), or use a sampler or an estimator.",
            )
    return Work(
        JobKind.RUN, _bundle(circuits), [], [one.metadata for one in circuits], _called(circuits), len(circuits)
    )


def sampler_work(pubs: Iterable[Any], shots: int | None) -> Work:
    """Work of kind *sampler*; ``shots`` for the PUBs that name none."""
    coerced = [SamplerPub.coerce(one, shots) for one in pubs]
    circuits, where = _distinct([one.circuit for one in coerced])
    for circuit in circuits:
        _check_registers(circuit)
    sent = [Pub(circuit=where[i], parameters=_parameters(one), shots=one.shots) for i, one in enumerate(coerced)]
    return Work(
        JobKind.SAMPLER,
        _bundle(circuits),
        sent,
        [one.circuit.metadata for one in coerced],
        _called(circuits),
        len(circuits),
    )


def estimator_work(pubs: Iterable[Any], precision: float | None) -> Work:
    """Work of kind *estimator*; ``precision`` (standard error) for the PUBs that name none."""
    coerced = [EstimatorPub.coerce(one, precision) for one in pubs]
    circuits, where = _distinct([one.circuit for one in coerced])
    sent = [
        Pub(
            circuit=where[i],
            parameters=_parameters(one),
            observables=one.observables.tolist(),
            precision=one.precision or None,
        )
        for i, one in enumerate(coerced)
    ]
    return Work(
        JobKind.ESTIMATOR,
        _bundle(circuits),
        sent,
        [one.circuit.metadata for one in coerced],
        _called(circuits),
        len(circuits),
    )


def qasm_format(text: str) -> Literal["qasm2", "qasm3"]:
    """Which OpenQASM a text says that it is; 2 where it says nothing."""
    return "qasm3" if _QASM3.match(text) else "qasm2"


def _text_work(circuits: Sequence[CircuitLike]) -> Work:
    if len(circuits) > 1:
        raise CircuitRejected(
            "OpenQASM text is sent alone.",
            code="circuit.mixed",
            hint="Run one text at a time, or load it into a circuit.",
        )
    text = str(circuits[0])
    return Work(JobKind.RUN, CircuitBundle(format=qasm_format(text), data=text.encode()))


def _bundle(circuits: Sequence[QuantumCircuit]) -> CircuitBundle:
    if not circuits:
        raise CircuitRejected("There is no circuit to run.", code="circuit.none", hint="Pass at least one PUB.")
    for one in circuits:
        _check_circuit(one)
    try:
        data = to_qpy(circuits)
    except (TypeError, ValueError):
        # Metadata that JSON cannot hold stays here; the job object gives it back with the result.
        data = to_qpy([_without_metadata(one) for one in circuits])
    return CircuitBundle(format="qpy", data=data)


def _without_metadata(circuit: QuantumCircuit) -> QuantumCircuit:
    bare = circuit.copy()
    bare.metadata = {}
    return bare


def _distinct(circuits: Sequence[QuantumCircuit]) -> tuple[list[QuantumCircuit], list[int]]:
    """Each circuit object once, and for each PUB the index of its circuit."""
    index: dict[int, int] = {}
    for one in circuits:
        index.setdefault(id(one), len(index))
    unique = list({id(one): one for one in circuits}.values())
    return unique, [index[id(one)] for one in circuits]


def _parameters(pub: SamplerPub | EstimatorPub) -> Any:
    if not pub.circuit.num_parameters:
        return None
    return pub.parameter_values.as_array(pub.circuit.parameters).tolist()


def _check_circuit(circuit: object) -> None:
    if not isinstance(circuit, QuantumCircuit):
        raise CircuitRejected(
            f"A {type(circuit).__name__} is not a circuit.",
            code="circuit.type",
            hint="Pass a QuantumCircuit, a list of them, or OpenQASM text.",
        )
    wide = [one.name for one in circuit.iter_vars() if not isinstance(one.type, types.Bool | types.Uint)]
    named = [one.name for one in circuit.iter_stretches()] + wide
    if named:
        raise CircuitRejected(
            f"The circuit declares {named[0]!r}, a stretch or a variable of real numbers, which QPY 13 cannot store.",
            code="circuit.variables",
            hint="Use delays of fixed length, parameters for angles, and variables of bits and whole numbers.",
        )


def _check_registers(circuit: QuantumCircuit) -> None:
    taken = [register.name for register in circuit.cregs if register.name in DATA_BIN or register.name.startswith("_")]
    if taken:
        raise CircuitRejected(
            f"The register name {taken[0]!r} is used by Qiskit's DataBin itself.",
            code="circuit.register",
            hint=f"Rename it, for example 'my{taken[0]}'.",
        )


def _called(circuits: Sequence[QuantumCircuit]) -> str | None:
    """What the job is called: like its first circuit."""
    return called(circuits[0])[:200] or None
