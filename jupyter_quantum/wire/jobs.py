"""What a user asks for and what comes back: reports, jobs, quota, devices, approvals, events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.wire.base import Answer, CircuitBundle, Credits, Digest, ErrorBody, Request, Time

__all__ = [
    "ApprovalDecision",
    "ApprovalView",
    "Approvals",
    "CalibrationRef",
    "DecisionView",
    "DeviceAction",
    "DeviceView",
    "Devices",
    "DryRun",
    "EventView",
    "Interval",
    "JobRequest",
    "JobView",
    "Jobs",
    "Me",
    "Membership",
    "Meter",
    "MirrorResult",
    "Mitigation",
    "Paulis",
    "PriceView",
    "Provenance",
    "Pub",
    "QubitModel",
    "QuotaView",
    "ReplayRequest",
    "ReportLine",
    "ReportRequest",
    "ReportRow",
    "ReportView",
    "Resources",
    "Score",
    "SourceView",
    "Standing",
    "TargetView",
    "Wait",
]

Paulis = dict[str, float]
"""One observable: Pauli labels (Qiskit's order, qubit 0 last) to real coefficients."""


class Pub(Request):
    """One primitive unified bloc: which circuit, and what to bind, measure and how often.

    ``parameters`` is a nested list whose last axis runs over the circuit's parameters in the circuit's order and whose
    leading axes are the shape of the bindings; ``observables`` is a nested list of :data:`Paulis` (estimator only).
    """

    circuit: Annotated[int, Field(ge=0, description="index into the bundle")]
    parameters: Any = None
    observables: Any = None
    shots: Annotated[int | None, Field(ge=1)] = None
    precision: Annotated[float | None, Field(gt=0)] = None


class _Work(Request):
    kind: JobKind = JobKind.RUN
    circuits: CircuitBundle | None = None
    pubs: Annotated[list[Pub], Field(max_length=10_000)] = Field(
        default_factory=list, description="empty for kind run: every circuit of the bundle once"
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="flat names as the device's option schema publishes them: shots, seed_simulator, memory, …",
    )
    transpile: Literal["auto", "never"] = "auto"
    name: Annotated[str | None, Field(max_length=200)] = None
    project: str | None = Field(default=None, description="who pays; the caller's only project where omitted")


class ReportRequest(_Work):
    """Validate circuits on several devices (all that the caller may use where ``devices`` is omitted); runs nothing."""

    devices: list[str] | None = None
    dry_run: str | None = Field(default=None, description="device to compare ideal and noisy counts on")
    resources: bool = Field(default=False, description="estimate what a fault-tolerant computer would take")


class JobRequest(_Work):
    """Run circuits on one device, or what ``report`` validated (then ``circuits`` and ``pubs`` are omitted)."""

    device: str
    report: str | None = None
    max_price: Annotated[Credits | None, Field(ge=0, lt=2**63)] = Field(
        default=None, description="refuse where it may cost more than this"
    )
    reason: Annotated[str | None, Field(max_length=1000)] = Field(default=None, description="for an approver")
    fallback: Annotated[list[str], Field(max_length=20)] = Field(
        default_factory=list, description="devices that it may move to, in this order, where the first one cannot"
    )
    fallback_after: Annotated[float | None, Field(ge=0, le=31 * 86_400)] = Field(
        default=None, description="seconds that it waits for a device that does not start jobs; an hour where omitted"
    )


class ReplayRequest(Request):
    """Run a job's circuits once more: the same source, PUBs, options and seeds, through the same door as any job."""

    device: str | None = Field(default=None, description="the job's own device where omitted")
    max_price: Annotated[Credits | None, Field(ge=0, lt=2**63)] = Field(
        default=None, description="refuse where it may cost more than this"
    )
    reason: Annotated[str | None, Field(max_length=1000)] = Field(default=None, description="for an approver")


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


class Devices(Answer):
    devices: list[DeviceView]


class DecisionView(Answer):
    """What policy said: the effect, by which policies, in words."""

    effect: Literal["allow", "refuse", "needs_approval"]
    role: str | None = Field(default=None, description="who must approve; the first of roles")
    roles: list[str] = Field(default_factory=list, description="who must approve: each role, by a different person")
    policies: list[str] = Field(default_factory=list)
    version: Digest
    words: str
    facts: dict[str, Any] = Field(default_factory=dict, description="the facts that the policies named looked at")


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
    error that took its place.
    """

    name: str = Field(default="", description="in the first line: what the job to come is called")
    rows: list[ReportRow] = Field(default_factory=list)
    report: ReportView | None = None
    error: ErrorBody | None = None


class JobView(Answer):
    """A job as its owner sees it."""

    id: str
    name: str
    kind: JobKind
    state: JobState
    owner: str
    project: str
    device: str
    device_kind: DeviceKind
    device_label: str
    report: str | None = None
    source: Digest
    executable: Digest | None = None
    num_circuits: int
    num_qubits: int | None = None
    shots: int | None = None
    executions: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    price: Credits | None = None
    price_at_most: Credits | None = None
    on_hold: Credits = 0
    cost: Credits | None = None
    attempts: int = 0
    decision: DecisionView | None = None
    approval: str | None = None
    envelope: str | None = Field(default=None, description="id of the envelope that it goes on in without asking")
    wait: Wait | None = None
    error: dict[str, Any] | None = Field(default=None, description="ErrorBody of a failed or rejected job")
    fallback: list[str] = Field(default_factory=list, description="devices that it may still move to")
    moved_from: list[str] = Field(default_factory=list, description="devices that it was meant for before")
    marks: list[str] = Field(default_factory=list, description="what is to be known of the result: drift, partial")
    cancel_asked: Time | None = Field(default=None, description="taken back; the device has not confirmed yet")
    created: Time
    changed: Time
    submitted: Time | None = None
    started: Time | None = None
    ended: Time | None = None
    seconds: float | None = Field(default=None, description="time on the device")
    vendor_seconds: float | None = Field(default=None, description="the same as the vendor counts it, where it tells")
    version: int = Field(description="grows with each move")
    replay_of: str | None = Field(default=None, description="the job that it runs once more")
    result: dict[str, Any] | None = Field(
        default=None, description="jupyter_quantum.wire.results.ResultView, only where asked for with wait"
    )


class Jobs(Answer):
    jobs: list[JobView]
    next: str | None = Field(default=None, description="cursor of the next page")


class SourceView(Answer):
    """What a job was made from, so that a notebook can rebuild its circuits."""

    circuits: CircuitBundle
    pubs: list[Pub] = Field(default_factory=list)


class TargetView(Answer):
    """A device's Target as JSON (``jupyter_quantum.targets`` reads it) and the calibration it belongs to."""

    calibration: CalibrationRef
    target: dict[str, Any]


class Meter(Answer):
    """One budget: what a user or a project may spend in a window."""

    scope: Literal["user", "project", "organisation"]
    name: str
    project: str
    window: str = Field(description="words: November, today, or the project's grant")
    limit: Credits
    used: Credits
    held: Credits
    available: Credits
    resets: Time | None = None
    unit: Literal["credits", "shots", "qpu_seconds", "simulator_seconds", "jobs"] = Field(
        default="credits", description="of the amounts: micro-credits, shots, milliseconds, jobs under way"
    )
    device_kind: DeviceKind | None = Field(default=None, description="only such devices count; all where None")
    soft: int | None = Field(default=None, description="from so much used and on hold on, people are warned")
    near: bool = Field(default=False, description="whether the soft limit is reached")
    words: str | None = Field(default=None, description="what to say about it, where the soft limit is reached")


class QuotaView(Answer):
    """All budgets that bind the caller in a project; ``binding`` is the index of the one with the least left."""

    project: str
    meters: list[Meter] = Field(description="of credits")
    binding: int
    others: list[Meter] = Field(default_factory=list, description="of shots, seconds, jobs under way")

    @property
    def left(self) -> int:
        """Micro-credits that may still be put on hold."""
        return self.meters[self.binding].available


class ApprovalView(Answer):
    """A request that waits for a person, or was decided."""

    id: str
    job: JobView
    project: str
    role: str
    asked_by: str
    reason: str | None
    words: str
    created: Time
    expires: Time
    state: Literal["open", "approved", "rejected", "expired", "withdrawn"]
    decided_by: str | None = None
    decided: Time | None = None
    note: str | None = None
    project_left: Credits = 0
    may_decide: bool = False


class Approvals(Answer):
    approvals: list[ApprovalView]


class Standing(Request):
    """Later jobs of the same person with these circuits and options on this device need not ask, until then."""

    until: Time
    amount: Annotated[Credits | None, Field(gt=0, lt=2**63)] = Field(
        default=None, description="the most that they may cost together"
    )
    free_parameters: bool = Field(default=False, description="the values of parameters may be others")


class ApprovalDecision(Request):
    """A person's answer; a rejection needs a note."""

    verdict: Literal["approve", "reject"]
    note: Annotated[str | None, Field(max_length=1000)] = None
    standing: Standing | None = None


class DeviceAction(Request):
    """An operator's act on a device.

    *pause*: no starts. *isolate*: the same, since something is wrong with it. *drain*: no intake, the queue finishes.
    *recalibrate*: wait for a new calibration, then resume by itself. *resume*.
    """

    action: Literal["pause", "isolate", "drain", "recalibrate", "resume"]
    reason: Annotated[str, Field(max_length=500)] = ""
    until: Time | None = None


class EventView(Answer):
    """One numbered event of the stream; ``data`` carries the new :class:`JobView`, quota or device."""

    seq: int = Field(description="the reader's own number of the event: where to go on; it has no order")
    id: str
    time: Time
    type: str = Field(description="job.moved, quota.changed, device.changed, approval.changed")
    job: str | None = None
    project: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Membership(Answer):
    """A role that the service itself gave, beside the hub's groups."""

    id: str
    project: str | None = Field(description="None: on the whole hub")
    role: str
    kind: Literal["member", "elevation", "breakglass"]
    start: Time
    end: Time | None = Field(description="None: until somebody ends it")


class Me(Answer):
    """Who the service takes the caller for."""

    name: str
    roles: list[str] = Field(description="hub-wide: operator, auditor, admin")
    scopes: list[str]
    projects: dict[str, str] = Field(description="project → role in it (user, lead)")
    tiers: dict[str, str]
    memberships: list[Membership] = Field(default_factory=list, description="roles for a while, with their ends")


class Provenance(Answer):
    """The record of one run (R1). Unknown is None, never made up."""

    id: str
    job: JobView
    tenant: str
    user: str
    source: Digest
    executable: Digest | None
    compiler: dict[str, Any] = Field(description="name, version, level, seed, layout")
    versions: dict[str, str] = Field(description="of qiskit, qiskit-aer, runner, python")
    calibration: CalibrationRef | None
    policy: DecisionView | None
    approver: str | None
    attempts: list[dict[str, Any]]
    times: dict[str, Any]
    summary: dict[str, Any]
    snapshot: Digest | None = Field(
        default=None, description="the calibration's document, kept as long as the job: GET …/calibration"
    )
    transpile: dict[str, Any] = Field(default_factory=dict, description="mode, level, seed, whether it was altered")
    estimate: dict[str, Any] = Field(
        default_factory=dict, description="what was expected: success, seconds, price, price_at_most; and noise_free"
    )
    actual: dict[str, Any] = Field(default_factory=dict, description="what came of it: seconds, cost")
    approvals: list[dict[str, Any]] = Field(default_factory=list, description="who was asked, and what they said")
    mitigation: dict[str, Any] = Field(default_factory=dict, description="as the result says it; empty where none")
    marks: list[str] = Field(default_factory=list, description="what is to be known of the result: drift, partial")
    events: list[dict[str, Any]] = Field(
        description="every move with its number, hash and text in the record; the proof that it is there, once signed"
    )
