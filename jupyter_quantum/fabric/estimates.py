"""What can be said of a circuit before it runs: success, time on the device, size.

*Success* is the chance that no modelled error occurs: the product of (1 − gate error) and (1 − readout error) over all
operations, with the errors of the calibration. Its range takes every error 30 % smaller and 30 % larger, which is
how far they move between calibrations of a day. Where one error is unknown, success is unknown.

*Time* is shots times (duration of the circuit as soon as possible + repetition delay) plus a fixed overhead per
circuit; its range is 0.8 to 1.5 times the value. Simulators use a model of their cost instead, with a range of 0.3
to 3 times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, ForLoopOp
from qiskit.transpiler import Target

from jupyter_quantum.fabric.isa import Step, steps
from jupyter_quantum.wire.jobs import Interval

__all__ = ["depth", "device_seconds", "simulator_seconds", "success", "two_qubit_gates"]

_DRIFT: Final = 0.3
_REPETITION_S: Final = 250e-6
_CIRCUIT_S: Final = 0.05
_AMPLITUDE_S: Final = 2e-9
_GATE_S: Final = 2e-6
_SHOT_S: Final = 1e-6
_MOST_S: Final = 1e9
"""No run takes so long; what the model says beyond it is no number to work with."""
_CLIFFORD_NAMES: Final = "id x y z h s sdg sx sxdg cx cy cz swap ecr iswap dcx measure reset delay"
_CLIFFORD: Final = frozenset(_CLIFFORD_NAMES.split())


def success(circuit: QuantumCircuit, target: Target) -> Interval | None:
    """The chance that no modelled error occurs, or None where an error is unknown."""
    logs = [0.0, 0.0, 0.0]
    for step in steps(circuit):
        error = _error(step, target)
        if error is None:
            return None
        for at, factor in enumerate((1.0, 1.0 + _DRIFT, 1.0 - _DRIFT)):
            logs[at] += step.times * math.log1p(-min(error * factor, 1.0 - 1e-12))
    value, low, high = (math.exp(one) for one in logs)
    return Interval(value=value, low=low, high=high)


def _error(step: Step, target: Target) -> float | None:
    """An operation's error; what only waits or steers has none of its own."""
    name = step.name
    if step.flow or name in {"delay", "break_loop", "continue_loop"}:
        return 0.0
    known = target[name].get(step.qubits) if name in target else None
    if name == "reset" and known is not None and known.error is None:
        measured = target["measure"].get(step.qubits) if "measure" in target else None
        return measured.error if measured else None  # a reset is a measurement and a correction
    return known.error if known else None


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


def two_qubit_gates(circuit: QuantumCircuit) -> int:
    """Gates on two or more qubits, loops multiplied out."""
    return sum(step.times for step in steps(circuit) if len(step.qubits) > 1 and not step.flow)


def device_seconds(circuits: Sequence[tuple[QuantumCircuit, int]], target: Target) -> Interval:
    """Seconds on a device for circuits with the executions of each."""
    value = sum(_CIRCUIT_S + shots * (_duration(circuit, target) + _REPETITION_S) for circuit, shots in circuits)
    return Interval(value=value, low=0.8 * value, high=1.5 * value)


def _duration(circuit: QuantumCircuit, target: Target, qubits: Sequence[int] | None = None) -> float:
    where = dict(zip(circuit.qubits, range(circuit.num_qubits) if qubits is None else qubits, strict=True))
    ends: dict[int, float] = {}
    for found in circuit.data:
        on = tuple(where[bit] for bit in found.qubits)
        until = max((ends.get(qubit, 0.0) for qubit in on), default=0.0)
        if isinstance(found.operation, ControlFlowOp):
            times = max(len(found.operation.params[0]), 1) if isinstance(found.operation, ForLoopOp) else 1
            until += times * max((_duration(block, target, on) for block in found.operation.blocks), default=0.0)
        elif found.operation.name in target:
            until += getattr(target[found.operation.name].get(on), "duration", None) or 0.0
        ends.update(dict.fromkeys(on, until))
    return max(ends.values(), default=0.0)


def simulator_seconds(circuits: Sequence[tuple[QuantumCircuit, int]]) -> Interval:
    """Seconds that a simulator takes for circuits with the executions of each."""
    value = min(sum(_simulation(circuit, shots) for circuit, shots in circuits), _MOST_S)
    return Interval(value=value, low=0.3 * value, high=3 * value)


def _simulation(circuit: QuantumCircuit, shots: int) -> float:
    gates, width, clifford, repeated = 0, set[int](), True, False
    measured: set[int] = set()
    for step in steps(circuit):
        gates += step.times
        width.update(step.qubits)
        clifford = clifford and step.name in _CLIFFORD
        repeated = repeated or step.flow or bool(measured.intersection(step.qubits))
        if step.name == "measure":
            measured.update(step.qubits)
    amplitudes = len(width) ** 2 if clifford else 2.0 ** min(len(width), 60)
    return 1e-3 + gates * (_GATE_S + amplitudes * _AMPLITUDE_S) * (shots if repeated else 1) + shots * _SHOT_S
