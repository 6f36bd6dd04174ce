"""Qiskit's ``Target`` from the service's JSON (the document that :mod:`jupyter_quantum.fabric.targets` specifies)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qiskit.circuit import Gate, Instruction, Parameter, controlflow
from qiskit.circuit.library import (
    DiagonalGate,
    Initialize,
    MCPhaseGate,
    MCXGate,
    PauliGate,
    UnitaryGate,
    get_standard_gate_name_mapping,
)
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

__all__ = ["target_from_json"]

_CLASSES: Final[dict[str, type]] = {
    "if_else": controlflow.IfElseOp,
    "while_loop": controlflow.WhileLoopOp,
    "for_loop": controlflow.ForLoopOp,
    "switch_case": controlflow.SwitchCaseOp,
    "break_loop": controlflow.BreakLoopOp,
    "continue_loop": controlflow.ContinueLoopOp,
    "unitary": UnitaryGate,
    "initialize": Initialize,
    "diagonal": DiagonalGate,
    "pauli": PauliGate,
    "mcx": MCXGate,
    "mcphase": MCPhaseGate,
}
_STANDARD: Final[dict[str, Instruction]] = get_standard_gate_name_mapping()
_GRID: Final = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")


def target_from_json(document: Mapping[str, Any]) -> Target:
    """Rebuild the Target; an operation that this Qiskit does not know is left out.

    ``null`` stays unknown (None). Durations are seconds; an error of 1 marks a dead edge.
    """
    qubits = document.get("qubit_properties")
    target = Target(
        description=document.get("description"),
        num_qubits=document.get("num_qubits"),
        dt=document.get("dt"),
        qubit_properties=None if qubits is None else [_qubit(one) for one in qubits],
        **{name: document[name] for name in _GRID if document.get(name) is not None},
    )
    for operation in document["operations"]:
        _add(target, operation)
    return target


def _qubit(values: list[float | None]) -> QubitProperties:
    t1, t2, frequency = values
    return QubitProperties(t1=t1, t2=t2, frequency=frequency)


def _add(target: Target, operation: Mapping[str, Any]) -> None:
    name = operation["name"]
    if operation["kind"] == "class" and name in _CLASSES:
        target.add_instruction(_CLASSES[name], name=name)
    elif operation["kind"] == "gate" and name in _STANDARD:
        target.add_instruction(_gate(name, operation.get("params", [])), _props(operation["props"]), name=name)


def _gate(name: str, params: list[str | float]) -> Instruction:
    """The standard gate, with the fixed angles that the device has; without any, the shared singleton."""
    standard = _STANDARD[name]
    if not any(isinstance(one, int | float) for one in params):
        return standard
    gate: Gate = standard.base_class(*(Parameter(one) if isinstance(one, str) else one for one in params))
    return gate


def _props(rows: list[list[Any]] | None) -> dict[tuple[int, ...] | None, InstructionProperties | None] | None:
    if rows is None:
        return None
    return {
        tuple(qargs): None if duration is None and error is None else InstructionProperties(duration, error)
        for qargs, duration, error in rows
    }
