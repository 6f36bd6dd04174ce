"""PUBs as they travel, and the circuits that they come to: bindings, observables, shots.

A circuit that the transpiler has laid out has its qubits elsewhere, and may have lost parameters that changed nothing:
:func:`laid_out` moves observables and bindings along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import PauliList

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import InputError, OptionRejected
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.refusals import clean, refusal
from jupyter_quantum.wire.jobs import Pub

__all__ = ["Unit", "check_pubs", "estimator_pub", "laid_out", "sampler_pub", "units"]

_PAULI: Final = frozenset("IXYZ")

Unit = tuple[int, int, int]
"""Index of a circuit, how many circuits it comes to once bound and grouped, shots of each."""


def check_pubs(kind: JobKind, circuits: Sequence[QuantumCircuit], pubs: Sequence[Pub]) -> None:
    """Raise :class:`InputError` (``pub.*``) unless every PUB fits its circuit."""
    if kind is JobKind.RUN:
        _check_run(circuits, pubs)
        return
    if not pubs:
        raise InputError(f"A job of kind {kind.value} needs at least one PUB.", code="pub.none")
    for at, pub in enumerate(pubs):
        if pub.circuit >= len(circuits):
            raise InputError(
                f"PUB {at} names circuit {pub.circuit}; {len(circuits)} were sent, counted from 0.", code="pub.circuit"
            )
        circuit = circuits[pub.circuit]
        _values(at, pub, circuit.num_parameters)
        if kind is JobKind.ESTIMATOR:
            _check_observables(at, pub, circuit.num_qubits)
        elif pub.observables is not None:
            raise InputError(f"PUB {at} has observables, which a sampler does not take.", code="pub.observables")


def _check_run(circuits: Sequence[QuantumCircuit], pubs: Sequence[Pub]) -> None:
    if pubs:
        raise InputError("backend.run takes circuits, not PUBs.", code="pub.run", hint="Use a sampler or an estimator.")
    for circuit in circuits:
        if circuit.num_parameters:
            names = ", ".join(clean(one.name, 40) for one in list(circuit.parameters)[:5])
            raise refusal(
                "unbound",
                f"The circuit has {circuit.num_parameters} parameters without a value: {names}.",
                "Bind them with circuit.assign_parameters(), or use a sampler, which takes values.",
            )


def _values(at: int, pub: Pub, parameters: int) -> NDArray[np.float64]:
    """The bindings, shape ``(*pub shape, parameters)``."""
    if pub.parameters is None:
        if parameters:
            raise InputError(
                f"PUB {at} gives no values for the circuit's {parameters} parameters.", code="pub.parameters"
            )
        return np.empty((0,))
    try:
        values = np.asarray(pub.parameters, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"PUB {at}: parameters are not a regular array of numbers.", code="pub.parameters") from None
    if values.ndim == 0 or (values.shape[-1] != parameters and values.size):
        given = values.shape[-1] if values.ndim else 0
        raise InputError(
            f"PUB {at} gives {given} values at a time; the circuit has {parameters} parameters.", code="pub.parameters"
        )
    if not np.isfinite(values).all():
        raise InputError(f"PUB {at} holds a value that is not finite.", code="pub.parameters")
    if values.ndim > 16 or (values.size == 0 and parameters):
        raise InputError(f"PUB {at}: parameters of shape {values.shape} bind nothing.", code="pub.parameters")
    return values


def _observables(pub: Pub) -> NDArray[np.object_]:
    """The observables as an array of mappings."""
    shape: list[int] = []
    level = pub.observables
    while isinstance(level, list) and level and len(shape) < 16:
        shape.append(len(level))
        level = level[0]
    filled = np.empty(tuple(shape), dtype=object)
    for index in np.ndindex(*shape):
        one: Any = pub.observables
        for step in index:
            if not isinstance(one, list) or len(one) <= step:
                raise TypeError("ragged")
            one = one[step]
        if not isinstance(one, Mapping) or not one:
            raise TypeError("not an observable")
        filled[index] = one
    return filled


def _check_observables(at: int, pub: Pub, qubits: int) -> None:
    try:
        array = _observables(pub)
    except TypeError:
        raise InputError(
            f"PUB {at}: observables are not a regular array of {{Pauli label: coefficient}}.", code="pub.observables"
        ) from None
    for one in array.ravel():
        if not any(one.values()):
            raise InputError(
                f"PUB {at}: an observable has only coefficients of 0, so there is nothing to measure.",
                code="pub.observables",
            )
        for label, factor in one.items():
            if not isinstance(label, str) or len(label) != qubits or not _PAULI.issuperset(label):
                raise InputError(
                    f"PUB {at}: “{clean(label, 40)}” is not a Pauli label for {qubits} qubits.", code="pub.observables"
                )
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
                raise InputError(
                    f"PUB {at}: the coefficient of {label[:40]} is not a real number.", code="pub.observables"
                )
    shape = np.shape(pub.parameters)[:-1] if pub.parameters is not None else ()
    try:
        np.broadcast_shapes(shape, array.shape)
    except ValueError:
        raise InputError(
            f"PUB {at}: parameters of shape {shape} and observables of shape {array.shape} do not fit together.",
            code="pub.shape",
        ) from None


def units(
    kind: JobKind,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    limits: Limits,
    max_shots: int,
) -> list[Unit]:
    """What will run: for each circuit or PUB the number of circuits and the shots of each; raises beyond the limits."""
    if kind is JobKind.RUN:
        found = [(at, 1, int(options["shots"])) for at in range(len(circuits))]
    elif kind is JobKind.SAMPLER:
        default = options["shots"] or options["default_shots"]
        found = [(pub.circuit, _bindings(pub), pub.shots or default) for pub in pubs]
    else:
        found = [(pub.circuit, _measured(pub, options), _shots_for(pub, options)) for pub in pubs]
    most = min(limits.shots, max_shots)
    for _, _, shots in found:
        if shots > most:
            raise OptionRejected(
                f"{shots:,} shots of one circuit are more than {most:,}.",
                code="option.shots",
                hint=f"Use at most {most:,} shots"
                + (f" (precision {most**-0.5:.2g})." if kind is JobKind.ESTIMATOR else "."),
            )
    if sum(count for _, count, _ in found) > limits.bindings:
        raise refusal("too_large", f"The job comes to more than {limits.bindings:,} circuits to run.", "Split it up.")
    if sum(count * shots for _, count, shots in found) > limits.executions:
        raise refusal("too_large", f"The job comes to more than {limits.executions:,} executions.", "Split it up.")
    return found


def precision_of(pub: Pub, options: Mapping[str, Any]) -> float:
    """The precision asked for a PUB."""
    return float(pub.precision or options["precision"] or options["default_precision"])


def _shots_for(pub: Pub, options: Mapping[str, Any]) -> int:
    precision = precision_of(pub, options)
    return math.ceil(1.0 / precision**2) if precision > 1e-9 else 10**18


def _bindings(pub: Pub) -> int:
    return int(np.prod(np.shape(pub.parameters)[:-1], dtype=np.int64)) if pub.parameters is not None else 1


def _measured(pub: Pub, options: Mapping[str, Any]) -> int:
    """How many circuits measure all observables for all bindings (qubit-wise commuting ones together)."""
    observables = _observables(pub)
    shape = np.shape(pub.parameters)[:-1] if pub.parameters is not None else ()
    bindings = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    needed: dict[int, set[str]] = {}
    for index, one in np.broadcast(bindings, observables):
        needed.setdefault(int(index), set()).update(one)
    grouped = bool(options["abelian_grouping"])
    return sum(_groups(frozenset(labels)) if grouped else len(labels) for labels in needed.values())


@lru_cache(maxsize=256)
def _groups(labels: frozenset[str]) -> int:
    return len(PauliList(sorted(labels)).group_commuting(qubit_wise=True))


def laid_out(pub: Pub, before: QuantumCircuit, after: QuantumCircuit) -> Pub:
    """The PUB for the transpiled circuit: observables on the device's qubits, bindings of parameters that are left.

    A circuit that was sent laid out (``after is before``) comes with observables that are laid out too.
    """
    changes: dict[str, Any] = {}
    names = [one.name for one in before.parameters]
    left = [one.name for one in after.parameters]
    if pub.parameters is not None and names != left:
        columns = [names.index(name) for name in left]
        changes["parameters"] = np.asarray(pub.parameters, dtype=np.float64)[..., columns].tolist() if left else None
        if not left and np.ndim(pub.parameters) > 1:
            changes["parameters"] = np.empty((*np.shape(pub.parameters)[:-1], 0)).tolist()
    if pub.observables is not None and after is not before and after.layout is not None:
        places = after.layout.final_index_layout(filter_ancillas=True)
        changes["observables"] = _moved(pub.observables, places, after.num_qubits)
    return pub.model_copy(update=changes) if changes else pub


def _moved(observables: Any, places: Sequence[int], width: int) -> Any:
    if isinstance(observables, list):
        return [_moved(one, places, width) for one in observables]
    return {_label(label, places, width): factor for label, factor in observables.items()}


def _label(label: str, places: Sequence[int], width: int) -> str:
    moved = ["I"] * width
    for qubit, pauli in enumerate(reversed(label)):
        moved[places[qubit]] = pauli
    return "".join(reversed(moved))


def sampler_pub(pub: Pub, circuit: QuantumCircuit, shots: int) -> SamplerPub:
    """Qiskit's own PUB."""
    return SamplerPub.coerce((circuit, _given(pub, circuit), shots))


def estimator_pub(pub: Pub, circuit: QuantumCircuit, precision: float) -> EstimatorPub:
    """Qiskit's own PUB."""
    return EstimatorPub.coerce((circuit, _observables(pub).tolist(), _given(pub, circuit), precision))


def _given(pub: Pub, circuit: QuantumCircuit) -> NDArray[np.float64] | None:
    if pub.parameters is None:
        return None
    values = np.asarray(pub.parameters, dtype=np.float64)
    return values if circuit.num_parameters or values.ndim > 1 else None
