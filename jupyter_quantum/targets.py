"""Qiskit's ``Target`` as JSON, so that notebooks and other runners rebuild it without the vendor's package.

Imports nothing of ours: client and fabric share it.

The document (``null`` is *unknown*, never zero)::

    {
      "version": 1,
      "num_qubits": 133,                     null: any number
      "dt": 4e-09,                           seconds; null: unknown
      "granularity": 1, "min_length": 1, "pulse_alignment": 1, "acquire_alignment": 1,
      "description": "text" | null,
      "qubit_properties": [[t1, t2, frequency], ...] | null,     seconds, seconds, hertz; one triple a qubit
      "operations": [
        {
          "name": "cz",                      the name in the Target
          "kind": "gate" | "class",
          "params": ["ϴ", 0.5],              text: a free parameter; number: a fixed angle
          "num_qubits": 2 | null,            null: any number (kind class)
          "props": [[[0, 1], duration, error], ...] | null       null: on all qubits, nothing known
        }, ...
      ],
      "vendor": {…}                          optional; only the device's own adapter reads it (labels of qubits)
    }

Kind *gate*: an instruction of ``qiskit.circuit.library.get_standard_gate_name_mapping()`` under the same name (that
includes ``measure``, ``reset``, ``delay``, ``id``). Kind *class*: the Target holds a class, named by :data:`CLASSES`
(control flow, ``unitary``, ``initialize`` …), which is added with ``target.add_instruction(cls, name=name)`` and has
``props`` null. A duration is in seconds; an error of 1 marks a dead edge. Readers skip a kind or class that they do
not know. The digest of a calibration is the SHA-256 of the document as :func:`canonical` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from qiskit.circuit import Gate, Instruction, Parameter, ParameterExpression, controlflow
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

__all__ = ["CLASSES", "TARGET_VERSION", "canonical", "target_from_json", "target_to_json"]

TARGET_VERSION: Final = 1

CLASSES: Final[dict[str, type]] = {
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
"""Operations that a Target holds as a class because their width varies: name → class."""

_STANDARD: Final[dict[str, Instruction]] = get_standard_gate_name_mapping()
_GRID: Final = ("granularity", "min_length", "pulse_alignment", "acquire_alignment")


def target_to_json(target: Target) -> dict[str, Any]:
    """Return the document of the module's docstring; operations that no reader could rebuild are left out."""
    return {
        "version": TARGET_VERSION,
        "num_qubits": target.num_qubits,
        "dt": target.dt,
        "granularity": target.granularity,
        "min_length": target.min_length,
        "pulse_alignment": target.pulse_alignment,
        "acquire_alignment": target.acquire_alignment,
        "description": target.description,
        "qubit_properties": _qubits(target),
        "operations": [found for name in sorted(target.operation_names) if (found := _operation(target, name))],
    }


def canonical(document: dict[str, Any]) -> bytes:
    """The document as bytes that do not depend on the order of keys; what a calibration's digest is taken of."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _qubits(target: Target) -> list[list[float | None]] | None:
    if target.qubit_properties is None:
        return None
    return [
        [getattr(one, "t1", None), getattr(one, "t2", None), getattr(one, "frequency", None)]
        for one in target.qubit_properties
    ]


def _operation(target: Target, name: str) -> dict[str, Any] | None:
    operation = target.operation_from_name(name)
    if isinstance(operation, type):
        if CLASSES.get(name) is not operation:
            return None
        return {"name": name, "kind": "class", "params": [], "num_qubits": None, "props": None}
    if name not in _STANDARD:
        return None
    return {
        "name": name,
        "kind": "gate",
        "params": [_param(*pair) for pair in zip(operation.params, _STANDARD[name].params, strict=True)],
        "num_qubits": operation.num_qubits,
        "props": _props(target, name),
    }


def _param(value: Any, standard: Any) -> str | float:
    """A fixed angle, or the name of an open one: the standard gate's, whatever a vendor calls it."""
    if isinstance(value, Parameter):
        return str(standard.name)
    if isinstance(value, ParameterExpression):
        return str(value)
    return float(value)


def _props(target: Target, name: str) -> list[list[Any]] | None:
    known = target[name]
    if None in known:
        return None
    return [
        [list(qargs), getattr(one, "duration", None), getattr(one, "error", None)]
        for qargs, one in sorted(known.items())
    ]


def target_from_json(document: Mapping[str, Any]) -> Target:
    """Rebuild the Target; an operation that this Qiskit does not know is left out.

    ``null`` stays unknown (None). Durations are seconds; an error of 1 marks a dead edge.
    """
    qubits = document.get("qubit_properties")
    target = Target(
        description=document.get("description"),
        num_qubits=document.get("num_qubits"),
        dt=document.get("dt"),
        qubit_properties=None if qubits is None else [_properties(one) for one in qubits],
        **{name: document[name] for name in _GRID if document.get(name) is not None},
    )
    for operation in document["operations"]:
        _add(target, operation)
    return target


def _properties(values: list[float | None]) -> QubitProperties:
    t1, t2, frequency = values
    return QubitProperties(t1=t1, t2=t2, frequency=frequency)


def _add(target: Target, operation: Mapping[str, Any]) -> None:
    name = operation["name"]
    if operation["kind"] == "class" and name in CLASSES:
        target.add_instruction(CLASSES[name], name=name)
    elif operation["kind"] == "gate" and name in _STANDARD:
        target.add_instruction(_gate(name, operation.get("params", [])), _known(operation["props"]), name=name)


def _gate(name: str, params: list[str | float]) -> Instruction:
    """The standard gate, with the fixed angles that the device has; without any, the shared singleton."""
    standard = _STANDARD[name]
    if not any(isinstance(one, int | float) for one in params):
        return standard
    gate: Gate = standard.base_class(*(Parameter(one) if isinstance(one, str) else one for one in params))
    return gate


def _known(rows: list[list[Any]] | None) -> dict[tuple[int, ...] | None, InstructionProperties | None] | None:
    if rows is None:
        return None
    return {
        tuple(qargs): None if duration is None and error is None else InstructionProperties(duration, error)
        for qargs, duration, error in rows
    }
