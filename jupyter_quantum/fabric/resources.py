"""What a circuit would take on a fault-tolerant computer.

The circuit is written in Clifford gates, T gates, rotations and Toffoli gates, and these are counted. Where the QDK is
installed, its resource estimator says what they come to on a few kinds of physical qubits: distance of the surface or
Floquet code, factories for T states, run time (M. E. Beverland et al., *Assessing requirements to scale to practical
quantum advantage*, 2022). It is given the counts, never the circuit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import ForLoopOp

from jupyter_quantum.wire.reports import QubitModel, Resources

__all__ = ["resources"]

_BUDGET: Final = 1e-3
_GATES: Final = "h s sdg sx sxdg x y z t tdg cx cz swap rz ccx"
_OTHERS: Final = "measure reset delay if_else for_loop while_loop switch_case"
_BASIS: Final = f"{_GATES} {_OTHERS}".split()
_EIGHTH: Final = math.pi / 4
_EXACT: Final = 1e-9
_MODELS: Final = (
    ("qubit_gate_ns_e3", "superconducting, errors of 1 in 1 000", "surface_code"),
    ("qubit_gate_ns_e4", "superconducting, errors of 1 in 10 000", "surface_code"),
    ("qubit_gate_us_e3", "trapped ions, errors of 1 in 1 000", "surface_code"),
    ("qubit_maj_ns_e4", "Majorana, errors of 1 in 10 000", "floquet_code"),
)
_COUNTED: Final = "Gates were counted; this runner has no resource estimator (qdk), so nothing is said of hardware."
_NOTHING: Final = "It has Clifford gates alone and measures nothing, so there is nothing to estimate beyond its gates."
_FLOW: Final = "Of branches all are counted, of loops without a number of rounds one round."
_SYNTHESIS: Final = (0.53, 5.3)
"""T gates of a rotation with error ε: 0.53 log2(1/ε) + 5.3 (Beverland et al., appendix D)."""
_TOFFOLI: Final = 4
"""T gates of a Toffoli gate (C. Jones, 2013)."""


@dataclass(slots=True)
class _Counts:
    gates: int = 0
    depth: int = 0
    t: int = 0
    rotations: int = 0
    layers: int = 0
    toffoli: int = 0
    measurements: int = 0
    open: bool = False
    """Whether something is chosen or repeated as the run goes."""

    @property
    def nothing(self) -> bool:
        """Whether there is neither a magic state nor a measurement."""
        return not (self.t or self.rotations or self.toffoli or self.measurements)


def resources(circuit: QuantumCircuit) -> Resources:
    """Estimate what the circuit would take. Parameters without a value count as arbitrary angles."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = transpile(circuit, basis_gates=_BASIS, optimization_level=1, seed_transpiler=0)
    counts = _counted(plain)
    models, logical = _by_qdk(plain.num_qubits, counts)
    return Resources(
        method="qdk" if models else "count",
        logical_qubits=logical or plain.num_qubits,
        t_count=counts.t,
        rotations=counts.rotations,
        toffoli=counts.toffoli,
        measurements=counts.measurements,
        depth=counts.depth,
        gates=counts.gates,
        t_states=_t_states(counts),
        error_budget=_BUDGET,
        models=models,
        note=" ".join(_notes(counts, bool(models))),
    )


def _notes(counts: _Counts, estimated: bool) -> Iterator[str]:
    if not estimated:
        yield _NOTHING if counts.nothing else _COUNTED
    if counts.open:
        yield _FLOW


def _counted(circuit: QuantumCircuit) -> _Counts:
    """Rotations in one layer are those that may be done at once; what a loop repeats counts as often."""
    counts = _Counts()
    _count(circuit, range(circuit.num_qubits), 1, counts, ({}, {}))
    if not any(found.is_control_flow() for found in circuit.data):
        counts.depth = circuit.depth()
    return counts


_Levels = dict[int, int]
"""Qubit → how much was done one after the other until now."""


def _count(
    circuit: QuantumCircuit, where: Sequence[int], times: int, counts: _Counts, levels: tuple[_Levels, _Levels]
) -> None:
    """Add what ``circuit`` does so many times to the counts; ``levels`` are those of all gates, and of rotations."""
    ends, layers = levels
    places = dict(zip(circuit.qubits, where, strict=True))
    for found in circuit.data:
        on = [places[bit] for bit in found.qubits]
        if found.is_control_flow():
            operation = found.operation
            rounds = max(len(operation.params[0]), 1) if isinstance(operation, ForLoopOp) else 1
            counts.open = counts.open or not isinstance(operation, ForLoopOp)
            for block in operation.blocks:
                _count(block, on, times * rounds, counts, levels)
            continue
        more = 0 if found.is_directive() else times
        turns = found.name == "rz" and _turn(found.params[0])
        counts.gates += more
        counts.depth = max(counts.depth, _on(ends, on, more))
        counts.layers = max(counts.layers, _on(layers, on, more * (turns == "rotation")))
        counts.rotations += more * (turns == "rotation")
        counts.t += more * (found.name in {"t", "tdg"} or turns == "t")
        counts.toffoli += more * (found.name == "ccx")
        counts.measurements += more * (found.name == "measure")


def _on(levels: _Levels, qubits: Sequence[int], more: int) -> int:
    """The level that these qubits have after something on all of them."""
    level = max([levels.get(qubit, 0) for qubit in qubits], default=0) + more
    levels.update(dict.fromkeys(qubits, level))
    return level


def _turn(angle: Any) -> str:
    """What a rotation by this angle is: Clifford, a T gate (up to one), or something that must be approximated."""
    try:
        eighths = float(angle) / _EIGHTH
    except TypeError:
        return "rotation"
    if abs(eighths - round(eighths)) * _EIGHTH > _EXACT:
        return "rotation"
    return "t" if round(eighths) % 2 else "clifford"


def _t_states(counts: _Counts) -> int:
    """T gates in all; a third of the budget is for approximating rotations."""
    factor, plus = _SYNTHESIS
    each = math.ceil(factor * math.log2(3 * counts.rotations / _BUDGET) + plus) if counts.rotations else 0
    return counts.t + _TOFFOLI * counts.toffoli + each * counts.rotations


def _by_qdk(num_qubits: int, counts: _Counts) -> tuple[list[QubitModel], int | None]:
    """Models, and logical qubits with room to move them; nothing where the QDK is not installed or has no answer."""
    if counts.nothing:
        return [], None
    try:
        from qdk.estimator import LogicalCounts
    except ImportError:
        return [], None
    logical = LogicalCounts(
        {
            "numQubits": num_qubits,
            "tCount": counts.t,
            "rotationCount": counts.rotations,
            "rotationDepth": counts.layers,
            "cczCount": counts.toffoli,
            "ccixCount": 0,
            "measurementCount": counts.measurements,
        }
    )
    answers = [(name, words, _estimate(logical, name, code)) for name, words, code in _MODELS]
    models = [
        QubitModel(
            name=name,
            words=words,
            physical_qubits=answer["physicalCounts"]["physicalQubits"],
            seconds=answer["physicalCounts"]["runtime"] / 1e9,
            code_distance=answer["logicalQubit"]["codeDistance"],
        )
        for name, words, answer in answers
    ]
    return models, int(answers[0][2]["physicalCounts"]["breakdown"]["algorithmicLogicalQubits"])


def _estimate(logical: Any, model: str, code: str) -> Mapping[str, Any]:
    asked = {"qubitParams": {"name": model}, "qecScheme": {"name": code}, "errorBudget": _BUDGET}
    found: Mapping[str, Any] = logical.estimate(asked)
    return found
