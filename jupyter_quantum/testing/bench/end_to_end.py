"""Submit → result through the whole door, warm, against plain Aer with the same threads."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import efficient_su2
from qiskit_aer import AerSimulator

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.testing.bench import Measurement, paired

__all__ = ["GOALS", "end_to_end"]

GOALS = {"bell": 6.0, "medium": 1.15, "large": 1.02, "naive": 0.15}
_SHOTS = 1000
_PARALLEL_FROM = 15
"""Qubits from which Aer shares a state vector among threads (its statevector_parallel_threshold is 14)."""


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _ansatz(num_qubits: int, reps: int) -> QuantumCircuit:
    circuit = efficient_su2(num_qubits, reps=reps)
    bound = circuit.assign_parameters([0.1 + 0.37 * k for k in range(circuit.num_parameters)])
    bound.measure_all()
    return bound


def _of_duration(plain: AerSimulator, seconds: float) -> QuantumCircuit:
    """A circuit whose plain simulation takes about ``seconds``: grows in width, then in repetitions."""
    for num_qubits in range(8, 24):
        taken = min(_plain_seconds(plain, _ansatz(num_qubits, 2)) for _ in range(2))
        if taken >= seconds / 2:
            reps = max(2, round(2 * seconds / taken))
            return _ansatz(num_qubits, reps)
    return _ansatz(23, 2)


def _plain_seconds(plain: AerSimulator, circuit: QuantumCircuit) -> float:
    start = time.perf_counter()
    plain.run(circuit, shots=_SHOTS, seed_simulator=1).result()
    return time.perf_counter() - start


def _threads(hub: Hub) -> int:
    """Threads that the service's simulator uses, from its own record of a circuit wide enough for all of them."""
    result: Any = hub.backend("aer").run(_ansatz(_PARALLEL_FROM, 1), shots=1).result()
    return int(result.results[0].metadata["parallel_state_update"])


def end_to_end(hub: Hub, *, rounds: int = 40) -> Measurement:
    """Measure against the service that ``hub`` talks to; the device ``aer`` must be idle."""
    found = Measurement("end-to-end", dict(GOALS))
    backend: Any = hub.backend("aer")
    threads = _threads(hub)
    plain = AerSimulator(max_parallel_threads=threads)
    bell = _bell()

    def door(circuit: QuantumCircuit) -> dict[str, int]:
        counts: dict[str, int] = backend.run(circuit, shots=_SHOTS, seed_simulator=7).result().get_counts()
        return counts

    def direct(circuit: QuantumCircuit) -> dict[str, int]:
        counts: dict[str, int] = plain.run(circuit, shots=_SHOTS, seed_simulator=7).result().get_counts()
        return counts

    def naive() -> dict[str, int]:
        simulator = AerSimulator()
        counts: dict[str, int] = simulator.run(transpile(bell, simulator), shots=_SHOTS).result().get_counts()
        return counts

    circuits = {"bell": bell, "medium": _of_duration(plain, 0.025), "large": _of_duration(plain, 0.3)}
    for name, circuit in circuits.items():
        if door(circuit) != direct(circuit):
            raise AssertionError(f"{name}: the door's counts differ from Aer's for the same seed")
        count = rounds if name != "large" else max(10, rounds // 3)
        found.pairs[name] = paired(partial(door, circuit), partial(direct, circuit), rounds=count)
    found.pairs["naive"] = paired(lambda: door(bell), naive, rounds=max(10, rounds // 2))
    found.notes.append(f"{threads} threads, {_SHOTS} shots, medians of {rounds} paired runs")
    return found
