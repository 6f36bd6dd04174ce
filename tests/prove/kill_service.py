"""``kill -9`` of the service at random moments: every acknowledged job still reaches one final state, charged once."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from qiskit import QuantumCircuit

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.exceptions import QuantumError
from tests.prove.lab import ProofLab

_USERS = ("ada", "ben", "grace")
_DEVICES = ("aer", "fake_torino", "fake_fez", "campus_qpu")
_PATIENCE_S = 120.0


def _circuit(rng: random.Random) -> QuantumCircuit:
    """Bell pairs and chains, some of them slow enough to be found running."""
    width = rng.choice((2, 3, 5, 16))
    circuit = QuantumCircuit(width, name=f"chain-{width}")
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    for _ in range(20 if width == 16 else 1):
        circuit.rx(rng.random(), range(width))
    circuit.measure_all()
    return circuit


@dataclass
class _Sender:
    """One user's cell: submits through the shipped client, which retries with its idempotency key."""

    user: str
    device: str
    circuit: QuantumCircuit
    delay_s: float
    job: Any = None
    error: Exception | None = None
    thread: threading.Thread = field(init=False)

    def start(self, lab: ProofLab) -> None:
        self.thread = threading.Thread(target=self._send, args=(lab,), daemon=True)
        self.thread.start()

    def _send(self, lab: ProofLab) -> None:
        time.sleep(self.delay_s)
        device = "aer" if self.circuit.num_qubits == 16 else self.device
        try:
            self.job = lab.hub(self.user).backend(device).run(self.circuit, shots=200)
        except Exception as error:
            self.error = error


def _case(lab: ProofLab, rng: random.Random, number: int) -> list[str]:
    senders = [
        _Sender(rng.choice(_USERS), rng.choice(_DEVICES), _circuit(rng), rng.random() * 0.4)
        for _ in range(rng.randint(4, 8))
    ]
    for sender in senders:
        sender.start(lab)
    time.sleep(rng.random() * 0.9)
    lab.kill_service()
    time.sleep(rng.random() * 0.2)
    lab.start_service()
    found: list[str] = []
    for sender in senders:
        sender.thread.join(_PATIENCE_S)
        found += _judge(lab, sender, number)
    return found


def _judge(lab: ProofLab, sender: _Sender, number: int) -> list[str]:
    who = f"case {number}: {sender.user} on {sender.device}"
    if sender.thread.is_alive():
        return [f"{who}: the submission never came back"]
    if sender.error is not None:
        return [f"{who}: the submission raised {sender.error!r}"]
    job_id = sender.job.job_id()
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            view = lab.job(sender.user, job_id)
        except QuantumError as error:
            return [f"{who}: {job_id} was acknowledged and is gone: {error!r}"]
        if view.state in FINAL:
            return [] if view.state is JobState.COMPLETED else [f"{who}: {job_id} ended {view.state}: {view.error}"]
        time.sleep(0.05)
    return [f"{who}: {job_id} is still {view.state}"]


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Kill the service ``cases`` times; afterwards the whole ledger and the event chain are verified."""
    rng = random.Random(seed)
    found: list[str] = []
    with ProofLab() as lab:
        for number in range(cases):
            found += _case(lab, rng, number)
        lab.kill_service()
        found += lab.verify_store()
    return cases, found
