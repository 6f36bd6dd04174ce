"""Devices that runners announced and that wait for an operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.wire.base import Answer, Credits, Digest, Request, Time
from jupyter_quantum.wire.jobs import PriceView

__all__ = ["AdmissionDecision", "AdmissionView", "Admissions"]


class AdmissionView(Answer):
    """A device as its runner announced it, and what an operator made of it."""

    device: str
    runner: str = Field(description="the service of the hub whose runner it is; empty: on the service's own machine")
    state: Literal["pending", "admitted", "rejected"]
    why: str = Field(description="why it waits: new, or what has changed since it was admitted")
    version: Digest = Field(description="of what was announced: a decision names the one that was looked at")
    announced: Time
    serving: bool = Field(description="whether a runner is there now that announces it")
    kind: DeviceKind
    label: str
    vendor: str
    region: str
    description: str
    num_qubits: int
    slots: int
    max_shots: int
    recovery: str
    remote: bool
    jobs: list[str] = Field(description="kinds of jobs that it takes")
    price: PriceView | None = Field(default=None, description="that it was admitted with")
    max_seconds: float | None = None
    note: str | None = None
    decided_by: str | None = None
    decided: Time | None = None


class Admissions(Answer):
    """Devices that no configuration admits, those that wait first."""

    admissions: list[AdmissionView]


class AdmissionDecision(Request):
    """An operator's word: *admit* at these prices, or *reject*; rejecting an admitted device takes it back."""

    verdict: Literal["admit", "reject"]
    version: Digest | None = Field(default=None, description="of the announcement that was looked at")
    per_task: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_shot: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_second: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_queue_minute: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    queue_minutes: Annotated[int, Field(ge=0, le=10_000)] = 60
    label: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = Field(
        default=None, description="the longest that one run may take; the service's usual where absent"
    )
    note: Annotated[str, Field(max_length=1000)] | None = None
