"""What parsed circuits may hold: an allow-list of classes, built-in names with their built-in meaning, bounded sizes.

A gate of a program's own is followed into its definition; nothing is expanded, so that gates which double each other
cost as much time here as they have definitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    AnnotatedOperation,
    Barrier,
    BoxOp,
    BreakLoopOp,
    ContinueLoopOp,
    ControlFlowOp,
    ControlledGate,
    Delay,
    ForLoopOp,
    Gate,
    IfElseOp,
    Instruction,
    Measure,
    Operation,
    PowerModifier,
    Reset,
    Store,
    SwitchCaseOp,
    WhileLoopOp,
)
from qiskit.circuit import library as lib
from qiskit.circuit.classical import types
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.qasm2.parse import _DefinedGate
from qiskit.quantum_info import Operator

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.amounts import check_declared, check_numbers, check_power
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.refusals import clean, refusal
from jupyter_quantum.fabric.text import Source

__all__ = ["RESERVED", "check_circuits", "expanded_size", "gate_name"]

_STANDARD: Final = get_standard_gate_name_mapping()
_ALSO_RESERVED: Final = """
barrier initialize unitary diagonal pauli store snapshot kraus superop roerror quantum_channel multiplexer
if_else while_loop for_loop switch_case break_loop continue_loop box u0 cu1 cu3 cu2 ccz mcx mcphase mcp mcu
mcu1 mcu2 mcu3 mcy mcz mcr mcrx mcry mcrz mcsx mcswap mcx_gray qerror_loc aer_store
save_amplitudes save_amplitudes_sq save_clifford save_density_matrix save_expval save_expval_var
save_matrix_product_state save_probabilities save_probabilities_dict save_probs save_probs_ket save_stabilizer
save_state save_statevector save_statevector_dict save_superop save_unitary set_density_matrix
set_matrix_product_state set_stabilizer set_statevector set_superop set_unitary
"""
RESERVED: Final = frozenset(_STANDARD) | frozenset(_ALSO_RESERVED.split())
"""Names that simulators and transpilers take by name alone, whatever definition a gate carries."""

_FLOW: Final = (IfElseOp, WhileLoopOp, ForLoopOp, SwitchCaseOp, BreakLoopOp, ContinueLoopOp, BoxOp)
_PLAIN: Final = frozenset(
    {type(one) for one in _STANDARD.values()}
    | {type(one.base_class) if not isinstance(one.base_class, type) else one.base_class for one in _STANDARD.values()}
    | {Measure, Reset, Barrier, Delay, Store, *_FLOW}
    | {lib.MCXGate, lib.MCPhaseGate, lib.MCXGrayCode, lib.MCXRecursive, lib.MCXVChain, lib.CUGate, lib.C3XGate}
    | {lib.C3SXGate, lib.C4XGate, lib.RC3XGate, lib.RCCXGate, lib.PauliGate, lib.GlobalPhaseGate, lib.MCU1Gate}
)
_MATRIX: Final = (lib.UnitaryGate, lib.DiagonalGate)
_STATE: Final = (lib.Initialize, lib.StatePreparation)
_LIBRARY: Final = (
    lib.QFTGate,
    lib.PermutationGate,
    lib.PauliEvolutionGate,
    lib.HamiltonianGate,
    lib.UCGate,
    lib.UCRXGate,
    lib.UCRYGate,
    lib.UCRZGate,
)
_OWN: Final = frozenset({Gate, Instruction, ControlledGate, _DefinedGate})
"""Classes of gates that a program defines itself."""

_COMPARED_QUBITS: Final = 9
_DIRECTIVES: Final = frozenset({"barrier"})


def gate_name(operation: Operation) -> str:
    """The name of an operation as it may be shown."""
    return clean(operation.name, 60)


def check_circuits(circuits: Iterable[QuantumCircuit], limits: Limits, source: Source | None = None) -> None:
    """Raise :class:`CircuitRejected` for the first thing that is not allowed; ``source`` gives lines of text."""
    total = 0
    for circuit in circuits:
        if circuit.num_qubits > limits.qubits or circuit.num_clbits > limits.clbits:
            raise refusal(
                "too_large",
                f"The circuit has {circuit.num_qubits:,} qubits and {circuit.num_clbits:,} bits; {limits.qubits:,} and "
                f"{limits.clbits:,} are the most.",
            )
        total += _Walk(limits, source).size(circuit, 0)
        if total > limits.operations:
            raise _too_many(limits)


def expanded_size(circuit: QuantumCircuit, limits: Limits) -> int:
    """Gates of a checked circuit with definitions expanded and loops multiplied out."""
    return _Walk(limits, None).size(circuit, 0)


def _too_many(limits: Limits) -> CircuitRejected:
    return refusal(
        "too_large",
        f"The circuit comes to more than {limits.operations:,} gates once definitions and loops are written out.",
        "Use fewer repetitions, or split it into several circuits.",
    )


def _check_variables(circuit: QuantumCircuit) -> None:
    """QPY 13, which every runner reads, stores bits and whole numbers only."""
    stretches = [one.name for one in circuit.iter_stretches()]
    others = [one.name for one in circuit.iter_vars() if not isinstance(one.type, types.Bool | types.Uint)]
    if stretches or others:
        kind = "a stretch" if stretches else "a variable of real numbers or durations"
        raise refusal(
            "variables",
            f"The circuit declares {kind} (`{clean((stretches or others)[0], 60)}`), which cannot be sent to a device.",
            "Use delays of fixed length, parameters for angles, and variables of bits and whole numbers.",
        )


class _Walk:
    """One pass over a circuit and the definitions in it; sizes of definitions are kept, so each is seen once."""

    def __init__(self, limits: Limits, source: Source | None) -> None:
        self._limits = limits
        self._source = source
        self._seen: dict[int, tuple[Any, int]] = {}
        self._texts: dict[tuple[str, int], int] = {}
        self._steps = 0

    def size(self, circuit: QuantumCircuit, depth: int) -> int:
        known = self._seen.get(id(circuit))
        if known is not None:
            return known[1]
        if depth > self._limits.nesting:
            raise refusal("nesting", f"The circuit's gates are nested more than {self._limits.nesting} levels deep.")
        _check_variables(circuit)
        check_declared(circuit)
        total = 0
        for found in circuit.data:
            # A standard gate holds nothing but numbers, and is counted without being made a Python object.
            check_numbers(found.name, found.params)
            total += self._standard() if found.is_standard_gate() else self._operation(found.operation, depth)
            if total > self._limits.operations:
                raise _too_many(self._limits)
        self._seen[id(circuit)] = (circuit, total)
        return total

    def _standard(self) -> int:
        self._steps += 1
        if self._steps > 4 * self._limits.operations:
            raise _too_many(self._limits)
        return 1

    def _operation(self, operation: Operation, depth: int) -> int:
        self._standard()
        kind = getattr(operation, "base_class", type(operation))
        if kind in _PLAIN:
            return self._flow(operation, depth) if isinstance(operation, ControlFlowOp) else _plain(operation)
        if kind in _MATRIX or kind in _STATE:
            return self._wide(operation, kind)
        if isinstance(operation, AnnotatedOperation):
            return self._annotated(operation, depth)
        if kind in _OWN or kind in _LIBRARY or getattr(kind, "__module__", "").startswith("qiskit.qasm"):
            return self._defined(operation, kind, depth)
        raise refusal(
            "gate",
            f"The gate `{gate_name(operation)}` ({clean(kind.__name__, 60)}) is not one that can be run here.",
            "Decompose it into standard gates first, with circuit.decompose() or transpile().",
        )

    def _flow(self, operation: ControlFlowOp, depth: int) -> int:
        body = sum(self.size(block, depth + 1) for block in operation.blocks)
        return (body + 1) * _repeats(operation, self._limits)

    def _wide(self, operation: Any, kind: type) -> int:
        check_numbers(operation.name, operation.params)
        most = self._limits.unitary_qubits if kind in _MATRIX else self._limits.state_qubits
        if operation.num_qubits > most and not _labelled(operation):
            raise refusal(
                "too_large",
                f"The gate `{gate_name(operation)}` acts on {operation.num_qubits} qubits; given by numbers, {most} "
                "are the most.",
                "Build it from smaller gates.",
            )
        return int(operation.num_qubits) + 1

    def _annotated(self, operation: AnnotatedOperation, depth: int) -> int:
        if len(operation.modifiers) > self._limits.nesting:
            raise refusal("nesting", f"The gate `{gate_name(operation)}` has too many modifiers.")
        for modifier in operation.modifiers:
            if isinstance(modifier, PowerModifier):
                check_power(operation.name, modifier.power, self._limits.nesting)
        return self._operation(operation.base_op, depth + 1) * (1 << min(int(operation.num_qubits), 20))

    def _defined(self, operation: Any, kind: type, depth: int) -> int:
        key = (operation.name, operation.num_qubits)
        if kind is _DefinedGate and key in self._texts:  # within one program a name has one definition
            return self._texts[key]
        definition = _definition(operation, self._limits)
        if definition is None:
            raise refusal(
                "gate",
                f"The gate `{gate_name(operation)}` has no definition, so nothing says what it does.",
                "Give it one, or use a standard gate.",
            )
        size = self.size(definition, depth + 1)
        if kind in _OWN and operation.name in RESERVED and not _means_the_same(operation, definition):
            raise self._reserved(operation)
        if kind is _DefinedGate:
            self._texts[key] = size
        return size

    def _reserved(self, operation: Any) -> CircuitRejected:
        name = gate_name(operation)
        line = self._source.line_of_gate(operation.name) if self._source else None
        subject = f"Line {line} defines a gate named `{name}`" if line else f"The circuit defines a gate named `{name}`"
        return refusal(
            "reserved_name",
            f"{subject}, which is built in; the built-in one would run instead.",
            f"Rename yours, for example `my_{name}`.",
            gate=name,
            line=line,
        )


def _plain(operation: Operation) -> int:
    return 0 if operation.name in _DIRECTIVES else 1


def _labelled(operation: Any) -> bool:
    """Whether a state is given by a label or an integer, which costs nothing."""
    return not isinstance(operation, _MATRIX) and bool(
        getattr(operation, "_from_label", False) or getattr(operation, "_from_int", False)
    )


def _repeats(operation: ControlFlowOp, limits: Limits) -> int:
    if not isinstance(operation, ForLoopOp):
        return 1
    try:
        times = len(operation.params[0])
    except (OverflowError, TypeError):
        raise _too_many(limits) from None
    if times > limits.operations:
        raise _too_many(limits)
    return max(times, 1)


def _definition(operation: Any, limits: Limits) -> QuantumCircuit | None:
    if isinstance(operation, lib.PauliEvolutionGate | lib.HamiltonianGate | lib.UCGate) and operation.num_qubits > 2 * (
        limits.unitary_qubits
    ):
        raise refusal("too_large", f"The gate `{gate_name(operation)}` acts on {operation.num_qubits} qubits.")
    found: QuantumCircuit | None = operation.definition
    return found


def _means_the_same(operation: Any, definition: QuantumCircuit) -> bool:
    """Whether a gate under a built-in name does what the built-in one does, up to a global phase."""
    standard = _built_in(operation)
    if standard is None or not isinstance(standard, Gate) or not isinstance(operation, Gate):
        return False
    if (standard.num_qubits, len(standard.params)) != (operation.num_qubits, len(operation.params)):
        return False
    try:
        built_in = type(standard)(*operation.params) if operation.name in _STANDARD and operation.params else standard
        theirs = _bound(definition, operation)
        return bool(Operator(theirs).equiv(Operator(_bound(built_in.definition or _alone(built_in), operation))))
    except Exception:
        return False  # what cannot be compared is not the same


def _built_in(operation: Any) -> Any:
    """The built-in gate of this name (the export to OpenQASM defines some of them anew), or None."""
    if 3 <= operation.num_qubits <= _COMPARED_QUBITS:
        if operation.name == "mcx":
            return lib.MCXGate(operation.num_qubits - 1)
        if operation.name == "mcphase" and len(operation.params) == 1:
            return lib.MCPhaseGate(operation.params[0], operation.num_qubits - 1)
    return _STANDARD.get(operation.name)


def _alone(gate: Gate) -> QuantumCircuit:
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    return circuit


def _bound(circuit: QuantumCircuit, operation: Any) -> QuantumCircuit:
    """The circuit with free parameters at values that depend on their names only."""
    if not circuit.parameters:
        return circuit
    names = sorted({parameter.name for value in operation.params for parameter in getattr(value, "parameters", ())})
    values = dict(zip(names, np.linspace(0.37, 2.71, max(len(names), 1)), strict=False))
    return circuit.assign_parameters({one: values.get(one.name, 0.11) for one in circuit.parameters})
