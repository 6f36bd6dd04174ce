"""What a run of gates on one qubit comes to in Clifford gates, exactly where that is possible.

A transpiler cuts a Clifford circuit into gates with arbitrary angles that cancel across a two-qubit gate. So what is no
Clifford gate is carried on behind the next two-qubit gate, where it stays a rotation of one qubit; what is left over
is rounded to the nearest Clifford gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping

try:
    import stim
except ImportError:  # environments of vendors do without
    stim = None

__all__ = ["IDENTITY", "Matrix", "NotClifford", "Pair", "gate_matrix", "is_known", "pair", "settle"]

Matrix = NDArray[np.complex128]

QUARTER: Final = math.pi / 2
_EXACT: Final = 1e-7
_GATES: Final = get_standard_gate_name_mapping()
IDENTITY: Final[Matrix] = np.eye(2, dtype=np.complex128)
_PAULIS: Final[tuple[Matrix, ...]] = tuple(_GATES[name].to_matrix() for name in ("x", "y", "z"))
_Z: Final = 2


class NotClifford(Exception):
    """Control flow, a gate that is unknown here, or one without any angle to round."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A gate on two qubits in Clifford gates: lines of stim on ``{a}`` and ``{b}``.

    ``carries`` says what becomes of a Pauli before it: (slot, axis) → (slot, axis, sign) behind it, where that acts on
    one qubit again.
    """

    lines: str
    exact: bool
    carries: dict[tuple[int, int], tuple[int, int, float]]


def is_known(name: str) -> bool:
    """Whether Qiskit has a standard gate of this name."""
    return name in _GATES


@lru_cache(maxsize=1024)
def gate_matrix(name: str, angles: tuple[float, ...]) -> Matrix:
    """The matrix of a standard gate."""
    standard = _GATES[name]
    gate: Gate = standard.base_class(*angles) if angles else standard
    matrix: Matrix = gate.to_matrix()
    return matrix


@lru_cache(maxsize=256)
def pair(name: str, angles: tuple[float, ...]) -> Pair:
    """A standard gate on two qubits, its angles rounded to quarter turns.

    One that stays outside the Clifford group there (a controlled rotation by a quarter turn) is rounded to half turns.
    Raises :class:`NotClifford`.
    """
    quarters = tuple(round(angle / QUARTER) for angle in angles)
    near = all(abs(angle - count * QUARTER) < _EXACT for angle, count in zip(angles, quarters, strict=True))
    for kept in (quarters, tuple(2 * round(count / 2) for count in quarters)):
        matrix = gate_matrix(name, tuple(count % 8 * QUARTER for count in kept))
        try:
            tableau = stim.Tableau.from_unitary_matrix(matrix, endian="little")
        except ValueError:
            continue
        return Pair(_written(tableau), near and kept == quarters, _carries(matrix))
    raise NotClifford


def _carries(matrix: Matrix) -> dict[tuple[int, int], tuple[int, int, float]]:
    local = {(slot, axis): _on(slot, pauli) for slot in (0, 1) for axis, pauli in enumerate(_PAULIS)}
    found: dict[tuple[int, int], tuple[int, int, float]] = {}
    for place, before in local.items():
        after = matrix @ before @ matrix.conj().T
        for (slot, axis), known in local.items():
            share = float(np.trace(known @ after).real) / 4
            if abs(share) > 1 - _EXACT:
                found[place] = (slot, axis, round(share))
    return found


def _on(slot: int, pauli: Matrix) -> Matrix:
    """A Pauli on one of two qubits, the first one the lowest."""
    return np.asarray(np.kron(IDENTITY, pauli) if slot == 0 else np.kron(pauli, IDENTITY), dtype=np.complex128)


def settle(matrix: Matrix, slot: int, gate: Pair | None) -> tuple[str, bool, tuple[int, Matrix] | None]:
    """What a run of gates on one qubit comes to before a two-qubit ``gate`` (None: before it is read).

    Returns lines of stim on ``{a}``, whether they are exact, and what is carried behind the gate: slot and matrix.
    """
    cliffords, inverses = _cliffords()
    products = matrix @ inverses
    parts = np.stack(
        [np.trace(products, axis1=1, axis2=2), *(np.trace(p @ products, axis1=1, axis2=2) for p in _PAULIS)]
    )
    sizes = np.abs(parts) / 2
    best = int(np.argmax(sizes[0]))
    if sizes[0, best] > 1 - _EXACT:
        return cliffords[best], True, None
    for axis in range(3):
        others = [one for one in range(3) if one != axis]
        fits = np.flatnonzero(sizes[[1 + one for one in others]].max(axis=0) < 1e-5)
        if not len(fits):
            continue
        if gate is None and axis == _Z:  # turning about the axis that is read changes nothing
            return cliffords[fits[0]], True, None
        place = gate.carries.get((slot, axis)) if gate is not None else None
        if place is not None:
            rest = parts[0, fits[0]] / 2 * IDENTITY + place[2] * parts[1 + axis, fits[0]] / 2 * _PAULIS[place[1]]
            return cliffords[fits[0]], True, (place[0], rest)
    return cliffords[best], False, None


@lru_cache(maxsize=1)
def _cliffords() -> tuple[list[str], Matrix]:
    """The 24 of one qubit, as products of H and S: lines of stim, and inverse matrices one above the other."""
    found: list[Matrix] = [IDENTITY]
    for known in found:
        for gate in (_GATES["h"].to_matrix(), _GATES["s"].to_matrix()):
            product = gate @ known
            if all(abs(np.trace(one.conj().T @ product)) < 2 - _EXACT for one in found):
                found.append(product)
    lines = [_written(stim.Tableau.from_unitary_matrix(one, endian="little")) for one in found]
    inverses: Matrix = np.stack([one.conj().T for one in found])
    return lines, inverses


def _written(tableau: stim.Tableau) -> str:
    """A fragment on qubits 0 and 1, with those as ``{a}`` and ``{b}``."""
    lines = []
    for line in str(tableau.to_circuit("elimination")).splitlines():
        gate, *targets = line.split()
        lines.append(" ".join([gate, *("{a}" if one == "0" else "{b}" for one in targets)]))
    return "\n".join(lines)
