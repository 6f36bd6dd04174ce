"""Running an executable on a device: ``backend.run``, a sampler, an estimator, each bit for bit as Qiskit's own.

The seed of a batch reaches its circuits in their order, so circuits are batched as the references do: all circuits
of a run together, PUBs by their shots in order of appearance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.result import Result

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Device, Facade, Order, RunOptions
from jupyter_quantum.fabric.mitigation import Corrected, Counts, Method, beside, counts_in, method_of, tried, without
from jupyter_quantum.fabric.plan import pieces
from jupyter_quantum.fabric.pubs import estimator_pub, precision_of, sampler_pub
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.shape import by_value, estimated, experiment, memory_of, origin_of, plain, sampled
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import PubResult, ResultView

__all__ = ["execute"]


@dataclass(slots=True)
class _Clock:
    """Adds up the seconds on the device, and what a method of mitigation makes of the batches."""

    seconds: float = 0.0
    method: Method | None = None
    corrected: dict[int, list[Corrected]] = field(default_factory=dict)
    """By shots: of each circuit of that batch."""
    own: list[tuple[QuantumCircuit, Counts]] = field(default_factory=list)
    """The method's own circuits."""
    why: str = ""
    """Why it makes nothing, where it does not."""


def execute(
    device: Device,
    kind: JobKind,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    memory_mb: int,
) -> ResultView:
    """Run and return the result; raises :class:`JobFailed` where the device gave none."""
    clock = _Clock(method=None if kind is JobKind.RUN else method_of(options))
    run = {JobKind.RUN: _run, JobKind.SAMPLER: _sampler, JobKind.ESTIMATOR: _estimator}[kind]
    answer = run(device, circuits, pubs, options, memory_mb, clock)
    if clock.method is not None:
        order = Order(kind, circuits, pubs, options)
        if clock.why:
            answer = without(answer, clock.why)
        else:
            answer = beside(device, order, answer, _by_pub(device, order, clock), clock.method.told(clock.own))
    return answer.model_copy(update={"seconds": clock.seconds})


def _simulate(device: Device, circuits: Sequence[QuantumCircuit], options: RunOptions, clock: _Clock) -> Result:
    own = [] if clock.method is None else clock.method.circuits(device, circuits)
    began = time.perf_counter()
    result = device.run([*circuits, *own], options)
    clock.seconds += time.perf_counter() - began
    _check(device, result)
    if clock.method is not None:
        counts = [counts_in(one) for one in result.results]
        ran = list(zip(own, counts[len(circuits) :], strict=True))
        made = tried(clock.method, circuits, counts[: len(circuits)], ran)
        if isinstance(made, str):
            clock.why = made
        else:
            clock.corrected[options.shots] = made
        clock.own += ran
        result.results = result.results[: len(circuits)]
    return result


def _by_pub(device: Device, order: Order, clock: _Clock) -> list[list[Corrected]]:
    """What was made of the circuits of each PUB; a batch has those of its PUBs in their order."""
    left = {shots: iter(found) for shots, found in clock.corrected.items()}
    found: list[list[Corrected]] = [[] for _ in order.pubs]
    for piece in pieces(device, order):
        found[piece.owner].append(next(left[piece.shots]))
    return found


def _check(device: Device, result: Result) -> None:
    if result.success:
        return
    said = next((str(one.status) for one in result.results if not one.success), str(result.status))
    if "memory" in said.lower():
        raise JobFailed(
            f"{device.name} needs more memory for this circuit than a run may take.",
            code="job.memory",
            hint="Use fewer qubits, or fewer gates that entangle them.",
        )
    raise JobFailed(f"{device.name} did not run the circuit: {clean(said, 300)}", code="job.device")


def _run(
    device: Device,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    memory_mb: int,
    clock: _Clock,
) -> ResultView:
    chosen = _chosen(options, options["shots"], bool(options.get("memory")), memory_mb)
    result = _simulate(device, circuits, chosen, clock)
    return ResultView(
        kind=JobKind.RUN,
        backend=device.name,
        experiments=[experiment(one) for one in result.results],
        metadata=plain(result.metadata) if result.metadata else {},
        seconds=0.0,
    )


def _chosen(options: Mapping[str, Any], shots: int, memory: bool, memory_mb: int) -> RunOptions:
    """How to run a batch; an option that the device does not have is as if it were not asked for."""
    return RunOptions(shots, options.get("seed_simulator"), memory, options.get("method", "automatic"), memory_mb)


def _sampler(
    device: Device,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    memory_mb: int,
    clock: _Clock,
) -> ResultView:
    default = options["shots"] or options["default_shots"]
    coerced = [sampler_pub(pub, circuits[pub.circuit], pub.shots or default) for pub in pubs]
    answers: list[PubResult | None] = [None] * len(coerced)
    for shots, places in by_value([one.shots for one in coerced]).items():
        bound = [coerced[at].parameter_values.bind_all(coerced[at].circuit) for at in places]
        flat = [circuit for array in bound for circuit in np.ravel(array).tolist()]
        chosen = _chosen(options, shots, True, memory_mb)
        result = _simulate(device, flat, chosen, clock)
        start = 0
        for at, array in zip(places, bound, strict=True):
            found = result.results[start : start + array.size]
            start += array.size
            answer = sampled(coerced[at].circuit, [memory_of(device.name, one) for one in found], array.shape, shots)
            answers[at] = answer.model_copy(update={"metadata": answer.metadata | origin_of(found)})
    return ResultView(
        kind=JobKind.SAMPLER,
        backend=device.name,
        pubs=[answer for answer in answers if answer is not None],
        metadata={"version": 2},
        seconds=0.0,
    )


def _estimator(
    device: Device,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    memory_mb: int,
    clock: _Clock,
) -> ResultView:
    method = options.get("method", "automatic")
    facade = Facade(device, lambda batch, chosen: _simulate(device, batch, chosen, clock), memory_mb, method)
    estimator = device.estimator(facade)
    estimator.options.abelian_grouping = options["abelian_grouping"]
    estimator.options.seed_simulator = options.get("seed_simulator")
    coerced = [estimator_pub(pub, circuits[pub.circuit], precision_of(pub, options)) for pub in pubs]
    answer = estimator.run(coerced).result()
    return ResultView(
        kind=JobKind.ESTIMATOR,
        backend=device.name,
        pubs=[estimated(one) for one in answer],
        metadata=plain(answer.metadata),
        seconds=0.0,
    )
