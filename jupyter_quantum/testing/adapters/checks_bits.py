"""Conformance: where each bit stands, however odd the classical registers are.

Every circuit has one right answer. Registers are written as Qiskit's ``Result`` does, the last one first, divided by
blanks; a sampler gives each register by its own bits, as Qiskit's ``StatevectorSampler`` does. A device may refuse what
it cannot tell (bits in no register or in two, control flow), in words; it never gives other bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Clbit
from qiskit.result.postprocess import format_counts

from jupyter_quantum.testing.adapters.bench import Bench, Rejected
from jupyter_quantum.testing.adapters.circuits import share, shots_of
from jupyter_quantum.wire.jobs import Pub

__all__ = ["ODD", "Odd", "odd_registers_keep_their_bits", "odd_registers_of_a_sampler_keep_theirs"]

_CLEAR: Final = 0.6
"""Share of the shots that noise leaves to the right answer."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A circuit, and what comes of it."""

    circuit: QuantumCircuit
    outcome: int
    """All bits as a number, bit 0 lowest."""
    text: str
    """The same as the key of ``get_counts``."""
    registers: Mapping[str, int]


def _prepared() -> QuantumCircuit:
    """Qubits 0 and 2 are 1, qubit 1 is 0."""
    circuit = QuantumCircuit(3)
    circuit.x([0, 2])
    return circuit


def scattered() -> Odd:
    """Two registers, measured across each other and in part."""
    circuit, low, high = _prepared(), ClassicalRegister(2, "low"), ClassicalRegister(3, "high")
    circuit.add_register(low, high)
    circuit.measure([0, 1, 2], [high[2], low[0], low[1]])
    return Odd(circuit, 0b10010, "100 10", {"low": 0b10, "high": 0b100})


def woven() -> Odd:
    """Two registers whose bits alternate."""
    circuit, bits = _prepared(), [Clbit() for _ in range(4)]
    circuit.add_bits(bits)
    for name, mine in (("even", bits[0::2]), ("odd", bits[1::2])):
        circuit.add_register(ClassicalRegister(bits=mine, name=name))
    circuit.measure([0, 1, 2], [bits[2], bits[1], bits[3]])
    return Odd(circuit, 0b1100, "11 00", {"even": 0b10, "odd": 0b10})


def turned() -> Odd:
    """One register that has the circuit's bits in another order, with the same ends."""
    circuit, bits = _prepared(), [Clbit() for _ in range(4)]
    circuit.add_bits(bits)
    circuit.add_register(ClassicalRegister(bits=[bits[at] for at in (0, 2, 1, 3)], name="turned"))
    circuit.measure([0, 1, 2], [bits[1], bits[0], bits[3]])
    return Odd(circuit, 0b1010, "1010", {"turned": 0b1100})


def loose() -> Odd:
    """Bits in no register, before and behind one; Qiskit writes as many digits as the registers have."""
    circuit, register = _prepared(), ClassicalRegister(2, "held")
    before, behind = Clbit(), Clbit()
    circuit.add_bits([before])
    circuit.add_register(register)
    circuit.add_bits([behind])
    circuit.measure([0, 1, 2], [before, register[0], register[1]])
    return Odd(circuit, 0b101, "01", {"held": 0b10})


def shared() -> Odd:
    """A bit in two registers, and one in none, so that the widths of the registers sum to the number of bits."""
    circuit, bits = _prepared(), [Clbit() for _ in range(4)]
    circuit.add_bits(bits)
    for name, mine in (("low", bits[:2]), ("high", bits[1:3])):
        circuit.add_register(ClassicalRegister(bits=mine, name=name))
    circuit.measure([0, 1, 2], [bits[1], bits[0], bits[3]])
    return Odd(circuit, 0b1010, "10 10", {"low": 0b10, "high": 0b01})


def conditional() -> Odd:
    """A gate that follows from a whole register, measured into another one."""
    circuit, flag, out = QuantumCircuit(3), ClassicalRegister(1, "flag"), ClassicalRegister(2, "out")
    circuit.add_register(flag, out)
    circuit.x(0)
    circuit.measure(0, flag[0])
    with circuit.if_test((flag, 1)):
        circuit.x(1)
    circuit.measure([1, 2], [out[1], out[0]])
    return Odd(circuit, 0b101, "10 1", {"flag": 0b1, "out": 0b10})


ODD: Final[tuple[Callable[[], Odd], ...]] = (scattered, woven, turned, loose, shared, conditional)
"""What is asked."""
_MAY_REFUSE: Final = frozenset({"loose", "shared", "conditional"})


def odd_registers_keep_their_bits(bench: Bench) -> str | None:
    """A run's counts, whichever registers they stand in, are those of Qiskit, in hexadecimal and in text."""
    return _each(bench, _ran)


def odd_registers_of_a_sampler_keep_theirs(bench: Bench) -> str | None:
    """So are a sampler's registers, each with its own bits."""
    return _each(bench, _sampled)


def _each(bench: Bench, ask: Callable[[Bench, Odd], None]) -> str | None:
    if bench.device.num_qubits < 3:
        return "it has fewer than three qubits"
    for make in ODD:
        try:
            ask(bench, make())
        except Rejected as refused:
            if make.__name__ not in _MAY_REFUSE or not refused.error.code.startswith("circuit."):
                raise
        except AssertionError as wrong:
            raise AssertionError(f"{make.__name__}: {wrong}") from wrong
    return None


def _ran(bench: Bench, odd: Odd) -> None:
    (found,) = bench.run("run", odd.circuit).result.experiments
    assert share(found.counts, odd.outcome) > _CLEAR, found.counts
    assert list(format_counts({hex(odd.outcome): 1}, found.header)) == [odd.text], found.header


def _sampled(bench: Bench, odd: Odd) -> None:
    (found,) = bench.run("sampler", odd.circuit, [Pub(circuit=0)]).result.pubs
    assert list(found.registers) == list(odd.registers)
    for register in odd.circuit.cregs:
        assert found.registers[register.name].num_bits == register.size
        shots, wanted = shots_of(found.registers[register.name]), odd.registers[register.name]
        assert float(np.mean(shots == wanted)) > _CLEAR, (register.name, wanted, np.unique(shots))
