"""Odd registers: what is asked of adapters is what Qiskit says, and plain ones on the way lose nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, QuantumRegister
from qiskit.primitives import StatevectorSampler
from qiskit_aer import AerSimulator

from jupyter_quantum.fabric.registers import are_plain, compacted, plainly, spread, with_registers_of
from jupyter_quantum.testing.adapters.checks_bits import ODD, Odd, conditional, loose, scattered, turned, woven

by_name = pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
Make = Callable[[], Odd]


@by_name
def test_what_is_expected_is_what_qiskit_gives(make: Make) -> None:
    """Counts and their text are Aer's; registers are those of Qiskit's own sampler, which has no control flow."""
    odd = make()
    found = AerSimulator().run(odd.circuit, shots=10).result()
    assert found.data(0)["counts"] == {hex(odd.outcome): 10}
    assert found.get_counts() == {odd.text: 10}
    if make is conditional:
        return
    data = StatevectorSampler().run([odd.circuit], shots=10).result()[0].data
    assert {name: int(next(iter(bits.get_counts())), 2) for name, bits in data.items()} == dict(odd.registers)


@by_name
def test_plain_circuits_give_the_same_bits(make: Make) -> None:
    """All bits in one register, in their order; with control flow, and where it is plain, the circuit is left alone."""
    odd = make()
    plain = plainly(odd.circuit)
    assert (plain is odd.circuit) == (make in (scattered, conditional))
    assert are_plain(plain)
    assert AerSimulator().run(plain, shots=10).result().data(0)["counts"] == {hex(odd.outcome): 10}


@by_name
def test_compacted_circuits_are_spread_again(make: Make) -> None:
    """Only the bits that are measured are sent; counts, shots and header come back as those of the circuit."""
    odd = make()
    asked, bits = compacted(odd.circuit)
    assert asked.num_clbits == len(bits)
    found = AerSimulator().run(asked, shots=10, memory=True).result()
    read = spread(odd.circuit, found.results[0], bits)
    found.results = [read]
    assert found.data(0) == {"counts": {hex(odd.outcome): 10}, "memory": [hex(odd.outcome)] * 10}
    assert (found.get_counts(), found.get_memory()[0]) == ({odd.text: 10}, odd.text)


def test_what_is_as_everybody_writes_it_is_left_alone() -> None:
    """Nothing is built anew for circuits that measure all of plain registers, or nothing."""
    plain = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    unmeasured = plain.copy()
    plain.measure([0, 1], [1, 0])
    for circuit in (plain, unmeasured):
        asked, bits = compacted(circuit)
        assert (asked is circuit, bits) == (True, [0, 1])
        assert plainly(circuit) is circuit


def test_a_bit_that_is_measured_twice_keeps_its_place() -> None:
    """A circuit that goes on after a measurement keeps all bits; the last value counts."""
    circuit = QuantumCircuit(1)
    circuit.add_bits([Clbit(), Clbit()])
    circuit.measure(0, 1)
    circuit.x(0)
    circuit.measure(0, 1)
    asked, bits = compacted(circuit)
    assert (asked is circuit, bits) == (False, [0, 1])
    assert AerSimulator().run(asked, shots=5).result().data(0)["counts"] == {"0x2": 5}


@pytest.mark.parametrize("make", [woven, turned, loose], ids=lambda make: make.__name__)
def test_registers_that_a_stage_has_changed_are_put_back(make: Make) -> None:
    """By the places of the bits; with control flow that is refused, as its conditions name registers."""
    odd = make()
    changed = plainly(odd.circuit)
    back = with_registers_of(odd.circuit, changed)
    places = [[back.find_bit(bit).index for bit in one] for one in back.cregs]
    assert places == [[odd.circuit.find_bit(bit).index for bit in one] for one in odd.circuit.cregs]
    assert AerSimulator().run(back, shots=10).result().get_counts() == {odd.text: 10}
    flowing = conditional().circuit
    assert with_registers_of(flowing, flowing.copy()) is not None
    with pytest.raises(ValueError, match="would become others"):
        with_registers_of(odd.circuit, flowing)
