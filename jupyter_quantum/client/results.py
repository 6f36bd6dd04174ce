"""Results as Qiskit's own classes: :class:`~qiskit.result.Result` and :class:`~qiskit.primitives.PrimitiveResult`.

What the device said is where Qiskit has it; mitigated values stand beside it: ``evs_mitigated`` and ``stds_mitigated``
of an estimator, ``metadata["mitigated"]`` of counts. A part that is missing raises when the result is read as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives import PubResult as QiskitPubResult
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData

from jupyter_quantum.client.circuits import DATA_BIN
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.wire.results import Array, Bits, Experiment, Mitigated, PubResult, ResultView

__all__ = ["array_of", "check_whole", "counts_of", "missing_parts", "mitigated_of", "primitive_result", "run_result"]

Metadata = Sequence[dict[str, Any] | None] | None
"""Circuit metadata as the user wrote it, in the order sent; None where only the service's copy is there."""

_NAMED: Final = 10
"""So many missing parts are named in an error."""


def missing_parts(view: ResultView) -> list[int]:
    """Indices of the circuits or PUBs that the device did not give."""
    parts: list[Experiment | PubResult] = [*view.experiments, *view.pubs]
    return [at for at, part in enumerate(parts) if part.missing]


def check_whole(view: ResultView, job_id: str = "") -> None:
    """Raise JobFailed ``result.partial`` where a part is missing; ``job.partial()`` gives what is there."""
    gone = missing_parts(view)
    if not gone:
        return
    noun = "circuit" if view.experiments else "PUB"
    named = ", ".join(map(str, gone[:_NAMED])) + (" …" if len(gone) > _NAMED else "")
    whole = len(view.experiments) + len(view.pubs)
    raise JobFailed(
        f"{view.backend} gave no result for {len(gone)} of {words.plural(whole, noun)}: {named}.",
        code="result.partial",
        hint="job.partial() gives the others; job.replay() runs all of them once more.",
        details={"missing": gone, "job": job_id},
    )


def run_result(view: ResultView, job_id: str, metadata: Metadata = None) -> Result:
    """What ``backend.run(...).result()`` gives; experiments in the order of the circuits, a missing one as failed."""
    experiments = [_experiment(one, metadata[i] if metadata else None) for i, one in enumerate(view.experiments)]
    return Result(
        backend_name=view.backend,
        backend_version=view.metadata.get("backend_version"),
        job_id=job_id,
        success=not missing_parts(view),
        results=experiments,
        status="PARTIALLY COMPLETED" if missing_parts(view) else "COMPLETED",
        metadata=_whole(view),
        time_taken=view.seconds,
    )


def primitive_result(view: ResultView, metadata: Metadata = None, job_id: str = "") -> PrimitiveResult[Any]:
    """What ``sampler.run(...).result()`` or ``estimator.run(...).result()`` gives; of a missing PUB an empty one."""
    make = _sampled if view.kind is JobKind.SAMPLER else _estimated
    pubs = [make(one, metadata[i] if metadata else None) for i, one in enumerate(view.pubs)]
    return PrimitiveResult(pubs, metadata=_whole(view) | ({"job_id": job_id} if job_id else {}))


def counts_of(view: ResultView) -> Iterator[tuple[str, dict[str, int]]]:
    """Name of each circuit, or PUB and binding, and its counts by outcome of all bits, in hexadecimal."""
    for at, ran in enumerate(view.experiments):
        yield f"circuit {at}", dict(ran.counts if ran.counts is not None else Counter(ran.memory or ()))
    for at, pub in enumerate(view.pubs):
        whole = _joined(pub)
        for index in np.ndindex(*pub.shape):
            shots = Counter(map(bytes, whole[index]))
            yield f"PUB {at}" + (f" {list(index)}" if index else ""), {key.hex(): n for key, n in shots.items()}


def _joined(pub: PubResult) -> NDArray[Any]:
    """Shape ``(*pub shape, shots, bytes)``: the registers beside each other, in the order of their names."""
    return np.concatenate([array_of(pub.registers[name].array) for name in sorted(pub.registers)], axis=-1)


def _whole(view: ResultView) -> dict[str, Any]:
    return view.metadata | ({"mitigation": view.mitigation} if view.mitigation else {})


def _experiment(one: Experiment, metadata: dict[str, Any] | None) -> ExperimentResult:
    data = ExperimentResultData(counts=one.counts, memory=one.memory, **one.data)
    about = one.metadata | ({"mitigated": mitigated_of(one.mitigated)} if one.mitigated is not None else {})
    header = one.header if metadata is None else {**one.header, "metadata": metadata}
    return ExperimentResult(
        shots=one.shots,
        success=not one.missing,
        data=data,
        status="MISSING" if one.missing else "DONE",
        seed=one.seed,
        header=header,
        metadata=about,
    )


def _sampled(one: PubResult, metadata: dict[str, Any] | None) -> SamplerPubResult:
    names = {name: _free(name, one.registers) for name in one.registers}
    registers = {names[name]: _bits(bits) for name, bits in one.registers.items()}
    renamed = {name: now for name, now in names.items() if name != now}
    about = _about(one, metadata) | ({"renamed": renamed} if renamed else {})
    return SamplerPubResult(DataBin(shape=tuple(one.shape), **registers), metadata=about)


def _free(name: str, taken: Any) -> str:
    """A register's name as a field of Qiskit's DataBin; one that DataBin needs itself gets a ``_`` behind it."""
    while name in DATA_BIN or name.startswith("_") or not name:
        name = f"{name.lstrip('_')}_" if name.strip("_") else "register_"
        while name in taken:
            name += "_"
    return name


def _estimated(one: PubResult, metadata: dict[str, Any] | None) -> QiskitPubResult:
    values = {name: array_of(found) for name in ("evs", "stds") if (found := getattr(one, name)) is not None}
    if one.mitigated is not None and one.mitigated.evs is not None and one.mitigated.stds is not None:
        values |= {"evs_mitigated": array_of(one.mitigated.evs), "stds_mitigated": array_of(one.mitigated.stds)}
    return QiskitPubResult(DataBin(shape=tuple(one.shape), **values), metadata=_about(one, metadata))


def _about(one: PubResult, metadata: dict[str, Any] | None) -> dict[str, Any]:
    about = dict(one.metadata)
    if metadata is not None and "circuit_metadata" in about:
        about["circuit_metadata"] = metadata
    if one.missing:
        about["missing"] = True
    if one.mitigated is not None:
        about["mitigated"] = mitigated_of(one.mitigated)
    return about


def mitigated_of(found: Mitigated) -> dict[str, Any]:
    """Mitigated values as plain numbers: method, overhead, and quasi-probabilities by bit string where it has them."""
    about: dict[str, Any] = {"method": found.method, "overhead": list(found.overhead)}
    return about | ({"quasi": [dict(one) for one in found.quasi]} if found.quasi else {})


def _bits(bits: Bits) -> BitArray:
    return BitArray(array_of(bits.array), bits.num_bits)


def array_of(array: Array) -> NDArray[Any]:
    """The numbers as a NumPy array of its own."""
    return np.frombuffer(array.data, dtype=np.dtype(array.dtype)).reshape(array.shape).copy()
