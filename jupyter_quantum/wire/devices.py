"""Devices: as their users see them, what is said of a run on one, and those that wait for an operator."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.wire.base import Answer, Credits, Digest, Request, Time
from jupyter_quantum.wire.sessions import SessionKind, SessionMode

__all__ = [
    "AdmissionDecision",
    "AdmissionView",
    "Admissions",
    "CalibrationRef",
    "DeviceAction",
    "DeviceView",
    "Devices",
    "Interval",
    "MirrorResult",
    "PriceView",
    "Score",
    "TargetView",
    "Wait",
]


class CalibrationRef(Answer):
    """Which calibration a number rests on; ``at`` is None for a device without one (a simulator)."""

    digest: Digest
    at: Time | None = None


class PriceView(Answer):
    """A device's price list, in micro-credits."""

    per_task: Credits = 0
    per_shot: Credits = 0
    per_second: Credits = 0
    per_queue_minute: Credits = 0
    queue_minutes: int = Field(default=60, description="so many minutes in the queue are charged at most")


class Interval(Answer):
    """A number with a range; what the range means is said where it is used (95 % where nothing is said)."""

    value: Annotated[float, Field(allow_inf_nan=False)]
    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]


class Wait(Answer):
    """When a job would start: seconds from now, median and ninth decile (None where nobody knows: paused, offline).

    ``reason`` names why it waits (or None).
    """

    p50: float | None = None
    p90: float | None = None
    place: int | None = None
    reason: str | None = Field(default=None, description="code, e.g. wait.share, wait.device, wait.drained")
    words: str | None = None


class MirrorResult(Answer):
    """How often the known bit string of mirror circuits of about this size came back on the device, lately."""

    value: Annotated[float, Field(ge=0, le=1)]
    low: Annotated[float, Field(ge=0, le=1)]
    high: Annotated[float, Field(ge=0, le=1)]
    qubits: int
    depth: int
    at: Time


class Score(Answer):
    """How good estimates of one thing have been, over the device's runs that have finished."""

    what: Literal["success", "seconds", "price", "wait"]
    runs: Annotated[int, Field(ge=0, description="finished runs that it rests on")]
    error: float | None = Field(
        default=None, description="median of |actual − estimate|; of seconds, price and wait relative to the estimate"
    )
    covered: float | None = Field(default=None, description="share of runs whose actual value lay within the range")
    since: Time | None = Field(default=None, description="day of the first of these runs, UTC")
    words: str = ""


class DeviceView(Answer):
    """A device as its users see it."""

    name: str
    kind: DeviceKind
    label: str = Field(description="words for people: simulator, emulator, emulated QPU, QPU")
    vendor: str
    region: str
    description: str = ""
    num_qubits: int
    state: Literal["ready", "paused", "isolated", "drained", "offline"]
    state_reason: str | None = None
    state_until: Time | None = None
    awaits_calibration: bool = Field(default=False, description="whether it resumes by itself with the next one")
    basis_gates: list[str] = Field(default_factory=list)
    max_shots: int
    max_circuits: int
    calibration: CalibrationRef
    price: PriceView
    wait: Wait
    options: dict[str, Any] = Field(default_factory=dict, description="kind of job → JSON schema of its options")
    scores: list[Score] = Field(default_factory=list, description="how good estimates have been here")
    sessions: dict[SessionKind, SessionMode] = Field(
        default_factory=dict, description="what a session or batch is at the vendor; absent: it groups jobs here only"
    )


class Devices(Answer):
    devices: list[DeviceView]


class TargetView(Answer):
    """A device's Target as JSON (``jupyter_quantum.targets`` reads it) and the calibration it belongs to."""

    calibration: CalibrationRef
    target: dict[str, Any]


class DeviceAction(Request):
    """An operator's act on a device.

    *pause*: no starts. *isolate*: the same, since something is wrong with it. *drain*: no intake, the queue finishes.
    *recalibrate*: wait for a new calibration, then resume by itself. *resume*.
    """

    action: Literal["pause", "isolate", "drain", "recalibrate", "resume"]
    reason: Annotated[str, Field(max_length=500)] = ""
    until: Time | None = None


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
    note: Annotated[str, Field(max_length=1000)] | None = Field(default=None, description="needed where it is rejected")
