"""Classical registers of odd shapes, for backends that know only plain ones.

Qiskit lets registers share bits, alternate, turn their order around, or leave bits out; and a circuit may measure some
of its bits only. SDKs and formats on the way to a device often take it that registers follow each other and that every
bit is measured, and then give bits at other places without a word. So a backend is sent the same gates with plain
registers, and what comes back is put where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Clbit, ControlFlowOp
from qiskit.result.models import ExperimentResult, ExperimentResultData

from jupyter_quantum.fabric.counts import header_of
from jupyter_quantum.fabric.terminal import measured, unfinished

__all__ = ["are_plain", "compacted", "has_flow", "plainly", "spread", "with_registers_of"]


def are_plain(circuit: QuantumCircuit) -> bool:
    """Whether each bit is in one register, and the registers follow each other in the order of the bits."""
    places = [circuit.find_bit(bit).index for register in circuit.cregs for bit in register]
    return places == list(range(circuit.num_clbits))


def has_flow(circuit: QuantumCircuit) -> bool:
    """Whether gates follow from measurements: such a circuit names its registers inside."""
    return any(isinstance(step.operation, ControlFlowOp) for step in circuit.data)


def plainly(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with all its bits in one register, in their order; itself where it is plain, or has control flow."""
    if are_plain(circuit) or has_flow(circuit):
        return circuit
    return _gathered(circuit, list(range(circuit.num_clbits)))


def compacted(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[int]]:
    """The circuit with a register of the bits that it measures, and which they are; all, where it is left as it is.

    A circuit that goes on after measurements keeps all its bits.
    """
    whole, bits = list(range(circuit.num_clbits)), list(measured(circuit))
    if has_flow(circuit) or not bits or (are_plain(circuit) and bits == whole):
        return circuit, whole
    kept = bits if unfinished(circuit) is None else whole
    return _gathered(circuit, kept), kept


def with_registers_of(source: QuantumCircuit, circuit: QuantumCircuit) -> QuantumCircuit:
    """The transpiled ``circuit`` with the registers of its source: there are stages that give it others.

    Raises ``ValueError`` where that cannot be.
    """
    if _places(circuit) == _places(source):
        return circuit
    if has_flow(circuit) or circuit.num_clbits != source.num_clbits:
        raise ValueError("its classical registers would become others")
    return _rebuilt(circuit, dict(enumerate(source.clbits)), source.cregs)


def _places(circuit: QuantumCircuit) -> list[tuple[str, list[int]]]:
    return [(one.name, [circuit.find_bit(bit).index for bit in one]) for one in circuit.cregs]


def _gathered(circuit: QuantumCircuit, bits: Sequence[int]) -> QuantumCircuit:
    register = ClassicalRegister(len(bits), "c")
    return _rebuilt(circuit, dict(zip(bits, register, strict=True)), [register])


def _rebuilt(
    circuit: QuantumCircuit, bits: Mapping[int, Clbit], registers: Iterable[ClassicalRegister]
) -> QuantumCircuit:
    """The same steps, with these bits in the place of its own."""
    made = QuantumCircuit(name=circuit.name, global_phase=circuit.global_phase, metadata=circuit.metadata)
    made.add_bits(circuit.qubits)
    made.add_register(*circuit.qregs)
    made.add_bits(bits.values())
    made.add_register(*registers)
    for step in circuit.data:
        mine = [bits[circuit.find_bit(bit).index] for bit in step.clbits]
        made.append(step.operation, step.qubits, mine)
    made._layout = circuit._layout
    return made


def spread(circuit: QuantumCircuit, found: ExperimentResult, bits: Sequence[int]) -> ExperimentResult:
    """What was found for the compacted circuit as what it says of ``circuit``."""
    data: dict[str, Any] = found.data.to_dict()
    counts: dict[str, int] = {}
    for outcome, times in data["counts"].items():
        place = _placed(outcome, bits)
        counts[place] = counts.get(place, 0) + times
    shots = {"memory": [_placed(one, bits) for one in data["memory"]]} if "memory" in data else {}
    found.data = ExperimentResultData(**(data | {"counts": counts} | shots))
    found.header = {**found.header, **header_of(circuit)}
    return found


def _placed(outcome: str, bits: Sequence[int]) -> str:
    value = int(outcome, 16)
    return hex(sum((value >> at & 1) << bit for at, bit in enumerate(bits)))
