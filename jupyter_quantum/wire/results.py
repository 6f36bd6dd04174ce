"""One schema for the result of every device (F4).

A result is made in the sandbox, checked by the service for its shape only, and turned into Qiskit's own classes in the
notebook. Arrays travel as :class:`Array` (C order, little endian), so that numbers come back bit for bit. What the
device said stays as it is: mitigated values stand beside it (:class:`Mitigated`), and a part that the device did not
give is *missing*, never zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.wire.base import Answer, Blob

__all__ = ["Agreement", "Array", "Bits", "Experiment", "Mitigated", "PubResult", "ResultView"]


class Array(Answer):
    """A numeric array: ``dtype`` as NumPy spells it (``<f8``, ``|u1``), bytes in C order."""

    dtype: Literal["<f8", "<i8", "|u1", "<c16"]
    shape: list[int]
    data: Blob


class Bits(Answer):
    """Shots of one classical register, as Qiskit's ``BitArray``: shape ``(*pub shape, shots, bytes)`` and bit count."""

    num_bits: int
    array: Array


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Mitigated(Answer):
    """Values with an error of the device taken out, beside the raw ones.

    Of counts: quasi-probabilities by hexadecimal outcome of all bits (they sum to 1, some may be below 0), one mapping
    for each binding in C order. Of an estimator: ``evs`` and ``stds``. ``overhead`` is by how much the variance grew.
    """

    method: str
    quasi: list[dict[str, Finite]] = Field(default_factory=list)
    evs: Array | None = None
    stds: Array | None = None
    overhead: list[Finite] = Field(default_factory=list)


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
    mitigated: Mitigated | None = None
    missing: bool = Field(default=False, description="the device did not give this part; the rest is then empty")


class PubResult(Answer):
    """One PUB: registers (sampler) or ``evs`` and ``stds`` (estimator), and its metadata."""

    shape: list[int]
    registers: dict[str, Bits] = Field(default_factory=dict)
    evs: Array | None = None
    stds: Array | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    mitigated: Mitigated | None = None
    missing: bool = Field(default=False, description="the device did not give this part; the rest is then empty")


class Agreement(Answer):
    """How far counts agree with ideal ones: the Hellinger fidelity, of the circuit with the least chance of success."""

    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    certain: bool = Field(
        description="whether one bit string is the right answer; the value is then the share of the shots that gave it"
    )


class ResultView(Answer):
    """What a device answered."""

    kind: JobKind
    backend: str
    experiments: list[Experiment] = Field(default_factory=list)
    pubs: list[PubResult] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    mitigation: dict[str, Any] = Field(
        default_factory=dict, description="of mitigated values: library, version, method, qubits, shots of calibration"
    )
    seconds: float = Field(ge=0, le=1e9, allow_inf_nan=False, description="time on the device")
    agreement: Agreement | None = Field(default=None, description="with ideal counts, where that is known cheaply")

    @property
    def missing(self) -> list[int]:
        """Indices of the circuits (of a run) or PUBs that the device did not give."""
        parts: Sequence[Experiment | PubResult] = self.experiments or self.pubs
        return [at for at, one in enumerate(parts) if one.missing]
