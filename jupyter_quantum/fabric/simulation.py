"""How long a simulation takes: a model of the simulators that run in the worker.

Aer's rules say which method it chooses: with noise, density matrices where there are more shots than amplitudes and
nothing follows a measurement; else the stabilizer simulator where all is Clifford; else one state, prepared once
where the shots can be drawn from its end, and once for each shot (a *trajectory*) where noise or a measurement on the
way makes each another.

The constants are seconds of one processor, measured with Qiskit Aer 0.18 on the machine that :data:`_REFERENCE_S` was
measured on as well; :func:`measured` repeats that measurement where a runner starts, and every estimate is scaled by
what it finds. What is not in the model (how far gates are fused, what a machine does besides, how strongly a circuit
entangles) is what the range is for.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from jupyter_quantum.fabric.estimates import Load
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.runner import Method, Simulation

__all__ = ["Cost", "Noise", "Timed", "Work", "aer", "before", "local", "measured", "timed"]

_MOST_S: Final = 1e9
"""No run takes so long; what the model says beyond it is no number to work with."""
_WIDEST: Final = 60
"""Qubits beyond which a state is no longer larger in any sense that matters."""
_FUSED_ABOVE: Final = 14
"""Qubits above which Aer makes one matrix of several gates."""
_USUAL: Final = (0.35, 4.0)
_ENTANGLED: Final = (0.05, 50.0)
"""What a matrix product state takes depends on how far the circuit entangles, which nobody knows beforehand."""
_UNKNOWN: Final = (0.05, 10.0)
_ROUND_S: Final = 0.02
"""A vendor's SDK: from a call to its answer."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Estimated seconds of a run, and what they rest on; None: durations of gates."""

    seconds: Interval
    simulation: Simulation | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """So many circuits that ask the same, with so many shots each."""

    load: Load
    count: int
    shots: int


@dataclass(frozen=True, slots=True)
class Noise:
    """What is known of a device's noise: whether there is any, and whether it keeps Clifford circuits Clifford."""

    any: bool
    clifford: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that one circuit takes: once, and for each of its shots; ``low`` and ``high`` are factors of both."""

    method: Method
    once: float
    shot: float
    low: float = _USUAL[0]
    high: float = _USUAL[1]
    threads: bool = False
    """Whether several threads share the work."""

    def seconds(self, shots: int) -> float:
        """With so many shots."""
        return self.once + shots * self.shot


def aer(load: Load, shots: int, method: str, noise: Noise) -> Cost:
    """What Aer takes for a circuit; ``method`` as the option has it."""
    if method != "automatic":
        return _by(method, load, noise)
    if load.clifford is not None or noise.any:
        return _by(_chosen(load, shots, noise), load, noise)
    dense, clifford = _state(load, noise), _stabilizer(load, noise)  # values decide which
    return Cost(dense.method, dense.once, dense.shot, _part(clifford, dense, shots), dense.high, dense.threads)


def local(load: Load, shots: int, noise: Noise) -> Cost:
    """What a simulator takes of which nothing is known: the range is from the best way to Aer's with every error."""
    best, likely = aer(load, shots, "automatic", Noise(any=False)), aer(load, shots, "automatic", noise)
    low, high = _UNKNOWN
    least = low * min(1.0, _part(best, likely, shots))
    return Cost("other", _ROUND_S + likely.once, likely.shot, least, high, likely.threads)


def _part(best: Cost, likely: Cost, shots: int) -> float:
    return min(likely.low, best.low * best.seconds(shots) / likely.seconds(shots))


def _chosen(load: Load, shots: int, noise: Noise) -> str:
    if noise.any and load.qubits < 30 and shots > 1 << load.qubits and not load.repeated:
        return "density_matrix"
    if load.clifford and (noise.clifford or not noise.any):
        return "stabilizer"
    return "statevector"


def _by(method: str, load: Load, noise: Noise) -> Cost:
    ways = {"density_matrix": _density, "stabilizer": _stabilizer, "statevector": _state}
    return ways.get(method, _product)(load, noise)


def _written(load: Load) -> float:
    """Qiskit's way to Aer, gate by gate."""
    return 1.5e-3 + 14e-6 * load.gates


def _drawn(load: Load) -> float:
    """One shot of a state that is there."""
    bits = load.measured or load.qubits
    return 0.3e-6 + 0.05e-6 * bits + 0.008e-6 * bits**2


def _state(load: Load, noise: Noise) -> Cost:
    size = 2.0 ** min(load.qubits, _WIDEST)
    fused = load.qubits > _FUSED_ABOVE
    gate = 0.7e-6 + (2.35e-9 if fused else 3e-9) * size
    parallel = load.qubits >= _FUSED_ABOVE
    if not noise.any and not load.repeated:
        made = (load.gates + 20) * gate  # it is made, and read, with some of the effort of gates
        return Cost("statevector", _written(load) + made, _drawn(load), threads=parallel)
    if fused:
        each = 0.5e-6 * load.gates + size * (4.3e-9 * load.noisy + (0.2e-9 if noise.any else 2.35e-9) * load.gates)
    else:
        each = gate * load.gates + (0.7e-6 + 6e-9 * size) * load.noisy
    return Cost("trajectories", _written(load), 5e-6 + each + _drawn(load), threads=True)


def _density(load: Load, noise: Noise) -> Cost:
    size = 4.0 ** min(load.qubits, _WIDEST)
    gates = load.noisy + 0.1 * (load.gates - load.noisy) if noise.any else load.gates
    made = (gates + 5) * (10e-6 + 4.7e-9 * size)
    parallel = 2 * load.qubits >= _FUSED_ABOVE
    if load.repeated:
        return Cost("density_matrix", _written(load), made, threads=True)
    return Cost("density_matrix", _written(load) + made, _drawn(load), threads=parallel)


def _stabilizer(load: Load, noise: Noise) -> Cost:
    read = 0.5e-6 + 0.1e-6 * load.measured + 0.011e-6 * load.measured * load.qubits
    if noise.any or load.repeated:
        return Cost("stabilizer", _written(load), 20e-6 + 0.15e-6 * load.gates + 1e-6 * load.noisy + read, threads=True)
    return Cost("stabilizer", _written(load) + 2e-6 * load.gates, read)


def _product(load: Load, noise: Noise) -> Cost:
    low, high = _ENTANGLED
    if noise.any or load.repeated:
        each = (2e-6 + 1e-6 * load.qubits) * load.gates
        return Cost("matrix_product_state", _written(load), each, low, high, threads=True)
    once = _written(load) + 1e-3 * load.pairs
    return Cost("matrix_product_state", once, 2e-6 * load.qubits, low, high)


def before(seconds: float, low: float = 0.2, high: float = 8.0) -> Cost:
    """What happens once, before the first circuit: what is there from the run before is not done again."""
    return Cost("other", seconds, 0.0, low, high)


def timed(planned: Sequence[Work], costs: Sequence[Cost], more: Cost, pace: float, threads: int) -> Timed:
    """The estimate for a whole run.

    Args:
        planned: what will run.
        costs: of each.
        more: what the run takes besides.
        pace: how much slower this machine is than that of the constants.
        threads: that a simulation may have.
    """
    value = fixed = more.once
    low, high = more.low * more.once, more.high * more.once
    for one, cost in zip(planned, costs, strict=True):
        shared = min(threads, os.cpu_count() or 1) if cost.threads else 1
        took = one.count * cost.seconds(one.shots)
        value += took / (1 + 0.7 * (shared - 1))
        fixed += one.count * cost.once / (1 + 0.7 * (shared - 1))
        low += cost.low * took / shared
        high += cost.high * took
    found = Interval(value=_kept(value * pace), low=_kept(low * pace), high=_kept(max(high, value) * pace))
    longest = max(range(len(costs)), key=lambda at: planned[at].count * costs[at].seconds(planned[at].shots))
    return Timed(
        found,
        Simulation(method=costs[longest].method, qubits=planned[longest].load.qubits, fixed=_kept(fixed * pace)),
    )


def _kept(seconds: float) -> float:
    return min(seconds, _MOST_S)


# The measurement

_REFERENCE_S: Final = 0.034
"""Seconds of one processor that :func:`_benchmark` took where the constants above were measured."""
_TRIES: Final = 4
"""The least of so many is the one that others disturbed least."""
_PATIENCE_S: Final = 20.0
"""What takes longer than this says nothing; a runner starts without it."""
_PACES: Final = (0.1, 20.0)
"""A measurement beyond these is a disturbed one."""


def measured() -> float:
    """How much slower than the constants this machine is, measured in a process that ends afterwards.

    Its processor time is what counts, so that a busy machine is not a slow one. Simulations leave threads behind; a
    process that forks may have none.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(theirs, repr(_benchmark()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    ready, _, _ = select.select([ours], [], [], _PATIENCE_S)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    said = os.read(ours, 100) if ready else b""
    os.close(ours)
    os.waitpid(pid, 0)
    try:
        return min(max(float(said) / _REFERENCE_S, _PACES[0]), _PACES[1])
    except ValueError:
        return 1.0  # it broke off, or was too late


def _benchmark() -> float:
    """Gates on a state that is larger than the nearest cache, gates on one that is small, and Qiskit's way to Aer."""
    simulator = AerSimulator(max_parallel_threads=1, seed_simulator=1, method="statevector")
    circuits = [_layers(16, 4), _layers(4, 200)]
    simulator.run(circuits[1], shots=1).result()
    return min(_once(simulator, circuits) for _ in range(_TRIES))


def _once(simulator: AerSimulator, circuits: Sequence[QuantumCircuit]) -> float:
    began = time.process_time()
    simulator.run(circuits, shots=1000).result()
    return time.process_time() - began


def _layers(width: int, depth: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    for layer in range(depth):
        for qubit in range(width):
            circuit.ry(0.1 + qubit, qubit)
        for qubit in range(layer % 2, width - 1, 2):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit
