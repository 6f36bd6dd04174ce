"""What a machine elsewhere is asked for: a job taken apart into bound circuits, packed into submissions.

Everything here is decided by the order alone, so that the worker that reads the answers finds the same pieces again as
the one that wrote the payloads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.result import Result
from qiskit.transpiler import generate_preset_pass_manager

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters.base import Device, Facade, Order, RunOptions
from jupyter_quantum.fabric.counts import header_of
from jupyter_quantum.fabric.pubs import estimator_pub, precision_of, sampler_pub

__all__ = ["Piece", "fitting", "packed", "pieces", "replayed"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One circuit without free parameters, to be run ``shots`` times for a circuit of the job, or for a PUB."""

    owner: int
    """Index of the circuit (``backend.run``) or of the PUB."""
    circuit: QuantumCircuit
    shots: int


def pieces(device: Device, order: Order) -> list[Piece]:
    """All circuits of an order, those of one owner together, in the order of the owners."""
    if order.kind is JobKind.RUN:
        return [Piece(at, circuit, order.options["shots"]) for at, circuit in enumerate(order.circuits)]
    if order.kind is JobKind.SAMPLER:
        return _sampler(order)
    return [
        Piece(at, fitting(device, circuit), shots)
        for at in range(len(order.pubs))
        for circuit, shots in _asked(device, order, at)
    ]


def _sampler(order: Order) -> list[Piece]:
    default = order.options["shots"] or order.options["default_shots"]
    found = []
    for at, pub in enumerate(order.pubs):
        coerced = sampler_pub(pub, order.circuits[pub.circuit], pub.shots or default)
        bound = np.ravel(coerced.parameter_values.bind_all(coerced.circuit)).tolist()
        found += [Piece(at, circuit, coerced.shots) for circuit in bound]
    return found


def _asked(device: Device, order: Order, at: int) -> list[tuple[QuantumCircuit, int]]:
    """What Qiskit's estimator runs for one PUB: it is run with answers that say nothing, and written down."""
    asked: list[tuple[QuantumCircuit, int]] = []

    def record(batch: Sequence[QuantumCircuit], chosen: RunOptions) -> Result:
        asked.extend((circuit, chosen.shots) for circuit in batch)
        return _nothing(batch, chosen.shots)

    replayed(device, order, at, record)
    return asked


def replayed(
    device: Device, order: Order, at: int, run: Callable[[Sequence[QuantumCircuit], RunOptions], Result]
) -> Any:
    """Qiskit's estimator over the PUB ``at``; ``run`` (circuits, :class:`RunOptions`) gives what it asks for."""
    estimator = device.estimator(Facade(device, run, 0, "automatic"))
    estimator.options.abelian_grouping = order.options["abelian_grouping"]
    estimator.options.seed_simulator = 0
    pub = order.pubs[at]
    return estimator.run([estimator_pub(pub, order.circuits[pub.circuit], precision_of(pub, order.options))]).result()


def _nothing(batch: Sequence[QuantumCircuit], shots: int) -> Result:
    results = [
        {"shots": shots, "success": True, "data": {"counts": {"0x0": shots}}, "header": header_of(circuit)}
        for circuit in batch
    ]
    return Result.from_dict({"backend_name": "", "job_id": "", "success": True, "results": results})


def fitting(device: Device, circuit: QuantumCircuit) -> QuantumCircuit:
    """A circuit of ours (an estimator's rotations, a calibration) in the device's gates; no qubit is moved."""
    if device.misfit(circuit) is None:
        return circuit
    same = list(range(circuit.num_qubits))
    made: QuantumCircuit = generate_preset_pass_manager(0, target=device.live, initial_layout=same).run(circuit)
    return made


def packed(found: Sequence[Piece], most: int, *, mixed: bool) -> list[list[int]]:
    """Indices of pieces, one list a submission: as few submissions as can be, since each has a price of its own.

    Args:
        found: the pieces.
        most: circuits of one submission.
        mixed: whether the circuits of a submission may differ in shots.
    """
    groups: dict[int, list[int]] = {}
    for at, piece in enumerate(found):
        groups.setdefault(0 if mixed else piece.shots, []).append(at)
    return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]
