"""Clifford circuits at any width, sampled with stim, without noise and with errors of the calibration.

*Noise* is an approximation: after each gate a random Pauli error on its qubits (depolarizing, as likely as the gate's
average infidelity in the calibration says), before each readout a bit flip with the readout error. Relaxation, leakage,
crosstalk and the difference between reading 0 and 1 are not in it.

A *stand-in* is a circuit with the same layout and two-qubit structure that is Clifford: what happens to a qubit between
two of those gates is rounded to the nearest Clifford gate, angles of two-qubit gates to the nearest quarter turn. Its
noise is that of the circuit; its outcomes are its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction
from qiskit.transpiler import Target

from jupyter_quantum.fabric.clifford import (
    IDENTITY,
    Matrix,
    NotClifford,
    Pair,
    gate_matrix,
    is_known,
    pair,
    settle,
)
from jupyter_quantum.fabric.isa import NOTHING, Known, known_of

try:
    import stim
except ImportError:  # environments of vendors do without
    stim = None

__all__ = ["Sampled", "here", "sampled"]

_WIDEST_GATE: Final = 2
_DEPOLARIZING: Final = {1: (3 / 2, 3 / 4), 2: (5 / 4, 15 / 16)}
"""Qubits → chance of an error by average infidelity, and the most that it can be."""
_SILENT: Final = frozenset({"barrier", "delay", "id", "global_phase"})


@dataclass(frozen=True, slots=True)
class Sampled:
    """Shares of the outcomes (bit string → fraction); ``noisy`` is empty where an error is unknown or there is none."""

    ideal: dict[str, float]
    noisy: dict[str, float]
    stand_in: bool
    """Whether angles were rounded."""


def here() -> bool:
    """Whether stim is installed."""
    return stim is not None


def sampled(circuit: QuantumCircuit, target: Target | None, shots: int, seed: int) -> Sampled | None:
    """Sample a circuit as laid out for a device; None where it cannot be written in Clifford gates, even rounded.

    Args:
        circuit: bound, measured into its classical bits.
        target: where the errors come from; None: without noise.
        shots: how often each of the two is sampled.
        seed: the same one gives the same outcomes.
    """
    if stim is None:
        return None
    try:
        program = _Program(circuit, None if target is None else known_of(target))
    except NotClifford:
        return None
    noisy = program.shares(shots, seed, noisy=True) if target is not None and program.known else {}
    return Sampled(program.shares(shots, seed, noisy=False), noisy, program.rounded)


class _Program:
    """Lines of stim, once without and once with noise."""

    def __init__(self, circuit: QuantumCircuit, known: Known | None) -> None:
        self.rounded = False
        self.known = known is not None
        self._errors = known or {}
        self._ideal: list[str] = []
        self._noisy: list[str] = []
        self._measured: list[int] = []
        self._pending: dict[int, Matrix] = {}
        """What the gates on one qubit have come to, until another qubit takes part or it is read."""
        self._registers = [register.size for register in circuit.cregs]
        self._width = circuit.num_clbits
        qubits = {bit: at for at, bit in enumerate(circuit.qubits)}
        clbits = {bit: at for at, bit in enumerate(circuit.clbits)}
        for found in circuit.data:
            on = tuple(qubits[bit] for bit in found.qubits)
            self._add(found, on, [clbits[bit] for bit in found.clbits])

    def _add(self, found: CircuitInstruction, on: tuple[int, ...], bits: Sequence[int]) -> None:
        name = found.name
        if found.is_control_flow() or name == "store":
            raise NotClifford
        if name in {"measure", "reset"}:
            self._read(name, on[0], bits)
        elif name not in _SILENT:
            self._gate(found, on)
        if name == "id":
            self._depolarize(name, on)

    def _settle(self, on: Sequence[int], gate: Pair | None) -> None:
        """Write down what has happened to these qubits one by one; what is carried behind the gate is pending again."""
        carried: list[tuple[int, Matrix]] = []
        for slot, qubit in enumerate(on):
            if qubit not in self._pending:
                continue
            lines, exact, rest = settle(self._pending.pop(qubit), slot, gate)
            self.rounded = self.rounded or not exact
            self._write(lines, on[slot : slot + 1])
            if rest is not None:
                carried.append((on[rest[0]], rest[1]))
        for qubit, matrix in carried:
            self._pending[qubit] = matrix @ self._pending.get(qubit, IDENTITY)

    def _write(self, lines: str, on: Sequence[int]) -> None:
        text = lines.replace("{a}", str(on[0])).replace("{b}", str(on[-1]))
        self._ideal.append(text)
        self._noisy.append(text)

    def _read(self, name: str, qubit: int, bits: Sequence[int]) -> None:
        self._settle([qubit], None)
        error = self._error(name, (qubit,))
        if error is None and name == "reset":
            error = self._error("measure", (qubit,))
        letter = "M" if name == "measure" else "R"
        self._ideal.append(f"{letter} {qubit}")
        flip = "" if error is None else f"({min(error, 0.5)!r})"
        if name == "measure":
            self._measured.append(bits[0])
            self._noisy.append(f"M{flip} {qubit}")
        else:
            self._noisy.append(f"R {qubit}\nX_ERROR{flip} {qubit}" if flip else f"R {qubit}")

    def _gate(self, found: CircuitInstruction, on: tuple[int, ...]) -> None:
        if len(on) > _WIDEST_GATE or not is_known(found.name):
            raise NotClifford
        angles = tuple(float(value) for value in found.params)
        if len(on) == 1:
            matrix = gate_matrix(found.name, angles)
            self._pending[on[0]] = matrix @ self._pending.get(on[0], IDENTITY)
        else:
            gate = pair(found.name, angles)
            self.rounded = self.rounded or not gate.exact
            # What is carried on acts behind the gate, so that it is pending only once the gate is written down.
            self._settle(on, gate)
            self._write(gate.lines, on)
        self._depolarize(found.name, on)  # commutes with what is pending on one qubit

    def _depolarize(self, name: str, on: tuple[int, ...]) -> None:
        error = self._error(name, on)
        if error:
            factor, most = _DEPOLARIZING[len(on)]
            self._noisy.append(f"DEPOLARIZE{len(on)}({min(error * factor, most)!r}) {' '.join(map(str, on))}")

    def _error(self, name: str, on: tuple[int, ...]) -> float | None:
        """The calibration's error; one that it does not know makes the noise unknown."""
        found = self._errors.get(name, NOTHING).get(on)
        if found is None or found[0] is None:
            self.known = self.known and name == "reset"
            return None
        return found[0]

    def shares(self, shots: int, seed: int, *, noisy: bool) -> dict[str, float]:
        """Outcomes as Qiskit writes them (last register first, spaces between registers) and their shares."""
        program = stim.Circuit("\n".join(self._noisy if noisy else self._ideal))
        drawn = program.compile_sampler(seed=seed).sample(shots)
        bits = np.zeros((shots, self._width), dtype=np.uint8)
        for column, bit in enumerate(self._measured):
            bits[:, bit] = drawn[:, column]
        counts = Counter(map(bytes, bits))
        shares = {self._written(raw): count / shots for raw, count in counts.items()}
        return dict(sorted(shares.items()))

    def _written(self, raw: bytes) -> str:
        text = "".join("1" if bit else "0" for bit in raw)
        if sum(self._registers) != self._width:
            return text[::-1]
        parts, at = [], 0
        for size in self._registers:
            parts.append(text[at : at + size][::-1])
            at += size
        return " ".join(reversed(parts))
