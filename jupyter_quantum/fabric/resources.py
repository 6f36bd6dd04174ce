"""What a circuit would take on a fault-tolerant computer.

The circuit is written in Clifford gates, T gates, rotations and Toffoli gates, and these are counted. Where the QDK is
installed, its resource estimator says what they come to on a few kinds of physical qubits: distance of the surface or
Floquet code, factories for T states, run time (M. E. Beverland et al., *Assessing requirements to scale to practical
quantum advantage*, 2022). It is given the counts, never the circuit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qiskit import QuantumCircuit, transpile

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
_SYNTHESIS: Final = (0.53, 5.3)
"""T gates of a rotation with error ε: 0.53 log2(1/ε) + 5.3 (Beverland et al., appendix D)."""
_TOFFOLI: Final = 4
"""T gates of a Toffoli gate (C. Jones, 2013)."""


@dataclass(slots=True)
class _Counts:
    t: int = 0
    rotations: int = 0
    layers: int = 0
    toffoli: int = 0
    measurements: int = 0


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
        depth=plain.depth(),
        gates=plain.size(),
        t_states=_t_states(counts),
        error_budget=_BUDGET,
        models=models,
        note="" if models else _COUNTED,
    )


def _counted(circuit: QuantumCircuit) -> _Counts:
    """Rotations in one layer are those that may be done at once."""
    counts = _Counts()
    layers: dict[object, int] = {}
    for found in circuit.data:
        turns = found.name == "rz" and _turn(found.params[0])
        level = max([layers.get(bit, 0) for bit in found.qubits], default=0) + (turns == "rotation")
        layers.update(dict.fromkeys(found.qubits, level))
        counts.layers = max(counts.layers, level)
        counts.rotations += turns == "rotation"
        counts.t += found.name in {"t", "tdg"} or turns == "t"
        counts.toffoli += found.name == "ccx"
        counts.measurements += found.name == "measure"
    return counts


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
    """Models, and logical qubits with room to move them; nothing where the QDK is not installed."""
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
