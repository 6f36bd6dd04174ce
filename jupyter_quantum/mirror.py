"""Mirror circuits: circuits of any width whose right answer is one known bit string.

A random half is followed by a layer of random Pauli gates and by the half's inverse, so that without errors the qubits
end in a basis state that is known beforehand. How often it comes back is a success with one meaning, and it needs no
simulation (T. Proctor et al., *Measuring the capabilities of quantum computers*, Nature Physics 18, 75 (2022)).

Imports nothing of ours: the benchmarks and the series that run on devices share it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit

__all__ = ["Mirror", "mirror_circuit"]

_CLIFFORDS: Final = (
    (),
    ("h",),
    ("s",),
    ("sdg",),
    ("h", "s"),
    ("s", "h"),
    ("sx",),
    ("sxdg",),
)
"""Words of gates that a random layer draws from, for each qubit."""
_PAULIS: Final = ("id", "x", "y", "z")
_INVERSE: Final = {"h": "h", "s": "sdg", "sdg": "s", "sx": "sxdg", "sxdg": "sx", "cx": "cx"}
_FLIPS: Final = frozenset({"x", "y"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror circuit and the bit string that comes back where nothing goes wrong (qubit 0 last, as in counts)."""

    circuit: QuantumCircuit
    expected: str


def mirror_circuit(num_qubits: int, layers: int, seed: int) -> Mirror:
    """A mirror circuit of ``layers`` random layers and their inverses; the same arguments give the same circuit.

    Each layer has a random Clifford gate on every qubit and a ``cx`` on about half of the neighbouring pairs of a
    line. The halves are kept apart by barriers, so that no compiler cancels one against the other.

    Raises:
        ValueError: fewer than one qubit or layer.
    """
    if num_qubits < 1 or layers < 1:
        raise ValueError("a mirror circuit has at least one qubit and one layer")
    draw = random.Random(f"mirror {num_qubits} {layers} {seed}")  # noqa: S311 (a seed makes the same circuit)
    half = [gate for _ in range(layers) for gate in _layer(num_qubits, draw)]
    middle = [draw.choice(_PAULIS) for _ in range(num_qubits)]
    circuit = QuantumCircuit(num_qubits, num_qubits, name=f"mirror-{num_qubits}x{layers}-{seed}")
    _append(circuit, half)
    circuit.barrier()
    _append(circuit, [(name, (qubit,)) for qubit, name in enumerate(middle)])
    circuit.barrier()
    _append(circuit, [(_INVERSE[name], qubits) for name, qubits in reversed(half)])
    circuit.measure(range(num_qubits), range(num_qubits))
    return Mirror(circuit, _expected(num_qubits, half, middle))


_Gate = tuple[str, tuple[int, ...]]


def _layer(num_qubits: int, draw: random.Random) -> list[_Gate]:
    singles: list[_Gate] = [(name, (qubit,)) for qubit in range(num_qubits) for name in draw.choice(_CLIFFORDS)]
    start = draw.randrange(2) if num_qubits > 2 else 0
    pairs = [(low, low + 1) for low in range(start, num_qubits - 1, 2)]
    return singles + [("cx", pair if draw.random() < 0.5 else pair[::-1]) for pair in pairs]


def _append(circuit: QuantumCircuit, gates: list[_Gate]) -> None:
    for name, qubits in gates:
        getattr(circuit, name)(*qubits)


def _expected(num_qubits: int, half: list[_Gate], middle: list[str]) -> str:
    """The middle Pauli carried through the inverse half: the bits of its X part flip."""
    x = [name in _FLIPS for name in middle]
    z = [name in {"y", "z"} for name in middle]
    for name, qubits in reversed(half):
        _carry(_INVERSE[name], qubits, x, z)
    return "".join("1" if one else "0" for one in reversed(x))


def _carry(name: str, qubits: tuple[int, ...], x: list[bool], z: list[bool]) -> None:
    """Conjugate the Pauli (its X and Z parts, signs do not matter) by a gate."""
    first = qubits[0]
    if name == "h":
        x[first], z[first] = z[first], x[first]
    elif name in {"s", "sdg"}:
        z[first] ^= x[first]
    elif name in {"sx", "sxdg"}:
        x[first] ^= z[first]
    else:
        control, target = qubits
        x[target] ^= x[control]
        z[control] ^= z[target]
