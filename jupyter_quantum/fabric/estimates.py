"""What can be said of a circuit before it runs: success, time on the device, size.

*Success* is the chance that no modelled error occurs: the product of (1 − gate error) and (1 − readout error) over all
operations, with the errors of the calibration. A gate is taken to be at least as wrong as relaxation makes its qubits
while it lasts (T1 and T2 of the calibration; A. W. Cross et al., *Validating quantum computers using randomized model
circuits*, 2019, and the noise model of Qiskit Aer count likewise). The range takes every error 30 % smaller and 30 %
larger, which is how far they move between calibrations of a day. Where one error is unknown, success is unknown.

*Time* is shots times (duration of the circuit as soon as possible + repetition delay) plus a fixed overhead per
circuit; its range is 0.8 to 1.5 times the value. What a simulator takes is told by :mod:`.simulation`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from qiskit import QuantumCircuit
from qiskit.circuit import ForLoopOp
from qiskit.transpiler import Target

from jupyter_quantum.fabric.isa import NOTHING, Known, Step, known_of, steps
from jupyter_quantum.wire.devices import Interval

__all__ = [
    "Load",
    "Survey",
    "depth",
    "device_seconds",
    "errors_of",
    "known_errors",
    "mitigation_overhead",
    "success",
    "survey",
]

Found = TypeVar("Found")

_DRIFT: Final = 0.3
_REPETITION_S: Final = 250e-6
_CIRCUIT_S: Final = 0.05
_MOST_S: Final = 1e9
"""No run takes so long; what the model says beyond it is no number to work with."""
_REMEMBERED: Final = 128
_CLIFFORD_NAMES: Final = "id x y z h s sdg sx sxdg cx cy cz swap ecr pauli measure reset delay barrier"
_FLOW_NAMES: Final = "if_else for_loop while_loop switch_case break_loop continue_loop store"
_CLIFFORD: Final = frozenset(f"{_CLIFFORD_NAMES} {_FLOW_NAMES}".split())
"""What Aer's stabilizer simulator takes; ``rz`` is one of these where its angle is a multiple of π/2."""
_ANGLE: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Load:
    """What a simulator is asked to do for one execution of a circuit, loops multiplied out."""

    qubits: int
    """That something is done to."""
    gates: int
    noisy: int
    """Those that are known to go wrong now and then; measurements are none of them."""
    pairs: int
    """Gates on two or more qubits."""
    measured: int
    """Measurements."""
    repeated: bool
    """Whether something follows a measurement, so that the shots cannot be drawn from one state at the end."""
    clifford: bool | None
    """Whether all is Clifford; None: it depends on the values of parameters."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one walk over a compiled circuit finds out."""

    depth: int
    """What ``circuit.depth()`` says, which looks at every gate as a Python object and takes ten times as long."""
    two_qubit_gates: int
    """Gates on two or more qubits, loops multiplied out."""
    success: Interval | None
    seconds: float
    """Of one execution, started as soon as possible."""
    overhead: float | None
    """See :func:`mitigation_overhead`."""
    load: Load


def survey(circuit: QuantumCircuit, target: Target) -> Survey:
    """Walk over a circuit as laid out for ``target``; the latest are remembered, since nobody changes them."""
    return _SURVEYS(circuit, target)


def _survey(circuit: QuantumCircuit, target: Target) -> Survey:
    """One pass where nothing is repeated or chosen, else one for each question."""
    if any(found.is_control_flow() or found.name == "store" for found in circuit.data):
        return Survey(
            int(circuit.depth()),
            sum(step.times for step in steps(circuit) if len(step.qubits) > 1 and not step.flow),
            _success([(_error(step, errors_of(target)), step.times) for step in steps(circuit)]),
            _duration(circuit, known_of(target)),
            _overhead((step.qubits for step in steps(circuit) if step.name == "measure"), errors_of(target)),
            _load(circuit, errors_of(target)),
        )
    return _flat(circuit, errors_of(target))


def _flat(circuit: QuantumCircuit, known: Known) -> Survey:
    where = {bit: at for at, bit in enumerate((*circuit.qubits, *circuit.clbits))}
    levels, ends = [0] * len(where), [0.0] * circuit.num_qubits
    pairs, noisy, repeated, used, seen = 0, 0, False, set[int](), set[int]()
    errors, read = list[tuple[float | None, int]](), list[tuple[int, ...]]()
    for found in circuit.data:
        on = tuple([where[bit] for bit in found.qubits])
        bits = (*on, *[where[bit] for bit in found.clbits])
        name = found.name
        level = max([levels[bit] for bit in bits], default=0) + (name != "barrier" and not found.is_directive())
        for bit in bits:
            levels[bit] = level
        if name == "barrier":
            continue
        error, duration = known.get(name, NOTHING).get(on, _UNKNOWN)
        until = max([ends[qubit] for qubit in on], default=0.0) + (duration or 0.0)
        for qubit in on:
            ends[qubit] = until
        pairs += len(on) > 1
        used.update(on)
        repeated = repeated or name == "reset" or not seen.isdisjoint(on)
        if name == "measure":
            read.append(on)
            seen.update(on)
        elif error or duration:
            noisy += 1
        if name in _STEERING:
            error = 0.0
        elif name == "reset" and error is None:
            error = known.get("measure", NOTHING).get(on, _UNKNOWN)[0]
        errors.append((error, 1))
    load = Load(len(used), len(errors), noisy, pairs, len(read), repeated, _clifford([circuit]))
    return Survey(max(levels, default=0), pairs, _success(errors), max(ends, default=0.0), _overhead(read, known), load)


def _load(circuit: QuantumCircuit, known: Known) -> Load:
    """The same of a circuit in which something is repeated or chosen: each shot is gone through by itself."""
    found = [step for step in steps(circuit) if not step.flow]
    wrong = [step for step in found if any(known.get(step.name, NOTHING).get(step.qubits, _UNKNOWN))]
    return Load(
        len({qubit for step in found for qubit in step.qubits}),
        sum(step.times for step in found),
        sum(step.times for step in wrong if step.name != "measure"),
        sum(step.times for step in found if len(step.qubits) > 1),
        sum(step.times for step in found if step.name == "measure"),
        True,
        _clifford(_parts(circuit)),
    )


def _parts(circuit: QuantumCircuit) -> Iterator[QuantumCircuit]:
    """The circuit and every block in it."""
    yield circuit
    for found in circuit.data:
        if found.is_control_flow():
            for block in found.operation.blocks:
                yield from _parts(block)


def _clifford(parts: Iterable[QuantumCircuit]) -> bool | None:
    """Names decide, and the angles of ``rz``."""
    certain: bool | None = True
    for part in parts:
        names = set(part.count_ops()) - _CLIFFORD
        if names - {"rz"}:
            return False
        for found in part.data if names else ():
            if found.name != "rz":
                continue
            (angle,) = found.params
            if not isinstance(angle, float | int):
                certain = None
            elif abs(math.remainder(angle, math.pi / 2)) > _ANGLE:
                return False
    return certain


_UNKNOWN: Final = (None, None)


def success(circuit: QuantumCircuit, target: Target) -> Interval | None:
    """The chance that no modelled error occurs, or None where an error is unknown."""
    return survey(circuit, target).success


def _success(errors: Sequence[tuple[float | None, int]]) -> Interval | None:
    """From each operation's error and how often it happens."""
    logs = [0.0, 0.0, 0.0]
    for error, times in errors:
        if error is None:
            return None
        if error:
            for at, factor in enumerate((1.0, 1.0 + _DRIFT, 1.0 - _DRIFT)):
                logs[at] += times * math.log1p(-min(error * factor, 1.0 - 1e-12))
    value, low, high = (math.exp(one) for one in logs)
    return Interval(value=value, low=low, high=high)


def _error(step: Step, known: Known) -> float | None:
    """An operation's error; what only waits or steers has none of its own."""
    name = step.name
    if step.flow or name in _STEERING:
        return 0.0
    found = known.get(name, NOTHING).get(step.qubits)
    if name == "reset" and found is not None and found[0] is None:
        found = known.get("measure", NOTHING).get(step.qubits)  # a reset is a measurement and a correction
    return found[0] if found else None


_STEERING: Final = frozenset({"delay", "break_loop", "continue_loop"})
_ERRORS: Final[dict[int, tuple[Target, Known]]] = {}


def errors_of(target: Target) -> Known:
    """What the Target knows, each gate at least as wrong as relaxation makes it. Made once a Target."""
    held = _ERRORS.get(id(target))
    if held is None or held[0] is not target:
        found = {name: _relaxed(name, known, target) for name, known in known_of(target).items()}
        held = _ERRORS[id(target)] = (target, found)
    return held[1]


def _relaxed(
    name: str, known: Mapping[tuple[int, ...], tuple[float | None, float | None]], target: Target
) -> Mapping[tuple[int, ...], tuple[float | None, float | None]]:
    if name in {"measure", "reset", "delay"} or target.qubit_properties is None:
        return known
    return {
        qubits: (error if error is None else max(error, _relaxation(qubits, duration, target)), duration)
        for qubits, (error, duration) in known.items()
    }


def _relaxation(qubits: tuple[int, ...], duration: float | None, target: Target) -> float:
    """Average infidelity of doing nothing for so long, as far as T1 and T2 are known."""
    kept = 1.0
    for qubit in qubits:
        one = target.qubit_properties[qubit] if qubit < len(target.qubit_properties) else None
        t1, t2 = getattr(one, "t1", None), getattr(one, "t2", None)
        if t1 and t2 and duration:
            kept *= (1 + math.exp(-duration / t1) + 2 * math.exp(-duration / min(t2, 2 * t1))) / 4
    size = float(1 << len(qubits))
    return (1 - kept) * size / (size + 1)


def known_errors(target: Target) -> list[Literal["gates", "readout"]]:
    """Whether the Target knows errors of gates, and of readout."""
    known = {
        name == "measure"
        for name, found in known_of(target).items()
        if any(error is not None for error, _ in found.values())
    }
    return [word for word, flag in _BASIS if flag in known]


_BASIS: Final[tuple[tuple[Literal["gates", "readout"], bool], ...]] = (("gates", False), ("readout", True))


def mitigation_overhead(circuit: QuantumCircuit, target: Target) -> float | None:
    """So many times the executions give the same precision once readout errors are taken out; None: unknown.

    The inverse of a bit flip with chance e has the one-norm 1 / (1 − 2e), and the variance grows by its square for
    each measured bit (S. Bravyi et al., *Mitigating measurement errors in multiqubit experiments*, 2021).
    """
    return survey(circuit, target).overhead


def _overhead(read: Iterable[tuple[int, ...]], known: Known) -> float | None:
    overhead = 1.0
    for qubits in read:
        error = known.get("measure", NOTHING).get(qubits, _UNKNOWN)[0]
        if error is None or error >= 0.5:
            return None
        overhead = min(overhead / (1 - 2 * error) ** 2, _MOST_S)
    return overhead


def depth(circuit: QuantumCircuit) -> int:
    """What ``circuit.depth()`` says, which looks at every gate as a Python object and takes ten times as long."""
    ends: dict[object, int] = {}
    for found in circuit.data:
        if found.is_control_flow() or found.name == "store":
            return int(circuit.depth())
        bits = (*found.qubits, *found.clbits)
        until = max([ends.get(bit, 0) for bit in bits], default=0) + (not found.is_directive())
        ends.update(dict.fromkeys(bits, until))
    return max(ends.values(), default=0)


def device_seconds(circuits: Sequence[tuple[QuantumCircuit, int]], target: Target) -> Interval:
    """Seconds on a device for circuits with the executions of each."""
    value = sum(_CIRCUIT_S + shots * (survey(circuit, target).seconds + _REPETITION_S) for circuit, shots in circuits)
    return Interval(value=value, low=0.8 * value, high=1.5 * value)


def _duration(circuit: QuantumCircuit, known: Known, qubits: Sequence[int] | None = None) -> float:
    where = dict(zip(circuit.qubits, range(circuit.num_qubits) if qubits is None else qubits, strict=True))
    ends: dict[int, float] = {}
    for found in circuit.data:
        on = tuple([where[bit] for bit in found.qubits])
        until = max([ends.get(qubit, 0.0) for qubit in on], default=0.0)
        if found.is_control_flow():
            operation = found.operation
            times = max(len(operation.params[0]), 1) if isinstance(operation, ForLoopOp) else 1
            blocks = getattr(operation, "blocks", ())
            until += times * max((_duration(block, known, on) for block in blocks), default=0.0)
        else:
            until += (known.get(found.name, NOTHING).get(on) or (None, None))[1] or 0.0
        ends.update(dict.fromkeys(on, until))
    return max(ends.values(), default=0.0)


class _Remembered(Generic[Found]):
    """A function of a circuit (which nobody changes) and one more object, computed once for the latest circuits.

    Runs of the same circuit with other shots ask the same again.
    """

    def __init__(self, function: Callable[[QuantumCircuit, Any], Found]) -> None:
        self._function = function
        self._kept: OrderedDict[tuple[int, int], tuple[QuantumCircuit, object, Found]] = OrderedDict()

    def __call__(self, circuit: QuantumCircuit, other: Any = None) -> Found:
        key = (id(circuit), id(other))
        held = self._kept.get(key)
        if held is None or held[0] is not circuit or held[1] is not other:
            held = self._kept[key] = (circuit, other, self._function(circuit, other))
            if len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)
        return held[2]


_SURVEYS: Final = _Remembered(_survey)
