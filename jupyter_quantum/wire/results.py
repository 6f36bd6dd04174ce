"""One schema for the result of every device (F4).

A result is made in the sandbox, checked by the service for its shape only, and turned into Qiskit's own classes in the
notebook. Arrays travel as :class:`Array` (C order, little endian), so that numbers come back bit for bit.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.wire.base import Answer, Blob

__all__ = ["Array", "Bits", "Experiment", "PubResult", "ResultView"]


class Array(Answer):
    """A numeric array: ``dtype`` as NumPy spells it (``<f8``, ``|u1``), bytes in C order."""

    dtype: Literal["<f8", "<i8", "|u1", "<c16"]
    shape: list[int]
    data: Blob


class Bits(Answer):
    """Shots of one classical register, as Qiskit's ``BitArray``: shape ``(*pub shape, shots, bytes)`` and bit count."""

    num_bits: int
    array: Array


class Experiment(Answer):
    """One circuit of ``backend.run``: counts by hexadecimal outcome, and each shot where ``memory`` was asked for."""

    name: str
    shots: int
    counts: dict[str, int] | None = None
    memory: list[str] | None = None
    seed: int | None = None
    header: dict[str, Any] = Field(default_factory=dict, description="Qiskit's experiment header, metadata included")
    metadata: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict, description="what else the circuit saved, JSON")


class PubResult(Answer):
    """One PUB: registers (sampler) or ``evs`` and ``stds`` (estimator), and its metadata."""

    shape: list[int]
    registers: dict[str, Bits] = Field(default_factory=dict)
    evs: Array | None = None
    stds: Array | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class ResultView(Answer):
    """What a device answered."""

    kind: JobKind
    backend: str
    experiments: list[Experiment] = Field(default_factory=list)
    pubs: list[PubResult] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    seconds: float = Field(ge=0, le=1e9, allow_inf_nan=False, description="time on the device")
