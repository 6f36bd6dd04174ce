"""From what a machine elsewhere counted to the result of a job, in the shape that every device's result has.

What is not there is marked: an :class:`Experiment` or PUB that lacks a part is ``missing``, with the reason in its
metadata, and is never filled with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.result import Result

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Device, Order, RunOptions
from jupyter_quantum.fabric.counts import experiment as counted
from jupyter_quantum.fabric.mitigation import counts_in
from jupyter_quantum.fabric.plan import Piece, replayed
from jupyter_quantum.fabric.pubs import sampler_pub
from jupyter_quantum.fabric.shape import estimated, experiment, memory_of, origin_of, sampled
from jupyter_quantum.wire.results import Experiment, PubResult, ResultView

__all__ = ["Counted", "assemble", "counts_of_piece"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What came back for one circuit: each shot, or how often each outcome was seen.

    An outcome is text, the highest classical bit first as in Qiskit: ``"0x3"``, ``"11"`` or ``"1 1"``; or a number.
    """

    counts: Mapping[str, int] | Mapping[int, int] | None = None
    memory: Sequence[str] | None = None
    why: str = ""
    """Where neither is there: what the vendor says about it."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A piece as Qiskit's ``ExperimentResult``; None and why where it is missing."""

    found: Any | None
    why: str = ""


def assemble(device: Device, order: Order, found: Sequence[Piece], counted: Sequence[Counted]) -> ResultView:
    """The result of ``order`` from what was counted; raises :class:`JobFailed` where nothing is there."""
    read = [_read(device, order, piece, one) for piece, one in zip(found, counted, strict=True)]
    if all(one.found is None for one in read):
        why = next((one.why for one in read if one.why), "it did not say why")
        raise JobFailed(f"{device.name} gave no result: {why.rstrip('.')}.", code="job.no_shots")
    shots = [(piece.circuit, 1, piece.shots) for piece, one in zip(found, read, strict=True) if one.found is not None]
    view = {JobKind.RUN: _run, JobKind.SAMPLER: _sampler, JobKind.ESTIMATOR: _estimator}[order.kind]
    return view(device, order, found, read).model_copy(
        update={"seconds": device.seconds(shots, order.options).seconds.value}
    )


def _read(device: Device, order: Order, piece: Piece, one: Counted) -> _Read:
    if one.counts is None and one.memory is None:
        return _Read(None, one.why)
    shots = order.kind is not JobKind.RUN or bool(order.options.get("memory"))
    try:
        return _Read(counted(device.name, piece.circuit, _Found(one), piece.shots, memory=shots))
    except JobFailed as error:
        return _Read(None, error.message)


def counts_of_piece(device: Device, order: Order, piece: Piece, one: Counted) -> Mapping[str, int] | None:
    """The counts of a piece by hexadecimal outcome; None where they are missing."""
    found = _read(device, order, piece, one).found
    return None if found is None else counts_in(found)


class _Found:
    """What ``counts.experiment`` reads."""

    def __init__(self, one: Counted) -> None:
        self.data = {"counts": one.counts, "memory": one.memory}


def _of(owner: int, found: Sequence[Piece], read: Sequence[_Read]) -> list[_Read]:
    return [one for piece, one in zip(found, read, strict=True) if piece.owner == owner]


def _why(parts: Sequence[_Read]) -> dict[str, Any]:
    """Metadata of something that lacks a part."""
    return {"why": next((one.why for one in parts if one.why), "the device gave no answer for it")}


def _run(device: Device, order: Order, found: Sequence[Piece], read: Sequence[_Read]) -> ResultView:
    experiments = [
        experiment(one.found)
        if one.found is not None
        else Experiment(name=piece.circuit.name, shots=0, missing=True, metadata=_why([one]))
        for piece, one in zip(found, read, strict=True)
    ]
    return ResultView(kind=order.kind, backend=device.name, experiments=experiments, seconds=0.0)


def _sampler(device: Device, order: Order, found: Sequence[Piece], read: Sequence[_Read]) -> ResultView:
    pubs = [_sampled(device, order, at, found, read) for at in range(len(order.pubs))]
    return ResultView(kind=order.kind, backend=device.name, pubs=pubs, metadata={"version": 2}, seconds=0.0)


def _sampled(device: Device, order: Order, at: int, found: Sequence[Piece], read: Sequence[_Read]) -> PubResult:
    circuit = order.circuits[order.pubs[at].circuit]
    parts = _of(at, found, read)
    shots = next(piece.shots for piece in found if piece.owner == at)
    shape = sampler_pub(order.pubs[at], circuit, shots).shape
    if any(one.found is None for one in parts):
        return PubResult(shape=list(shape), missing=True, metadata=_why(parts))
    answer = sampled(circuit, [memory_of(device.name, one.found) for one in parts], shape, shots)
    return answer.model_copy(update={"metadata": answer.metadata | origin_of([one.found for one in parts])})


def _estimator(device: Device, order: Order, found: Sequence[Piece], read: Sequence[_Read]) -> ResultView:
    pubs = [_estimated(device, order, at, _of(at, found, read)) for at in range(len(order.pubs))]
    return ResultView(kind=order.kind, backend=device.name, pubs=pubs, metadata={"version": 2}, seconds=0.0)


def _estimated(device: Device, order: Order, at: int, parts: Sequence[_Read]) -> PubResult:
    """Qiskit's own estimator, given the counts that it would have asked for."""
    if any(one.found is None for one in parts):
        return PubResult(shape=_shape(order, at), missing=True, metadata=_why(parts))
    left: Iterator[_Read] = iter(parts)

    def answer(batch: Sequence[QuantumCircuit], chosen: RunOptions) -> Result:
        return Result(backend_name=device.name, job_id="", success=True, results=[next(left).found for _ in batch])

    (one,) = replayed(device, order, at, answer)
    return estimated(one)


def _shape(order: Order, at: int) -> list[int]:
    pub = order.pubs[at]
    bound = np.shape(pub.parameters)[:-1] if pub.parameters is not None else ()
    shape: list[int] = []
    level = pub.observables
    while isinstance(level, list) and level:
        shape.append(len(level))
        level = level[0]
    return list(np.broadcast_shapes(bound, tuple(shape)))
