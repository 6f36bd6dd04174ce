"""Running an executable on a device: ``backend.run``, a sampler, an estimator, each bit for bit as Qiskit's own.

The seed of a batch reaches its circuits in their order, so circuits are batched as the references do: all circuits
of a run together, PUBs by their shots in order of appearance.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.result import Result

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Device, Facade, RunOptions
from jupyter_quantum.fabric.pubs import estimator_pub, precision_of, sampler_pub
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView

__all__ = ["execute", "plain"]


@dataclass(slots=True)
class _Clock:
    """Adds up the seconds on the device."""

    seconds: float = 0.0


def execute(
    device: Device,
    kind: JobKind,
    circuits: Sequence[QuantumCircuit],
    pubs: Sequence[Pub],
    options: Mapping[str, Any],
    memory_mb: int,
) -> ResultView:
    """Run and return the result; raises :class:`JobFailed` where the device gave none."""
    clock = _Clock()
    run = {JobKind.RUN: _run, JobKind.SAMPLER: _sampler, JobKind.ESTIMATOR: _estimator}[kind]
    answer = run(device, circuits, pubs, options, memory_mb, clock)
    return answer.model_copy(update={"seconds": clock.seconds})


def _simulate(device: Device, circuits: Sequence[QuantumCircuit], options: RunOptions, clock: _Clock) -> Result:
    began = time.perf_counter()
    result = device.run(circuits, options)
    clock.seconds += time.perf_counter() - began
    _check(device, result)
    return result


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
        experiments=[_experiment(one) for one in result.results],
        metadata=plain(result.metadata) if result.metadata else {},
        seconds=0.0,
    )


def _chosen(options: Mapping[str, Any], shots: int, memory: bool, memory_mb: int) -> RunOptions:
    """How to run a batch; an option that the device does not have is as if it were not asked for."""
    return RunOptions(shots, options.get("seed_simulator"), memory, options.get("method", "automatic"), memory_mb)


def _experiment(found: Any) -> Experiment:
    header = found.header if isinstance(found.header, dict) else found.header.to_dict()
    data = found.data.to_dict()
    return Experiment(
        name=str(header.get("name", "")),
        shots=int(found.shots),
        counts=data.pop("counts", None),
        memory=data.pop("memory", None),
        seed=int(found.seed_simulator) if found.seed_simulator is not None else None,
        header=plain(header),
        metadata=plain(getattr(found, "metadata", {}) or {}),
        data=plain(data),
    )


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
    for shots, places in _by([one.shots for one in coerced]).items():
        bound = [coerced[at].parameter_values.bind_all(coerced[at].circuit) for at in places]
        flat = [circuit for array in bound for circuit in np.ravel(array).tolist()]
        chosen = _chosen(options, shots, True, memory_mb)
        result = _simulate(device, flat, chosen, clock)
        start = 0
        for at, array in zip(places, bound, strict=True):
            found = result.results[start : start + array.size]
            start += array.size
            sampled = _sampled(coerced[at].circuit, [_memory(device, one) for one in found], array.shape, shots)
            answers[at] = sampled.model_copy(update={"metadata": sampled.metadata | _origin(found)})
    return ResultView(
        kind=JobKind.SAMPLER,
        backend=device.name,
        pubs=[answer for answer in answers if answer is not None],
        metadata={"version": 2},
        seconds=0.0,
    )


def _by(values: Sequence[int]) -> dict[int, list[int]]:
    grouped: dict[int, list[int]] = {}
    for at, value in enumerate(values):
        grouped.setdefault(value, []).append(at)
    return grouped


def _memory(device: Device, found: Any) -> list[str]:
    memory = getattr(found.data, "memory", None)
    if not memory:
        raise JobFailed(f"{device.name} returned no shots for a circuit that measures.", code="job.no_shots")
    return list(memory)


def _origin(found: Sequence[Any]) -> dict[str, str]:
    """``shots_from`` where shots were made from counts: their order says nothing then."""
    return {"shots_from": "counts"} if any(getattr(one, "shots_from", "") == "counts" for one in found) else {}


def _sampled(circuit: QuantumCircuit, memories: Sequence[list[str]], shape: tuple[int, ...], shots: int) -> PubResult:
    width = max(1, -(-circuit.num_clbits // 8))
    shots_as_bytes = np.frombuffer(
        b"".join(int(shot, 16).to_bytes(width, "big") for memory in memories for shot in memory), dtype=np.uint8
    ).reshape((*shape, shots, width))
    registers = {register.name: _bits(circuit, register, shots_as_bytes) for register in circuit.cregs}
    return PubResult(
        shape=list(shape),
        registers=registers,
        metadata={"shots": shots, "circuit_metadata": plain(circuit.metadata or {})},
    )


def _bits(circuit: QuantumCircuit, register: Any, shots: NDArray[np.uint8]) -> Bits:
    """One register out of all bits, packed as Qiskit's ``BitArray`` has it: big endian, padded on the left."""
    size = register.size
    if size == circuit.num_clbits and all(circuit.find_bit(bit).index == at for at, bit in enumerate(register)):
        packed = shots if size else shots[..., :0]
    else:
        places = [circuit.find_bit(bit).index for bit in register]
        unpacked = np.unpackbits(shots, axis=-1, bitorder="big")[..., ::-1]
        chosen = unpacked[..., places][..., ::-1]
        packed = np.packbits(np.pad(chosen, [(0, 0)] * (chosen.ndim - 1) + [(-size % 8, 0)]), axis=-1, bitorder="big")
    return Bits(num_bits=size, array=Array(dtype="|u1", shape=list(packed.shape), data=packed.tobytes()))


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
        pubs=[_estimated(one) for one in answer],
        metadata=plain(answer.metadata),
        seconds=0.0,
    )


def _estimated(found: Any) -> PubResult:
    return PubResult(
        shape=list(found.data.shape),
        evs=_array(found.data.evs),
        stds=_array(found.data.stds),
        metadata=plain(found.metadata),
    )


def _array(values: Any) -> Array:
    array = np.ascontiguousarray(values, dtype="<f8")
    return Array(dtype="<f8", shape=list(np.shape(values)), data=array.tobytes())


def plain(value: Any) -> Any:
    """The value as JSON has it; what JSON has no word for becomes text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    return clean(value, 2000)
