"""Whether a circuit can run on a Target exactly as it stands, and a walk over what it does to which qubits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ForLoopOp, Operation
from qiskit.transpiler import Target

__all__ = [
    "DEAD",
    "Misfit",
    "Step",
    "active_qubits",
    "copied",
    "first_misfit",
    "restricted",
    "steps",
    "used",
    "without_dead_parts",
]

DEAD = 1.0
"""An error of this size or more marks a qubit or an edge that is out of order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation, the device's qubits it acts on, and how often loops repeat it."""

    found: CircuitInstruction
    name: str
    qubits: tuple[int, ...]
    times: int
    flow: bool
    """Whether it is control flow, whose blocks come next."""

    @property
    def operation(self) -> Operation:
        """The operation itself, which Qiskit makes anew for each who looks: ask for it only where its name is not
        enough."""
        return self.found.operation


@dataclass(frozen=True, slots=True)
class Misfit:
    """The first operation that a device does not have: ``dead`` where it has it, but out of order."""

    name: str
    qubits: tuple[int, ...]
    dead: bool = False
    late: bool = False
    """Whether the device would have it, were the qubit not measured before."""

    def words(self) -> str:
        """``no `cz` between qubits 3 and 7``."""
        where = " and ".join(str(qubit) for qubit in self.qubits)
        if self.dead:
            subject = f"qubit {where}" if len(self.qubits) == 1 else f"the connection {'–'.join(map(str, self.qubits))}"
            return f"{subject} out of order (`{self.name}` always fails there)"
        place = f"on qubit {where}" if len(self.qubits) == 1 else f"between {where}"
        return f"no `{self.name}` {place}{' once it is measured' if self.late else ''}"


def steps(circuit: QuantumCircuit, qubits: Sequence[int] | None = None, times: int = 1) -> Iterator[Step]:
    """Every operation in order, control flow followed into each of its blocks (an operation that holds blocks comes
    before them); barriers are left out."""
    where = dict(zip(circuit.qubits, range(circuit.num_qubits) if qubits is None else qubits, strict=True))
    for found in circuit.data:
        name = found.name
        if name == "barrier":
            continue
        mapped = tuple([where[bit] for bit in found.qubits])
        flow = found.is_control_flow()
        yield Step(found, name, mapped, times, flow)
        if flow:
            operation = found.operation
            again = max(len(operation.params[0]), 1) if isinstance(operation, ForLoopOp) else 1
            for block in operation.blocks:
                yield from steps(block, mapped, times * again)


def active_qubits(circuits: Sequence[QuantumCircuit]) -> frozenset[int]:
    """The qubits that any circuit does something to."""
    return frozenset(qubit for circuit in circuits for step in steps(circuit) for qubit in step.qubits)


def used(circuits: Sequence[QuantumCircuit]) -> frozenset[tuple[str, tuple[int, ...]]]:
    """What any circuit does, and on which qubits."""
    return frozenset((step.name, step.qubits) for circuit in circuits for step in steps(circuit))


Known = Mapping[str, Mapping[tuple[int, ...], tuple[float | None, float | None]]]
"""Operation → qubits → error and duration (seconds), None where unknown."""

NOTHING: Final[Mapping[tuple[int, ...], tuple[float | None, float | None]]] = {}
_KNOWN: Final[dict[int, tuple[Target, Known]]] = {}


def known_of(target: Target) -> Known:
    """What a Target knows, as plain mappings: Qiskit builds its own anew for each who asks. Made once a Target."""
    held = _KNOWN.get(id(target))
    if held is None or held[0] is not target:
        found = {
            name: {
                qubits: (None, None) if one is None else (one.error, one.duration)
                for qubits, one in target[name].items()
                if qubits is not None
            }
            for name in target.operation_names
            if not isinstance(target.operation_from_name(name), type)
        }
        held = _KNOWN[id(target)] = (target, found)
    return held[1]


def first_misfit(circuit: QuantumCircuit, target: Target) -> Misfit | None:
    """The first operation that ``target`` cannot do, or None where the circuit fits as it stands."""
    known_here = known_of(target)
    for step in steps(circuit):
        name = step.name
        found = known_here.get(name, NOTHING).get(step.qubits)
        if found is not None and not step.flow:
            if found[0] is not None and found[0] >= DEAD:
                return Misfit(name, step.qubits, dead=True)
            continue
        if step.flow:
            if name not in target.operation_names:
                return Misfit(name, step.qubits)
            continue
        if not target.instruction_supported(name, step.qubits):
            return Misfit(name, step.qubits)
    return None


def without_dead_parts(target: Target) -> Target:
    """The Target without operations whose error is 1 or more, for the transpiler to avoid them."""
    return _filtered(target, lambda _, error: error is None or error < DEAD)


def restricted(target: Target, to: Collection[tuple[str, tuple[int, ...]]]) -> Target:
    """The Target with these operations on these qubits only; indices stay."""
    return _filtered(target, lambda what, _: what in to)


def copied(target: Target) -> Target:
    """The Target as one of Qiskit's own class, to be named and described without changing its owner's."""
    return _filtered(target, lambda *_: True)


def _filtered(target: Target, keep: Callable[[tuple[str, tuple[int, ...]], float | None], bool]) -> Target:
    smaller = Target(
        description=target.description,
        num_qubits=target.num_qubits,
        dt=target.dt,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
        qubit_properties=target.qubit_properties,
    )
    for name in target.operation_names:
        operation = target.operation_from_name(name)
        if isinstance(operation, type) or None in target[name]:
            smaller.add_instruction(operation, name=name)
            continue
        kept = {
            qubits: one for qubits, one in target[name].items() if keep((name, qubits), getattr(one, "error", None))
        }
        smaller.add_instruction(operation, kept, name=name)
    return smaller
