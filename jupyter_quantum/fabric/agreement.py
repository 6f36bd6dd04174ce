"""How far a run's counts agree with ideal ones: what its predicted chance of success is measured by.

Only where it is cheap: for the circuit with the least predicted chance, up to :data:`WIDEST` qubits in use, measured at
its end. Where one bit string is the right answer (a mirror circuit, say), the agreement is how often it came back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.series import agreement
from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.isa import steps
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import Agreement, PubResult, ResultView

__all__ = ["WIDEST", "agreed"]

WIDEST: Final = 12
_LONGEST: Final = 1000
_CERTAIN: Final = 1 - 1e-6
_BITS: Final = 62


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is simulated: gates on the qubits in use, and which bit each measured qubit gives."""

    gates: QuantumCircuit
    qubits: list[int]
    bits: list[int]


def agreed(
    device: Device, circuits: Sequence[QuantumCircuit], pubs: Sequence[Pub], result: ResultView
) -> Agreement | None:
    """The agreement of the circuit with the least chance of success; None where it is not known cheaply."""
    if device.device_kind is DeviceKind.SIMULATOR or len(circuits) > len(result.experiments) + len(result.pubs):
        return None
    try:
        return _agreed(device, circuits, pubs, result)
    except Exception:
        return None  # a courtesy: a gate that only the vendor knows must not cost the result


def _agreed(
    device: Device, circuits: Sequence[QuantumCircuit], pubs: Sequence[Pub], result: ResultView
) -> Agreement | None:
    used = [pub.circuit for pub in pubs] or list(range(len(circuits)))
    chances = {at: device.success(circuits[at]) for at in set(used)}
    known = {at: found.value for at, found in chances.items() if found is not None}
    if len(known) < len(chances):
        return None
    worst = min(known, key=lambda at: known[at])
    place = used.index(worst)
    counts = _bits(circuits[worst], result.pubs[place]) if pubs else _counts(result.experiments[place].counts)
    plan = _plan(circuits[worst]) if counts else None
    if plan is None or not counts:
        return None
    ideal = _ideal(plan)
    return Agreement(value=agreement(counts, ideal), certain=max(ideal.values()) > _CERTAIN)


def _counts(found: Mapping[str, int] | None) -> dict[int, int]:
    return {int(outcome, 16): count for outcome, count in (found or {}).items()}


def _bits(circuit: QuantumCircuit, found: PubResult) -> dict[int, int]:
    """Counts by the value of all bits, of a PUB without bindings."""
    if found.shape or circuit.num_clbits > _BITS or not found.registers:
        return {}
    total: Any = 0
    for register in circuit.cregs:
        bits = found.registers[register.name]
        raw = np.frombuffer(bits.array.data, dtype=np.uint8).reshape(bits.array.shape)
        each = np.unpackbits(raw, axis=-1)[..., ::-1][..., : bits.num_bits].astype(np.int64)
        total = total + each @ np.array([1 << circuit.find_bit(bit).index for bit in register], dtype=np.int64)
    outcomes, counts = np.unique(total, return_counts=True)
    return dict(zip(outcomes.tolist(), counts.tolist(), strict=True))


def _plan(circuit: QuantumCircuit) -> _Plan | None:
    """None where the circuit is too large, has control flow or resets, or goes on after a measurement."""
    if circuit.num_parameters:
        return None
    walked = list(steps(circuit))
    active = sorted({qubit for step in walked for qubit in step.qubits})
    if not active or len(active) > WIDEST or len(walked) > _LONGEST:
        return None
    place = {qubit: at for at, qubit in enumerate(active)}
    gates = QuantumCircuit(len(active))
    measured: dict[int, int] = {}
    for step in walked:
        if step.flow or step.name == "reset" or measured.keys() & set(step.qubits):
            return None
        if step.name == "measure":
            measured[step.qubits[0]] = circuit.find_bit(step.found.clbits[0]).index
        elif step.name != "delay":
            gates.append(step.operation, [place[qubit] for qubit in step.qubits])
    bits = list(measured.values())
    if not bits or len(set(bits)) < len(bits):
        return None
    return _Plan(gates, [place[qubit] for qubit in measured], bits)


@lru_cache(maxsize=1)
def _simulator() -> Any:
    return AerSimulator(method="statevector", max_parallel_threads=1)


def _ideal(plan: _Plan) -> dict[int, float]:
    """Share of each outcome without noise, by the value of all bits."""
    asked = plan.gates.copy()
    asked.save_probabilities(plan.qubits, label="ideal")
    shares = _simulator().run(asked, shots=1).result().data(0)["ideal"]
    found: dict[int, float] = {}
    for outcome in np.flatnonzero(shares > 1e-12).tolist():
        value = sum(1 << bit for at, bit in enumerate(plan.bits) if outcome >> at & 1)
        found[value] = float(shares[outcome])
    return found
