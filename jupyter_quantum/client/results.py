"""Results as Qiskit's own classes: :class:`~qiskit.result.Result` and :class:`~qiskit.primitives.PrimitiveResult`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives import PubResult as QiskitPubResult
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView

__all__ = ["primitive_result", "run_result"]

Metadata = Sequence[dict[str, Any] | None] | None
"""Circuit metadata as the user wrote it, in the order sent; None where only the service's copy is there."""


def run_result(view: ResultView, job_id: str, metadata: Metadata = None) -> Result:
    """What ``backend.run(...).result()`` gives; experiments in the order of the circuits."""
    experiments = [_experiment(one, metadata[i] if metadata else None) for i, one in enumerate(view.experiments)]
    return Result(
        backend_name=view.backend,
        backend_version=view.metadata.get("backend_version"),
        job_id=job_id,
        success=True,
        results=experiments,
        status="COMPLETED",
        metadata=view.metadata,
        time_taken=view.seconds,
    )


def primitive_result(view: ResultView, metadata: Metadata = None) -> PrimitiveResult[Any]:
    """What ``sampler.run(...).result()`` or ``estimator.run(...).result()`` gives."""
    make = _sampled if view.kind is JobKind.SAMPLER else _estimated
    pubs = [make(one, metadata[i] if metadata else None) for i, one in enumerate(view.pubs)]
    return PrimitiveResult(pubs, metadata=view.metadata)


def _experiment(one: Experiment, metadata: dict[str, Any] | None) -> ExperimentResult:
    data = ExperimentResultData(counts=one.counts, memory=one.memory, **one.data)
    header = one.header if metadata is None else {**one.header, "metadata": metadata}
    return ExperimentResult(
        shots=one.shots,
        success=True,
        data=data,
        status="DONE",
        seed=one.seed,
        header=header,
        metadata=one.metadata,
    )


def _sampled(one: PubResult, metadata: dict[str, Any] | None) -> SamplerPubResult:
    registers = {name: _bits(bits) for name, bits in one.registers.items()}
    return SamplerPubResult(DataBin(shape=tuple(one.shape), **registers), metadata=_about(one, metadata))


def _estimated(one: PubResult, metadata: dict[str, Any] | None) -> QiskitPubResult:
    values = {name: _array(found) for name in ("evs", "stds") if (found := getattr(one, name)) is not None}
    return QiskitPubResult(DataBin(shape=tuple(one.shape), **values), metadata=_about(one, metadata))


def _about(one: PubResult, metadata: dict[str, Any] | None) -> dict[str, Any]:
    if metadata is not None and "circuit_metadata" in one.metadata:
        return {**one.metadata, "circuit_metadata": metadata}
    return one.metadata


def _bits(bits: Bits) -> BitArray:
    return BitArray(_array(bits.array), bits.num_bits)


def _array(array: Array) -> NDArray[Any]:
    return np.frombuffer(array.data, dtype=np.dtype(array.dtype)).reshape(array.shape).copy()
