"""From what Qiskit calls a ``Result`` to :class:`ResultView`: the same for a simulator here and a machine elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult

__all__ = ["array", "by_value", "estimated", "experiment", "memory_of", "origin_of", "plain", "registers_of", "sampled"]


def experiment(found: Any) -> Experiment:
    """One circuit of ``backend.run`` from Qiskit's ``ExperimentResult``."""
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


def by_value(values: Sequence[int]) -> dict[int, list[int]]:
    """The places of each value, in order of appearance."""
    grouped: dict[int, list[int]] = {}
    for at, value in enumerate(values):
        grouped.setdefault(value, []).append(at)
    return grouped


def memory_of(device: str, found: Any) -> list[str]:
    """Each shot of an experiment, hexadecimal. Raises :class:`JobFailed` where there is none."""
    memory = getattr(found.data, "memory", None)
    if not memory:
        raise JobFailed(f"{device} returned no shots for a circuit that measures.", code="job.no_shots")
    return list(memory)


def origin_of(found: Sequence[Any]) -> dict[str, str]:
    """``shots_from`` where shots were made from counts: their order says nothing then."""
    return {"shots_from": "counts"} if any(getattr(one, "shots_from", "") == "counts" for one in found) else {}


def sampled(circuit: QuantumCircuit, memories: Sequence[list[str]], shape: tuple[int, ...], shots: int) -> PubResult:
    """One PUB of a sampler: its registers from the shots of each binding."""
    width = max(1, -(-circuit.num_clbits // 8))
    shots_as_bytes = np.frombuffer(
        b"".join(int(shot, 16).to_bytes(width, "big") for memory in memories for shot in memory), dtype=np.uint8
    ).reshape((*shape, shots, width))
    return PubResult(
        shape=list(shape),
        registers=registers_of(circuit, shots_as_bytes),
        metadata={"shots": shots, "circuit_metadata": plain(circuit.metadata or {})},
    )


def registers_of(circuit: QuantumCircuit, shots: NDArray[np.uint8]) -> dict[str, Bits]:
    """Each register with its own bits, out of shots of all bits: ``(*shape, shots, bytes)``, big endian."""
    return {register.name: _bits(circuit, register, shots) for register in circuit.cregs}


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


def estimated(found: Any) -> PubResult:
    """One PUB of an estimator from Qiskit's own ``PubResult``."""
    return PubResult(
        shape=list(np.shape(found.data.evs)),
        evs=array(found.data.evs),
        stds=array(found.data.stds),
        metadata=plain(found.metadata),
    )


def array(values: Any) -> Array:
    """Real numbers as they travel."""
    flat = np.ascontiguousarray(values, dtype="<f8")
    return Array(dtype="<f8", shape=list(np.shape(values)), data=flat.tobytes())


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
