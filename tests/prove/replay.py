"""Replays are told apart: identical on a simulator, drifted on a worse device, different where it errs otherwise.

Real service, real runner. First every kind of job on the simulator, replayed; then on an emulator of five qubits honest
repeats under other seeds, of which no more than the stated level may be taken for something else, and jobs of other
circuits, which must be called different. Then another runner serves the same device, calibrated worse: replays of the
jobs of before are drifted. At last one serves it that does not do what its calibration says: they are different.
"""

from __future__ import annotations

import math
import random
import time
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from jupyter_quantum.client.compare import LEVEL
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.exceptions import QuantumError
from tests.prove.lab import ProofLab

_DEVICE = "drifting"
_WORSE = 4.0
_PATIENCE_S = 90.0
_SHOTS = 4000


def _devices(**arguments: Any) -> list[dict[str, Any]]:
    emulator = {"backend": "tests.prove.drifted:Emulator", "arguments": arguments}
    return [{"name": "aer", "adapter": "aer"}, {"name": _DEVICE, "adapter": "backend", **emulator}]


def _random(rng: random.Random, width: int, *, measured: bool = True) -> QuantumCircuit:
    circuit = QuantumCircuit(width, name=f"random-{width}")
    for _ in range(rng.randint(2, 6)):
        circuit.u(*(rng.uniform(0, 6.3) for _ in range(3)), rng.randrange(width))
        if width > 1:
            circuit.cx(*rng.sample(range(width), 2))
    if measured:
        circuit.measure_all()
    return circuit


def _chain(width: int, turns: int) -> QuantumCircuit:
    """A cat state that is made, unmade and made again: the longer, the more an error shows."""
    circuit = QuantumCircuit(width, name=f"cat-{width}-{turns}")
    circuit.h(0)
    for turn in range(2 * turns + 1):
        for qubit in range(width - 1) if turn % 2 == 0 else reversed(range(width - 1)):
            circuit.cx(qubit, qubit + 1)
        circuit.barrier()
    circuit.measure_all()
    return circuit


def _simulated(hub: Hub, rng: random.Random) -> Any:
    """A job of any kind on the simulator."""
    width, seed = rng.randint(1, 6), rng.randrange(2**31)
    kind = rng.choice(("run", "memory", "many", "sampler", "estimator"))
    if kind == "sampler":
        circuit = QuantumCircuit(1)
        circuit.rx(Parameter("a"), 0)
        circuit.measure_all()
        options = {"simulator": {"seed_simulator": seed}}
        values = [[rng.uniform(0, 6.3)] for _ in range(3)]
        return hub.sampler("aer", options).run([(circuit, values), _random(rng, width)], shots=200)
    if kind == "estimator":
        options = {"simulator": {"seed_simulator": seed}}
        observable = SparsePauliOp(["Z" * width, "X" * width], [1.0, 0.5])
        pub = (_random(rng, width, measured=False), observable)
        return hub.estimator("aer", options).run([pub], precision=0.05)
    circuits = [_random(rng, width) for _ in range(3 if kind == "many" else 1)]
    return hub.backend("aer").run(circuits, shots=300, seed_simulator=seed, memory=kind == "memory")


def _identical(hub: Hub, rng: random.Random, cases: int) -> list[str]:
    found = []
    for number in range(cases):
        job = _simulated(hub, rng)
        job.result()
        verdict = job.replay().verdict(_PATIENCE_S)
        if not verdict.identical:
            found.append(f"simulator {number}: {job.view.id} is not identical: {verdict.words}")
    return found


def _done(hub: Hub, circuit: QuantumCircuit, seed: int) -> Any:
    job = hub.backend(_DEVICE).run(circuit, shots=_SHOTS, seed_simulator=seed)
    job.result(_PATIENCE_S)
    return job


def _honest(hub: Hub, rng: random.Random, cases: int) -> list[str]:
    """Pairs of jobs of one circuit with other seeds: at most as many alarms as the level has in one case of 10 000."""
    alarms = []
    for _ in range(cases):
        circuit = _random(rng, rng.randint(1, 5))
        one, other = (_done(hub, circuit, rng.randrange(2**31)) for _ in range(2))
        verdict = other.compare(one)
        if verdict.verdict != "same":
            alarms.append(f"honest repeat {other.view.id}: {verdict.words}")
    allowed = LEVEL * cases + 3.7 * math.sqrt(LEVEL * cases) + 1
    return alarms if len(alarms) > allowed else []


def _others(jobs: list[Any]) -> list[str]:
    """Each job against one of another circuit with the same registers."""
    found = []
    for one in jobs:
        bits = one.view.num_qubits
        flipped = QuantumCircuit(bits, name="other")
        flipped.x(0)
        flipped.measure_all()
        other = _done_like(one, flipped)
        verdict = other.compare(one)
        if verdict.verdict != "different":
            found.append(f"other circuit than {one.view.id}: {verdict.words}")
    return found


def _done_like(job: Any, circuit: QuantumCircuit) -> Any:
    other = job.backend().run(circuit, shots=_SHOTS, seed_simulator=1)
    other.result(_PATIENCE_S)
    return other


def _serve(lab: ProofLab, hub: Hub, **arguments: Any) -> None:
    """Have another runner serve the device; returns once the service knows its calibration."""
    lab.kill_service()
    lab._told["service"]["devices"] = _devices(**arguments)
    lab.start_service()
    lab.wait_ready()
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            if any(one.name == _DEVICE and one.view.state == "ready" for one in hub.backends()):
                return
        except QuantumError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"{_DEVICE} did not come back")


def _replayed(jobs: list[Any], wanted: str) -> list[str]:
    found = []
    for job in jobs:
        again = job.replay()
        verdict = again.verdict(_PATIENCE_S)
        if verdict.verdict != wanted:
            found.append(f"{job.view.name} {again.view.id}: expected {wanted}, found {verdict.words}")
    return found


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """``cases`` jobs on the simulator, as many honest repeats, and twelve jobs on each kind of drift."""
    rng = random.Random(seed)
    with ProofLab() as lab:
        lab._told["service"]["prices"][_DEVICE] = {"per_task": 0.01, "per_shot": 0.0001}
        hub = lab.hub("ada")
        _serve(lab, hub, worse=1.0)
        found = _identical(hub, rng, cases) + _honest(hub, rng, cases)
        jobs = [_done(hub, _chain(width, turns), rng.randrange(2**31)) for width in (2, 3, 4) for turns in (1, 2, 3, 4)]
        found += [f"unchanged {one}" for one in _replayed(jobs[:4], "same")] + _others(jobs)
        _serve(lab, hub, worse=_WORSE)
        found += _replayed(jobs, "drifted")
        _serve(lab, hub, worse=1.0, flips=True)
        # A cat state of two qubits differs by all of it; for the longer ones noise could explain it.
        found += _replayed([job for job in jobs if job.view.name == "cat-2-1"], "different")
        lab.kill_service()
        found += lab.verify_store()
    return 2 * cases + 4 + 2 * len(jobs) + 1, found
