"""Validation reports: where circuits could run, at what price, and what they would come to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.wire.base import Answer, Credits, Digest, ErrorBody, Time
from jupyter_quantum.wire.devices import CalibrationRef, Interval, MirrorResult, Score, Wait
from jupyter_quantum.wire.jobs import DecisionView, WorkRequest

__all__ = [
    "DryRun",
    "Mitigation",
    "QubitModel",
    "ReportLine",
    "ReportRequest",
    "ReportRow",
    "ReportView",
    "Resources",
]


class ReportRequest(WorkRequest):
    """Validate circuits on several devices (all that the caller may use where ``devices`` is omitted); runs nothing."""

    devices: list[str] | None = None
    dry_run: str | None = Field(default=None, description="device to compare ideal and noisy counts on")
    resources: bool = Field(default=False, description="estimate what a fault-tolerant computer would take")


class Mitigation(Answer):
    """One way to mitigate errors that a device offers for this work."""

    name: str = Field(description='value of the option `mitigation`: "none", "readout"; or an option of the vendor')
    words: str
    overhead: float | None = Field(default=None, description="about so many times the executions; None: unknown")


class ReportRow(Answer):
    """One device of a report. Where ``problem`` is set, the circuit cannot run there and the numbers are None."""

    device: str
    kind: DeviceKind
    label: str
    state: str
    pending: bool = Field(default=False, description="still being checked; only in a report that is streamed")
    depth: int | None = None
    two_qubit_gates: int | None = None
    success: Interval | None = Field(default=None, description="chance that no modelled error occurs; None: unknown")
    noise_free: bool = False
    rests_on: str | None = Field(default=None, description="what the chance of success is taken from, in words")
    mirror: MirrorResult | None = Field(default=None, description="devices of kind qpu: mirror circuits of this size")
    scores: list[Score] = Field(default_factory=list, description="how good such estimates have been here")
    mitigation: list[Mitigation] = Field(default_factory=list, description="what the device offers beside plain runs")
    seconds: Interval | None = None
    seconds_rest_on: str | None = Field(default=None, description="what the seconds are taken from, in words")
    warning: str | None = Field(default=None, description="what may go wrong though it is let in, in words")
    wait: Wait | None = None
    price: Credits | None = None
    price_at_most: Credits | None = None
    quota_after: Credits | None = None
    decision: DecisionView | None = None
    calibration: CalibrationRef | None = None
    executable: Digest | None = None
    problem: str | None = Field(default=None, description="why not here, and what to do")
    code: str | None = None


class DryRun(Answer):
    """Counts (bit string → fraction) of the first circuit, ideal and with the device's noise; or why there are none."""

    device: str
    shots: int
    ideal: dict[str, float] = Field(default_factory=dict)
    noisy: dict[str, float] = Field(default_factory=dict)
    method: str = Field(default="", description="what simulated: aer, stim; empty where nothing did")
    stand_in: bool = Field(
        default=False, description="whether a Clifford circuit of the same layout was simulated in the circuit's place"
    )
    note: str | None = None


Amount = Annotated[int, Field(ge=0, le=10**18)]


class QubitModel(Answer):
    """What a circuit would take on fault-tolerant qubits of one kind."""

    name: str
    words: str
    physical_qubits: Amount
    seconds: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
    code_distance: Amount


class Resources(Answer):
    """What the first circuit would take on a fault-tolerant computer.

    Counted in Clifford gates, T gates, rotations by other angles and Toffoli gates; ``models`` is empty where the
    runner has no estimator.
    """

    method: str = Field(description="qdk: Microsoft's resource estimator; count: gates were counted, nothing more")
    logical_qubits: Amount = Field(description="with room to move them, where an estimator is installed")
    t_count: Amount = Field(description="T gates that the circuit has itself")
    rotations: Amount = Field(description="rotations by angles that are no multiple of π/4")
    toffoli: Amount = 0
    measurements: Amount = 0
    depth: Amount = 0
    gates: Amount = 0
    t_states: Amount | None = Field(default=None, description="T gates in all, rotations and Toffolis made of them")
    error_budget: float = Field(description="chance that the whole run goes wrong, which the sizes are for")
    models: Annotated[list[QubitModel], Field(max_length=16)] = Field(default_factory=list)
    note: str = ""


class ReportView(Answer):
    """The answer to "where could this run, at what price, and may I"; bound to digests and a policy version."""

    id: str
    created: Time
    project: str
    name: str
    kind: JobKind
    source: Digest
    num_circuits: int
    num_qubits: int
    executions: int = Field(description="shots over all circuits and bindings")
    shots: int = Field(description="the most shots of one circuit")
    policy: Digest
    rows: list[ReportRow]
    dry_run: DryRun | None = None
    resources: Resources | None = Field(default=None, description="where they were asked for")
    text: str = Field(default="", description="drawing of the first circuit, plain text")


class ReportLine(Answer):
    """One line of a report that is streamed (``Accept: application/x-ndjson``).

    The first line has a row for every device in the report's order, those to be checked as *pending*; then come rows
    as they are there; the last line has the stored report with all of them (the latest ones come with it), or the
    error that took its place. Where no device has to be checked, because all of it is known, the last line is the only
    one.
    """

    name: str = Field(default="", description="in the first line: what the job to come is called")
    rows: list[ReportRow] = Field(default_factory=list)
    report: ReportView | None = None
    error: ErrorBody | None = None
