"""Making the sets of circuits that benchmark series run: mirror circuits, and algorithms of mqt.bench.

The service never parses a circuit, so what it must know of one (its right answer, its ideal shares) is worked out here,
once, and kept beside it. The same recipe and versions give the same sets.
"""

from __future__ import annotations

import io
from importlib.metadata import version
from typing import Any, Final

from qiskit import QuantumCircuit, qpy, transpile
from qiskit.quantum_info import Statevector

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.mirror import mirror_circuit
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.series import CircuitSet, CircuitSets, SeriesCircuit

__all__ = ["RECIPES", "make_set", "make_sets"]

RECIPES: Final[tuple[dict[str, Any], ...]] = (
    {
        "name": "standard-12",
        "mirror": {"qubits": [2, 3, 4, 5, 6, 8, 10, 12], "layers": 2, "seed": 1},
        "mqt.bench": {"algorithms": ["bv", "dj", "ghz", "qftentangled", "qpeexact", "wstate"], "qubits": [3, 5]},
    },
    {
        "name": "standard-5",
        "mirror": {"qubits": [2, 3, 4, 5], "layers": 2, "seed": 1},
        "mqt.bench": {"algorithms": ["bv", "dj", "ghz", "qftentangled", "qpeexact", "wstate"], "qubits": [3, 5]},
    },
)
"""How the packaged sets are made; the second fits devices of five qubits."""
_QPY: Final = 13
_GATES: Final = ["h", "x", "z", "p", "ry", "rz", "cx", "cz", "cp", "swap"]
_LEAST: Final = 1e-9


def make_sets() -> CircuitSets:
    """Every packaged set, made anew. Raises Unavailable ``benchmarks.missing`` without mqt.bench."""
    return CircuitSets(sets=[make_set(recipe) for recipe in RECIPES])


def make_set(recipe: dict[str, Any]) -> CircuitSet:
    """One set: ``name``, ``mirror`` (qubits, layers, seed), ``mqt.bench`` (algorithms, qubits)."""
    mirror, algorithms = recipe["mirror"], recipe["mqt.bench"]
    made = [_mirror(qubits, mirror["layers"], mirror["seed"]) for qubits in mirror["qubits"]]
    made += [_algorithm(name, size) for name in algorithms["algorithms"] for size in algorithms["qubits"]]
    buffer = io.BytesIO()
    qpy.dump([circuit for circuit, _ in made], buffer, version=_QPY)
    raw = buffer.getvalue()
    return CircuitSet(
        name=recipe["name"],
        num_qubits=max(told.num_qubits for _, told in made),
        recipe=recipe | {"versions": {name: version(name) for name in ("qiskit", "mqt.bench")}, "qpy": _QPY},
        qpy=raw,
        qpy_digest=digest_of(raw),
        circuits=[told for _, told in made],
    )


def _mirror(qubits: int, layers: int, seed: int) -> tuple[QuantumCircuit, SeriesCircuit]:
    made = mirror_circuit(qubits, layers, seed)
    return made.circuit, _told(made.circuit, "mirror", "success", {hex(int(made.expected, 2)): 1.0})


def _algorithm(name: str, size: int) -> tuple[QuantumCircuit, SeriesCircuit]:
    try:
        from mqt.bench import BenchmarkLevel, get_benchmark
    except ImportError:
        raise Unavailable(
            "mqt.bench is not installed here.",
            code="benchmarks.missing",
            hint='Install it: pip install "jupyter-quantum[benchmarks]".',
        ) from None
    made = get_benchmark(name, level=BenchmarkLevel.INDEP, circuit_size=size, opt_level=0)
    circuit = transpile(made, basis_gates=_GATES, optimization_level=0)  # names of its own gates differ each time
    circuit.name, circuit.metadata = f"{name}-{size}", {}
    return circuit, _told(circuit, name, "fidelity", _ideal(circuit))


def _told(circuit: QuantumCircuit, family: str, measure: Any, ideal: dict[str, float]) -> SeriesCircuit:
    return SeriesCircuit(
        name=circuit.name,
        family=family,
        num_qubits=circuit.num_qubits,
        depth=circuit.depth(),
        measure=measure,
        ideal=ideal,
    )


def _ideal(circuit: QuantumCircuit) -> dict[str, float]:
    """Share of each outcome without errors, by the hexadecimal value of all bits; what is nothing is left out."""
    bits = {
        circuit.find_bit(found.qubits[0]).index: circuit.find_bit(found.clbits[0]).index
        for found in circuit.data
        if found.name == "measure"
    }
    gates = circuit.remove_final_measurements(inplace=False)
    shares = Statevector(gates).probabilities(list(bits))
    found: dict[str, float] = {}
    for outcome, share in enumerate(shares.tolist()):
        if share > _LEAST:
            value = sum(1 << bit for at, bit in enumerate(bits.values()) if outcome >> at & 1)
            found[hex(value)] = round(share, 12)
    return found
